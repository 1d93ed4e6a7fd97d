package harness

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dialogTimeout bounds every wait for a reply.
const dialogTimeout = 30 * time.Second

// Conn is an SMTP client that says exactly the bytes it is told to.
type Conn struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
}

// Reply is an answer of the server: its code and its lines without the code.
// A zero Code means that the connection ended instead.
type Reply struct {
	Code  int
	Lines []string
}

// String is the reply on one line.
func (r Reply) String() string { return strconv.Itoa(r.Code) + " " + strings.Join(r.Lines, " / ") }

// Dial connects and reads the greeting, which must be 220.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	c := DialSilently(t, addr)
	c.Want(c.Read(), 220)
	return c
}

// HelloFrom connects from a loopback address of its own and says EHLO.
func HelloFrom(t testing.TB, from, addr string) *Conn {
	t.Helper()
	c := dial(t, &net.TCPAddr{IP: net.ParseIP(from)}, addr)
	c.Want(c.Read(), 220)
	c.Want(c.Say("EHLO client.example.org"), 250)
	return c
}

// DialSilently connects and reads nothing yet.
func DialSilently(t testing.TB, addr string) *Conn {
	t.Helper()
	return dial(t, nil, addr)
}

func dial(t testing.TB, from net.Addr, addr string) *Conn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: dialogTimeout, LocalAddr: from}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Conn{t: t, c: c, r: bufio.NewReaderSize(c, 64<<10)}
}

// Hello connects and says EHLO.
func Hello(t testing.TB, addr string) *Conn {
	t.Helper()
	c := Dial(t, addr)
	c.Want(c.Say("EHLO client.example.org"), 250)
	return c
}

// Raw writes bytes as they are. An error is no failure of the test: the server
// may have closed, which the next Read shows.
func (c *Conn) Raw(s string) error {
	_ = c.c.SetWriteDeadline(time.Now().Add(dialogTimeout))
	_, err := c.c.Write([]byte(s))
	return err
}

// Say sends a line and reads the reply.
func (c *Conn) Say(line string) Reply {
	c.t.Helper()
	_ = c.Raw(line + "\r\n")
	return c.Read()
}

// Read reads one reply; the zero Reply when the connection has ended. Silence
// fails the test.
func (c *Conn) Read() Reply {
	c.t.Helper()
	r, err := ReadReply(c.c, c.r)
	var silent net.Error
	if errors.As(err, &silent) && silent.Timeout() {
		c.t.Fatalf("the server says nothing: %v", err)
	}
	return r
}

// Want fails the test when the reply is not one of codes.
func (c *Conn) Want(r Reply, codes ...int) Reply {
	c.t.Helper()
	for _, code := range codes {
		if r.Code == code {
			return r
		}
	}
	c.t.Fatalf("the server answers %q, want %v", r, codes)
	return r
}

// Close ends the connection without a word.
func (c *Conn) Close() { c.c.Close() }

// Reset ends the connection so that the server sees a reset, not an end.
func (c *Conn) Reset() {
	if tcp, ok := c.c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.c.Close()
}

// Envelope sends MAIL, RCPT and DATA, each of which must be accepted.
func (c *Conn) Envelope(from string, to ...string) {
	c.t.Helper()
	c.Want(c.Say("MAIL FROM:<"+from+">"), 250)
	for _, a := range to {
		c.Want(c.Say("RCPT TO:<"+a+">"), 250)
	}
	c.Want(c.Say("DATA"), 354)
}

// Send sends a whole message that must be accepted, and returns the reply.
func (c *Conn) Send(from string, to []string, message string) Reply {
	c.t.Helper()
	c.Envelope(from, to...)
	_ = c.Raw(DotStuff(message))
	return c.Want(c.Read(), 250)
}

// DotStuff makes the DATA of a message whose line ends are CRLF: dots doubled,
// the last line ended, the final dot.
func DotStuff(message string) string {
	s := strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:]
	if s != "" && !strings.HasSuffix(s, "\r\n") {
		s += "\r\n"
	}
	return s + ".\r\n"
}

// ReadReply reads one reply from c through r.
func ReadReply(c net.Conn, r *bufio.Reader) (Reply, error) {
	var reply Reply
	for {
		_ = c.SetReadDeadline(time.Now().Add(dialogTimeout))
		line, err := r.ReadString('\n')
		if err != nil {
			return Reply{}, err
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return Reply{}, fmt.Errorf("no SMTP reply: %q", line)
		}
		if reply.Code, err = strconv.Atoi(line[:3]); err != nil {
			return Reply{}, fmt.Errorf("no SMTP reply: %q", line)
		}
		if len(line) == 3 {
			return reply, nil
		}
		reply.Lines = append(reply.Lines, line[4:])
		if line[3] != '-' {
			return reply, nil
		}
	}
}
