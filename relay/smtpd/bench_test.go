package smtpd_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// sink accepts everything at no cost, so that only smtpd is measured.
type sink struct{}

func (sink) Refused(smtpd.Peer, smtpd.Session, *reply.Error)            {}
func (sink) Standing() smtpd.Standing                                   { return smtpd.Client }
func (sink) Connect(context.Context, smtpd.Peer) (smtpd.Session, error) { return sink{}, nil }
func (sink) Mail(context.Context, smtpd.MailFrom) (smtpd.Transaction, error) {
	return sink{}, nil
}
func (sink) Authenticate(context.Context, string, string) error { return nil }
func (sink) Close()                                             {}
func (sink) Rcpt(context.Context, smtpd.RcptTo) error           { return nil }
func (sink) Abort()                                             {}
func (sink) Data(_ context.Context, r io.Reader) (envelope.QueueID, error) {
	_, err := io.Copy(io.Discard, r)
	return "0000000000000000", err
}

const benchEnvelope = "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"

func benchBody() []byte {
	return []byte(strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10_240/78) + ".\r\n")
}

// BenchmarkMessage sends one 10 KB message on an open connection; the client is
// included.
func BenchmarkMessage(b *testing.B) {
	c := open(b, smtpd.Config{}, sink{})
	_ = c.nc.SetDeadline(time.Time{})
	c.say("EHLO x", "250-")
	body := benchBody()
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		c.message(body)
	}
}

// BenchmarkConnection sends one 10 KB message on a connection of its own; the
// client is included.
func BenchmarkConnection(b *testing.B) {
	_, addr := start(b, smtpd.Config{}, sink{})
	body := benchBody()
	r := bufio.NewReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		r.Reset(nc)
		c := &client{b, nc, r}
		c.expect("220")
		c.say("EHLO x", "250-")
		c.message(body)
		c.say("QUIT", "221")
		nc.Close()
	}
}

func (c *client) message(body []byte) {
	c.send(benchEnvelope)
	c.expect("250")
	c.expect("250")
	c.expect("354")
	if _, err := c.nc.Write(body); err != nil {
		c.t.Fatal(err)
	}
	c.expect("250")
}

// A thousand idle connections must be cheap; the figure includes the client
// sockets, which live in this process.
func TestRowMemory(t *testing.T) {
	const connections = 1000
	s, addr := start(t, smtpd.Config{MaxConnections: connections}, sink{})
	before := memory()
	for range connections {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := &client{t, nc, bufio.NewReaderSize(nc, 16)}
		c.expect("220")
		c.say("EHLO client", "250-")
		c.message([]byte("Subject: x\r\n\r\nidle from now on\r\n.\r\n"))
	}
	if refused := dial(t, addr); !strings.HasPrefix(refused.reply(), "421 4.7.0") {
		t.Error("one connection too many was let in")
	}
	if n := s.Stats().Connections; n != connections {
		t.Errorf("%d connections", n)
	}
	used := memory() - before
	t.Logf("%d idle connections: %.1f MB of heap and stacks", connections, float64(used)/1e6)
	if used > 30e6 {
		t.Errorf("%d idle connections cost %d bytes", connections, used)
	}
}

func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
