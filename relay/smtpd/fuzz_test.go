package smtpd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// script is a connection whose client sends fixed bytes, step at a time, then
// closes, and reads all replies.
type script struct {
	in   []byte
	step int

	mu     sync.Mutex
	out    bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.in[:min(s.step, len(s.in))])
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *script) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s *script) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

const fuzzMax = 200

// FuzzConn gives a whole connection arbitrary bytes, and reads input and
// replies side by side as RFC 5321 and 3030 say: each command has one reply,
// what is accepted is complete, and nothing of a message is a command.
func FuzzConn(f *testing.F) {
	tx := "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
	for _, seed := range []string{
		tx + "DATA\r\nhi\r\n..\r\n.\r\nQUIT\r\n",
		tx + "DATA\r\nhi\n.\nMAIL FROM:<x@y>\r\r\n.\r\nNOOP\r\n",
		tx + "DATA\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<root>\r\nDATA\r\n" +
			strings.Repeat("x", 300) + "\r\nRSET\r\n.\r\nRSET\r\n",
		tx + "BDAT 3\r\nabcBDAT 3 LAST\r\n\r\n.NOOP\r\n",
		tx + "BDAT 3\r\nabcRSET\r\n" + tx + "BDAT 9 LAST\r\nNOOP\r\n",
		tx + "BDAT 3\r\nabcEHLO y\r\n" + tx + "BDAT 6 LAST\r\nNOOP\r\n",
		tx + "BDAT 3\r\nabcEHLO\r\n" + tx + "BDAT 6 LAST\r\nNOOP\r\n",
		tx + "BDAT 300\r\n" + strings.Repeat("NOOP\r\n", 50) + "BDAT 0 LAST\r\n",
		"BDAT 6\r\nNOOP\r\nBDAT x\r\nNOOP\r\n",
		"\x16\x03\x01\x00\r\nEHLO x\r\nSTARTTLS\r\nAUTH PLAIN\r\nHELP\r\n\r\n",
		"EHLO x\r\nMAIL FROM:<\"a\\\"@b\"@c> SIZE=99999999999 BODY=8BITMIME\r\n" +
			"MAIL FROM:<é@ü> SMTPUTF8\r\nRCPT TO:<@a:b@c>\r\n",
		"EHLO x\r\nAUTH PLAIN AHNjYW5uZXIAc2VjcmV0\r\n" + tx + "DATA\r\nhi\r\n.\r\nAUTH LOGIN\r\n",
		"EHLO x\r\nauth login\r\nc2Nhbm5lcg==\r\nc2VjcmV0\r\nMAIL FROM:<a@b>\r\n",
		"EHLO x\r\nAUTH LOGIN c2Nhbm5lcg\r\n*\r\nAUTH PLAIN =\r\nQUIT\r\n" +
			"AUTH LOGIN\r\n\x00\r\nAUTH PLAIN\r\n" + strings.Repeat("A", 3000) + "\r\nNOOP\r\n",
		"EHLO x\r\nAUTH LOGIN YQ==\r\nYQ==\r\nMAIL FROM:<a@b>\r\nAUTH LOGIN\r\nAUTH CRAM-MD5\r\nAUTH\r\n",
		tx + "STARTTLS\r\nRSET\r\nSTARTTLS x\r\nSTARTTLS\r\n" + tx + "DATA\r\n.\r\n",
		"NOOP " + strings.Repeat("x", 3000) + "\r\nNOOP\r\n",
		strings.Repeat("NOOP\r\n", 110), strings.Repeat("x\n", 20), strings.Repeat("y", 70_000),
		"GET / HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed), byte(1))
		f.Add([]byte(seed), byte(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, step byte) {
		h := &recorder{}
		h.set(hooks{auth: func(user, _ string) error {
			h.note("login")
			if user != "scanner" {
				return reply.New(454, reply.Enhanced{4, 7, 0}, "Later") // 535 would cost a second
			}
			return nil
		}})
		o := oracle{in: in}
		out := converse(t, h, in, step).out.String()
		if i := strings.Index(out, readyForTLS); i >= 0 {
			// What follows is TLS, which the client of a script cannot speak:
			// no more than an alert, and nothing of the input counts.
			out = out[:i+len(readyForTLS)]
		}
		o.replies = cutReplies(t, out)
		if err := o.run(); err != nil {
			t.Fatalf("%v\ninput %q\noutput %q", err, in, out)
		}
		got := h.accepted()
		if len(got) != len(o.accepted) || len(h.transactions()) != o.mails {
			t.Fatalf("%d accepted, want %q; %d transactions, want %d\ninput %q\noutput %q",
				len(got), o.accepted, len(h.transactions()), o.mails, in, out)
		}
		for i, m := range got {
			if m.body != o.accepted[i] {
				t.Fatalf("body %q, want %q", m.body, o.accepted[i])
			}
		}
		events := h.log()
		if n := strings.Count(events, "login"); n != o.logins {
			t.Fatalf("%d logins, want %d\ninput %q\noutput %q", n, o.logins, in, out)
		}
		ends := strings.Count(events, "abort") + strings.Count(events, "data") + strings.Count(events, "failed")
		if !strings.HasSuffix(events, "close") || ends != o.mails {
			t.Fatalf("transactions and ends differ: %s", events)
		}
	})
}

// FuzzProxy sends the first bytes of a load balancer. Whatever they are, the peer is
// an address that a client can have, and nothing is served without a header.
func FuzzProxy(f *testing.F) {
	for _, from := range []string{
		"10.1.2.3:4711", "[2001:db8::1]:1", "127.0.0.1:1", "0.0.0.0:1", "[::ffff:127.0.0.1]:1",
	} {
		f.Add([]byte(proxyHeader(f, 1, from) + "EHLO x\r\n"))
		f.Add([]byte(proxyHeader(f, 2, from) + "EHLO x\r\n"))
	}
	for _, seed := range []string{
		"EHLO x\r\n", "PROXY UNKNOWN\r\nEHLO x\r\n", "PROXY ", "\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00",
		"\r\n\r\n\x00\r\nQUIT\n!1\x00\xd8" + strings.Repeat("/", 216),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h := &recorder{}
		o := smtpd.ListenerOptions{ProxyProtocol: prefixes("192.0.2.1/32")}
		out := converseOn(t, o, h, in, 0).out.String()
		if len(h.peers) == 0 {
			if out != "" {
				t.Fatalf("%q: served without a peer: %q", in, out)
			}
			return
		}
		a := h.peer(0).Addr.Addr()
		if h.peer(0).Unix || !a.IsValid() || a.Is4In6() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
			t.Fatalf("%q: peer %+v", in, h.peer(0))
		}
	})
}

// converse runs one connection to its end and returns it.
func converse(t *testing.T, h *recorder, in []byte, step byte) *script {
	return converseOn(t, fuzzOptions(), h, in, step)
}

func converseOn(t *testing.T, o smtpd.ListenerOptions, h *recorder, in []byte, step byte) *script {
	s := smtpd.New(smtpd.Config{MaxMessageSize: fuzzMax, MaxRecipients: 5}, h)
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	go func() { _ = s.Serve(l, o) }()
	nc := &script{in: in, step: int(step), closed: make(chan struct{})}
	if step == 0 {
		nc.step = 1 << 20
	}
	l.conns <- nc
	select {
	case <-nc.closed:
	case <-time.After(10 * time.Second):
		t.Fatalf("hangs on %q", in)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	return nc
}

// fuzzOptions offer everything that a script can ask for.
func fuzzOptions() smtpd.ListenerOptions {
	return smtpd.ListenerOptions{
		TLS:           smtpd.TLSOptional,
		Certificate:   func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") },
		Auth:          smtpd.AuthOptional,
		PlaintextAuth: prefixes("192.0.2.1/32"),
	}
}

var replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][ -~]*$`)

// cutReplies cuts the server's output into replies.
func cutReplies(t *testing.T, out string) []string {
	var replies []string
	var cur string
	for out != "" {
		line, rest, ok := strings.Cut(out, "\r\n")
		if !ok || !replyLine.MatchString(line) {
			t.Fatalf("no reply line: %q", line)
		}
		cur, out = cur+line, rest
		if line[3] == ' ' {
			replies, cur = append(replies, cur), ""
		}
	}
	if cur != "" {
		t.Fatalf("unfinished reply %q", cur)
	}
	return replies
}

// oracle reads input and replies together, with code of its own.
type oracle struct {
	in       []byte
	replies  []string
	accepted []string
	mails    int
	logins   int
	chunks   string
}

const readyForTLS = "220 2.0.0 Ready to start TLS\r\n"

func (o *oracle) run() error {
	if r, ok := o.next(); !ok || !strings.HasPrefix(r, "220 ") {
		return fmt.Errorf("greeting %q", r)
	}
	for {
		r, ok := o.next()
		switch {
		case !ok:
			return o.unanswered()
		case strings.HasPrefix(r, "421 "), strings.HasSuffix(r, "closing connection"), strings.HasPrefix(r, "221 "):
			return o.last(r)
		}
		if err := o.command(r); err != nil {
			return err
		}
	}
}

func (o *oracle) next() (string, bool) {
	if len(o.replies) == 0 {
		return "", false
	}
	r := o.replies[0]
	o.replies = o.replies[1:]
	return r, true
}

func (o *oracle) last(r string) error {
	if len(o.replies) > 0 {
		return fmt.Errorf("replies after %q: %q", r, o.replies)
	}
	return nil
}

// unanswered expects that no whole command lacks a reply, except a BDAT whose chunk
// is incomplete.
func (o *oracle) unanswered() error {
	line, rest, ok := bytes.Cut(o.in, []byte("\n"))
	if f := strings.Fields(string(line)); len(f) > 1 && strings.EqualFold(f[0], "BDAT") {
		if size, err := strconv.ParseUint(f[1], 10, 63); err == nil && size > uint64(len(rest)) {
			return nil
		}
	}
	if ok {
		return fmt.Errorf("no reply to %q", o.in)
	}
	return nil
}

func (o *oracle) command(r string) error {
	i := bytes.IndexByte(o.in, '\n')
	if i < 0 {
		return fmt.Errorf("reply %q to no command", r)
	}
	line := string(bytes.TrimSuffix(o.in[:i], []byte("\r")))
	o.in = o.in[i+1:]
	if i >= 2048 {
		return expectReply(line[:20], r, "500 5.5.2 Line too long")
	}
	if strings.IndexFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) >= 0 {
		return expectReply(line, r, "500 5.5.2 Control")
	}
	verb, arg, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	ok := r[:3] == "250"
	switch verb = strings.ToUpper(verb); {
	case verb == "DATA" && r[:3] == "354":
		return o.data()
	case verb == "BDAT":
		return o.bdat(strings.Fields(arg), r)
	case verb == "AUTH":
		return o.auth(r)
	case verb == "STARTTLS" && r[:3] == "220":
		o.in = nil // dropped, or taken for a handshake
		return o.last(r)
	case verb == "MAIL" && ok:
		o.mails++
		o.chunks = "" // a refused EHLO between chunks ended the transaction before
	case ok && (verb == "RSET" || verb == "EHLO" || verb == "HELO"):
		o.chunks = ""
	case ok && verb != "RCPT" && verb != "NOOP":
		return fmt.Errorf("%q got %q", line, r)
	}
	return nil
}

func expectReply(what, got, want string) error {
	if !strings.HasPrefix(got, want) {
		return fmt.Errorf("%q got %q, want %q", what, got, want)
	}
	return nil
}

// data finds the end of the message and its decoded form.
func (o *oracle) data() error {
	var body []byte
	in := append([]byte("\r\n"), o.in...) // so that a first line is like others
	for i := 2; i < len(in); i++ {
		if in[i] == '.' && in[i-1] == '\n' && in[i-2] == '\r' {
			if bytes.HasPrefix(in[i:], []byte(".\r\n")) {
				o.in = in[i+3:]
				return o.result(string(body))
			}
			continue
		}
		body = append(body, in[i])
	}
	o.in = nil
	return o.last("354 and no end of the message")
}

// auth reads a dialog: each 334 takes one line. Only a whole dialog asks the
// handler.
func (o *oracle) auth(r string) error {
	for strings.HasPrefix(r, "334 ") {
		i := bytes.IndexByte(o.in, '\n')
		if i < 0 {
			return o.last("334 and no response")
		}
		o.in = o.in[i+1:]
		var ok bool
		if r, ok = o.next(); !ok {
			return fmt.Errorf("no reply to a response")
		}
		if strings.HasPrefix(r, "421 ") {
			o.in = nil // the rest stays unanswered
			return o.last(r)
		}
	}
	if strings.HasPrefix(r, "235 ") || strings.HasPrefix(r, "454 ") {
		o.logins++
	}
	if r[0] == '2' && !strings.HasPrefix(r, "235 ") || r[0] == '3' {
		return fmt.Errorf("AUTH got %q", r)
	}
	return nil
}

func (o *oracle) result(body string) error {
	r, _ := o.next()
	if len(body) > fuzzMax {
		return expectReply("a large message", r, "552 5.3.4")
	}
	o.accepted = append(o.accepted, body)
	return expectReply("a message", r, "250 2.0.0 0000000000000000 accepted")
}

func (o *oracle) bdat(args []string, r string) error {
	size, err := strconv.ParseUint(args[0], 10, 63)
	if err != nil {
		return fmt.Errorf("BDAT %q got %q", args, r)
	}
	if uint64(len(o.in)) < size {
		// Refused and skipped, or too large already; never accepted.
		o.in = nil
		if r[:3] == "250" {
			return fmt.Errorf("a chunk cut short got %q", r)
		}
		return o.last(r)
	}
	body := o.chunks + string(o.in[:size])
	o.in = o.in[size:]
	o.chunks = ""
	if strings.HasPrefix(r, "503 ") {
		return nil
	}
	switch {
	case len(body) > fuzzMax:
		return expectReply("a large message", r, "552 5.3.4")
	case len(args) == 1:
		o.chunks = body
		return expectReply("a chunk", r, "250 2.0.0 Chunk received")
	}
	o.accepted = append(o.accepted, body)
	return expectReply("the last chunk", r, "250 2.0.0 0000000000000000 accepted")
}
