package smtpd_test

// One test for each thing that go-smtp gets wrong or leaves open when measured,
// named for it: TestRowEndOfData, TestRowSequence and so on, here and in
// timeouts_test.go. A new version of go-smtp is judged by them.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
)

func TestRowEndOfData(t *testing.T) {
	for _, odd := range []string{
		"\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n\x00.\r\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n",
		"\r\n.\n", "\r\n.\rX", "\r\n.\x00\r\n",
	} {
		h := &recorder{}
		c := inTransaction(t, smtpd.Config{}, h)
		c.say("DATA", "354")
		c.send("first" + odd + "MAIL FROM:<evil@example.org>\r\nlast\r\n.\r\nNOOP\r\n")
		c.expect("250 2.0.0 0000")
		c.expect("250 2.0.0 I have")
		got := h.accepted()[0].body
		want := "first" + strings.ReplaceAll(odd, "\r\n.", "\r\n") + "MAIL FROM:<evil@example.org>\r\nlast\r\n"
		if got != want {
			t.Errorf("%q: body %q, want %q (a CR must not be lost)", odd, got, want)
		}
	}
}

// go-smtp forgets after CR CR that a line start may follow, and hangs.
func TestRowCRCRLFDotCRLF(t *testing.T) {
	h := &recorder{}
	c := inTransaction(t, smtpd.Config{}, h)
	c.say("DATA", "354")
	c.send("ends in CR\r\r\n.\r\n")
	c.expect("250 2.0.0")
	if got := h.accepted()[0].body; got != "ends in CR\r\r\n" {
		t.Errorf("body %q", got)
	}
}

func TestRowCommands(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		{"MAIL FROM:<a\x00\rb@c\x01>", "500 5.5.2"},
		{"MAIL FROM:<a\rb@example.org>", "500 5.5.2"},
		{"MAIL FROM:<a@example.org>SIZE=1", "501 5.5.4 Blank missing"},
		{"MAIL FROM:<>x", "501 5.5.4 Blank missing"},
		{"MAIL FROM:<a@example.org>>", "501 5.5.4 Blank missing"},
		{"MAIL FROM:<a@example.org>\r", "500 5.5.2"},
		{"NOOP \x7f", "500 5.5.2"},
		{"MAIL FROM:<a@exa(mple.org>", "501 5.1.7"},
		{"MAIL FROM:<a@example..org>", "501 5.1.7"},
		{"MAIL FROM:<a@\u202e.example>", "501 5.1.7"},
		{"MAIL FROM:<jürgen@example.org>", "553 5.6.7"},
		{"MAIL FROM:<a@bücher.example>", "553 5.6.7"},
		{"MAIL FROM:<jürgen@bücher.example> SMTPUTF8", "250 2.1.0"},
		{"MAIL FROM:<\xff@example.org> SMTPUTF8", "501 5.1.7"},
		{"MAIL FROM: <a@example.org>", "250 2.1.0"},
		{"mail from:a@example.org size=5", "250 2.1.0"},
		{"MAIL FROM:<>", "250 2.1.0"},
		{"MAIL FROM:<root>", "250 2.1.0"},
		{"MAIL FROM:<@relay.example:a@example.org>", "250 2.1.0"},
		{"MAIL FROM:<a@example.org> BODY=8BITMIME", "250 2.1.0"},
		{"MAIL FROM:<a@example.org> BODY=BINARYMIME", "555 5.5.4"},
		{"MAIL FROM:<a@example.org> FOO=BAR", "555 5.5.4"},
		{"MAIL FROM:<a@example.org", "501 5.5.2"},
		{"MAIL", "501 5.5.2"},
	} {
		c := open(t, smtpd.Config{}, &recorder{})
		c.say("EHLO client", "250-")
		c.say(row.line, row.want)
	}
	c := open(t, smtpd.Config{}, &recorder{})
	c.send("EHLO client\nMAIL FROM:<a@example.org>\n") // bare LF: old scripts
	c.expect("250-")
	c.expect("250 2.1.0")
}

// What go-smtp unquotes is split at the last @, and a path without a domain
// gets through its parser.
func TestRowCommandsRecipients(t *testing.T) {
	for _, row := range []struct{ path, want, rcpt string }{
		{"<b@example.org>", "250 2.1.5", "b@example.org"},
		{"<postmaster>", "250 2.1.5", "postmaster"},
		{"root", "250 2.1.5", "root"},
		{"root ", "250 2.1.5", "root"},
		{`<"odd user">`, "250 2.1.5", `"odd user"`},
		{`<"x@y"@example.org>`, "250 2.1.5", `"x@y"@example.org`},
		{`<"a\"b"@example.org>`, "250 2.1.5", `"a\"b"@example.org`},
		{`<"a>b"@example.org>`, "250 2.1.5", `"a>b"@example.org`},
		{`<"x@y">`, "501 5.1.3", ""},
		{"<>", "501 5.5.2", ""},
		{"<b@>", "501 5.5.2", ""},
		{"<ü@example.org>", "553 5.6.7", ""},
		{"<ü>", "553 5.6.7", ""},
		{"<.b@example.org>", "250 2.1.5", `".b"@example.org`},
		{"<b@[300.1.1.1]>", "501 5.1.3", ""},
		{"<b@example.org> X=NEVER", "555 5.5.4", ""},
	} {
		h := &recorder{}
		c := open(t, smtpd.Config{}, h)
		c.say("EHLO client", "250-")
		c.say("MAIL FROM:<a@example.org>", "250")
		c.say("RCPT TO:"+row.path, row.want)
		if row.rcpt == "" {
			continue
		}
		c.say("DATA", "354")
		c.say(".", "250")
		if got := h.accepted()[0].rcpts[0]; got != row.rcpt {
			t.Errorf("%s: recipient %s, want %s", row.path, got, row.rcpt)
		}
	}
}

func TestRowSequence(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	c.dialog(
		"MAIL FROM:<a@example.org> -> 503 5.5.1",
		"EHLO client -> 250-",
		"RCPT TO:<b@example.org> -> 503 5.5.1",
		"DATA -> 503 5.5.1",
		"MAIL FROM:<a@example.org> -> 250",
		"DATA -> 503 5.5.1",
		"RCPT TO:<b@example.org> -> 250",
		"MAIL FROM:<c@example.org> -> 503 5.5.1",
		"AUTH PLAIN AGEAYg== -> 502 5.5.1",
		"STARTTLSxyz -> 500 5.5.2",
		"DATA -> 354",
		". -> 250",
	)
	if m := h.accepted(); len(m) != 1 || len(m[0].rcpts) != 1 || h.transactions()[0].Path.String() != "a@example.org" {
		t.Errorf("accepted %v from %v", m, h.transactions())
	}
}

func TestRowSequenceFloods(t *testing.T) {
	t.Run("NOOP", func(t *testing.T) {
		c := open(t, smtpd.Config{}, &recorder{})
		for range 100 {
			c.say("NOOP", "250")
		}
		c.say("NOOP", "421 4.7.0")
		c.expectEnd()
	})
	t.Run("unknown", func(t *testing.T) {
		c := open(t, smtpd.Config{}, &recorder{})
		for range 10 {
			c.say("Received: from x", "500 5.5.2")
		}
		c.say("Received: from x", "421 4.7.0")
		c.expectEnd()
	})
	t.Run("a message resets both counts", func(t *testing.T) {
		c := open(t, smtpd.Config{}, &recorder{})
		for range 4 {
			for range 9 {
				c.say("FOO", "500")
			}
			for range 90 {
				c.say("RSET", "250")
			}
			c.say("EHLO client", "250-")
			c.begin()
			c.say("DATA", "354")
			c.say(".", "250")
		}
	})
	t.Run("a browser", func(t *testing.T) {
		c := open(t, smtpd.Config{}, &recorder{})
		// All of it can be sent: a reset would keep the reply from being read.
		c.send("POST / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("EHLO x\r\n", 100_000))
		c.expect("421 4.7.0")
		c.expectEnd()
	})
}

// Without TLS, STARTTLS is not offered, and asking for it changes nothing.
func TestRowSTARTTLS(t *testing.T) {
	c := open(t, smtpd.Config{}, &recorder{})
	if got := c.say("EHLO client", "250-"); strings.Contains(got, "STARTTLS") || strings.Contains(got, "AUTH") {
		t.Errorf("EHLO %q", got)
	}
	c.dialog("STARTTLS -> 502 5.5.1", "AUTH LOGIN -> 502 5.5.1", "NOOP -> 250")
}

func TestRowErrorMapping(t *testing.T) {
	full := reply.New(452, reply.Enhanced{4, 3, 1}, "Insufficient system storage")
	for _, row := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("spool /var/lib: %w", full), "452 4.3.1 Insufficient system storage"},
		{errors.New("open /var/lib/secret"), "451 4.3.0 Local error in processing, try again later"},
		{reply.New(550, reply.Enhanced{5, 7, 1}, "No\r\n250 2.0.0 yes"), "550 5.7.1 No??250 2.0.0 yes"},
	} {
		for verb, h := range map[string]*recorder{
			"MAIL": {hooks: hooks{mail: func(smtpd.MailFrom) error { return row.err }}},
			"RCPT": {hooks: hooks{rcpt: func(envelope.Address) error { return row.err }}},
			"DATA": {hooks: hooks{data: func(_ context.Context, r io.Reader) error {
				_, _ = io.Copy(io.Discard, r)
				return row.err
			}}},
			"BDAT": {hooks: hooks{data: func(context.Context, io.Reader) error { return row.err }}},
		} {
			c := open(t, smtpd.Config{}, h)
			c.say("EHLO client", "250-")
			got := c.say("MAIL FROM:<a@example.org>", "")
			if verb != "MAIL" {
				got = c.say("RCPT TO:<b@example.org>", "")
			}
			switch verb {
			case "DATA":
				c.say("DATA", "354")
				got = c.say("body\r\n.", "")
			case "BDAT":
				c.send("BDAT 6 LAST\r\nNOOP\r\n")
				got = c.reply()
			}
			if got != row.want {
				t.Errorf("%s: reply %q, want %q", verb, got, row.want)
			}
			c.say("NOOP", "250")
		}
	}
	for _, e := range []error{errors.New("secret"), reply.New(554, reply.Enhanced{5, 7, 1}, "Access denied")} {
		h := &recorder{hooks: hooks{connect: func(smtpd.Peer) error { return e }}}
		_, addr := start(t, smtpd.Config{}, h)
		c := dial(t, addr)
		got, want := c.reply(), fmt.Sprint(reply.Of(e).Code)
		if !strings.HasPrefix(got, want) || strings.Contains(got, "secret") {
			t.Errorf("greeting %q", got)
		}
		c.expectEnd()
	}
}

func TestRowLineLength(t *testing.T) {
	h := &recorder{}
	c := inTransaction(t, smtpd.Config{MaxMessageSize: 8 << 20}, h)
	long := strings.Repeat("x", 5<<20)
	c.say("DATA", "354")
	c.send(long + "\r\n.\r\n")
	c.expect("250")
	c.begin()
	// The chunk comes in the segment of its command.
	c.send("BDAT 3002 LAST\r\n" + long[:3000] + "\r\n")
	c.expect("250 2.0.0 0000")
	if m := h.accepted(); m[0].body != long+"\r\n" || m[1].body != long[:3000]+"\r\n" {
		t.Error("a long line was damaged")
	}
	c.say("NOOP "+long[:2041], "250") // with CRLF just the limit
	c.say("NOOP "+long[:2042], "500 5.5.2")
	c.say("NOOP "+long[:40000], "500 5.5.2")
	c.say("NOOP", "250")
	c.send(long[:200<<10])
	c.expect("500 5.5.2")
	c.expectEnd()
}

func TestRowSize(t *testing.T) {
	const limit = 100_000
	h := &recorder{}
	c := open(t, smtpd.Config{MaxMessageSize: limit}, h)
	c.say("EHLO client", "250-")
	for _, size := range []string{"100001", "4294967295", "4294967296", "99999999999999999999"} {
		c.say("MAIL FROM:<a@example.org> SIZE="+size, "552 5.3.4")
	}
	c.say("MAIL FROM:<a@example.org> SIZE=100000", "250")
	c.say("RCPT TO:<b@example.org>", "250")
	exact := strings.Repeat("0123456\r\n", limit/9)
	exact = strings.Repeat("y", limit-len(exact)) + exact
	c.say("DATA", "354")
	c.send(exact + ".\r\n")
	c.expect("250 2.0.0")
	if h.accepted()[0].body != exact || h.transactions()[0].Size != limit {
		t.Error("the message of exactly the limit was damaged")
	}
	// One byte more, and then what would be a whole transaction.
	c.begin()
	c.say("DATA", "354")
	c.send("z" + exact + "RSET\r\nMAIL FROM:<evil@example.org>\r\n.\r\n")
	c.expect("552 5.3.4")
	c.begin()
	c.send(fmt.Sprintf("BDAT %d\r\n%sBDAT 1 LAST\r\nz", limit, exact))
	c.expect("250 2.0.0")
	c.expect("552 5.3.4")
	c.say("NOOP", "250")
	if len(h.accepted()) != 1 || len(h.transactions()) != 3 {
		t.Errorf("%d accepted, %d transactions", len(h.accepted()), len(h.transactions()))
	}
}

// A handler cannot turn "too large" into something else, nor accept it.
func TestRowSizeHandlerMasksTheError(t *testing.T) {
	h := &recorder{}
	h.set(hooks{data: func(_ context.Context, r io.Reader) error {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return errors.New("masked")
		}
		return nil
	}})
	c := inTransaction(t, smtpd.Config{MaxMessageSize: 5}, h)
	c.say("DATA", "354")
	c.say("123456\r\n.", "552 5.3.4")
	h.set(hooks{data: func(_ context.Context, r io.Reader) error { _, _ = io.Copy(io.Discard, r); return nil }})
	c.begin()
	c.say("DATA", "354")
	c.say("123456\r\n.", "451 4.3.0")
}

func TestRowRecipients(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{MaxRecipients: 3}, h)
	c.say("EHLO client", "250-")
	c.say("MAIL FROM:<a@example.org>", "250")
	for i := range 10_000 {
		if i < 3 {
			c.say(fmt.Sprintf("RCPT TO:<b%d@example.org>", i), "250")
		} else {
			c.say(fmt.Sprintf("RCPT TO:<b%d@example.org>", i), "452 4.5.3")
		}
	}
	c.say("DATA", "354")
	c.say(".", "250")
	if got := len(h.accepted()[0].rcpts); got != 3 {
		t.Errorf("%d recipients", got)
	}
}

func TestRowDSN(t *testing.T) {
	c := open(t, smtpd.Config{}, &recorder{})
	if got := c.say("EHLO client", "250-"); strings.Contains(got, "DSN") {
		t.Errorf("EHLO %q", got)
	}
	c.say("MAIL FROM:<a@example.org> RET=LINES", "501 5.5.4 Malformed DSN")
	c.say("MAIL FROM:<a@example.org> RET=HDRS", "250")
}

func TestRowPanic(t *testing.T) {
	for _, verb := range []string{"CONNECT", "MAIL", "RCPT", "DATA", "BDAT"} {
		h := &recorder{}
		s, addr := start(t, smtpd.Config{}, h)
		other := dial(t, addr)
		other.expect("220")
		switch verb {
		case "CONNECT":
			h.set(hooks{connect: func(smtpd.Peer) error { panic(verb) }})
		case "MAIL":
			h.set(hooks{mail: func(smtpd.MailFrom) error { panic(verb) }})
		case "RCPT":
			h.set(hooks{rcpt: func(envelope.Address) error { panic(verb) }})
		default:
			h.set(hooks{data: func(context.Context, io.Reader) error { panic(verb) }})
		}
		c := dial(t, addr)
		lines := []string{"EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA"}
		if verb == "BDAT" {
			lines[3] = "BDAT 6 LAST\r\nRSET"
		}
		c.send(strings.Join(lines, "\r\n") + "\r\n")
		for {
			if got := c.reply(); strings.HasPrefix(got, "421 4.3.0") {
				break
			}
		}
		c.expectEnd()
		other.say("NOOP", "250")
		other.say("QUIT", "221")
		other.expectEnd()
		waitGone(t, s)
		if verb == "RCPT" && h.log() != "mail abort close close" {
			t.Errorf("%s: %s", verb, h.log())
		}
	}
}

// QUIT with MAIL behind it met a nil session in go-smtp.
func TestRowPanicQuitPipelined(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	c.send("EHLO x\r\nQUIT\r\nMAIL FROM:<a@example.org>\r\n")
	c.expect("250-")
	c.expect("221")
	c.expectEnd()
	if len(h.transactions()) != 0 {
		t.Error("MAIL ran behind QUIT")
	}
}

func TestRowBDAT(t *testing.T) {
	h := &recorder{}
	c := inTransaction(t, smtpd.Config{}, h)
	c.send("BDAT 5\r\nab\r\n.BDAT 0\r\nNOOP\r\nBDAT 4 LAST\r\n\r\ncdMAIL FROM:<c@example.org>\r\n")
	c.expect("250 2.0.0 Chunk")
	c.expect("250 2.0.0 Chunk")
	c.expect("503 5.5.1")
	c.expect("250 2.0.0 0000")
	c.expect("250 2.1.0")
	if m := h.accepted(); m[0].body != "ab\r\n.\r\ncd" {
		t.Errorf("body %q", m[0].body)
	}
}

func TestRowBDATCutShort(t *testing.T) {
	for _, cut := range []string{"BDAT 1000 LAST\r\nNOOP\r\n", "BDAT 6\r\nNOOP\r\n", "BDAT 6\r\nNOOP\r\nBDAT 1"} {
		h := &recorder{}
		s, addr := start(t, smtpd.Config{}, h)
		c := dial(t, addr)
		c.send("EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n" + cut)
		_ = c.nc.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(c.r)
		if strings.Contains(string(all), "0000") {
			t.Errorf("%q was accepted: %q", cut, all)
		}
		waitGone(t, s)
		if got := h.log(); got != "mail failed close" {
			t.Errorf("%q: %s", cut, got)
		}
	}
}

// A new transaction must not begin while the Data of the last one runs.
func TestRowBDATInterrupted(t *testing.T) {
	for _, line := range []string{"RSET", "EHLO again"} {
		h := &recorder{}
		c := inTransaction(t, smtpd.Config{}, h)
		c.send("BDAT 3\r\nabc")
		c.expect("250 2.0.0 Chunk")
		c.say("RCPT TO:<c@example.org>", "503 5.5.1")
		c.say("DATA", "503 5.5.1")
		c.say(line, "250")
		c.begin()
		c.send("BDAT 3 LAST\r\nxyz")
		c.expect("250 2.0.0 0000")
		if m := h.accepted(); len(m) != 1 || m[0].body != "xyz" || h.log() != "mail failed mail data" {
			t.Errorf("%s: %q %s", line, m, h.log())
		}
	}
	h := &recorder{}
	c := inTransaction(t, smtpd.Config{}, h)
	c.send("BDAT 3\r\nabcQUIT\r\n")
	c.expect("250 2.0.0 Chunk")
	c.expect("221")
	c.expectEnd()
}

// The bytes of a refused chunk are not commands.
func TestRowBDATRefused(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	c.say("EHLO x", "250-")
	evil := "MAIL FROM:<evil@example.org>\r\n"
	c.send(fmt.Sprintf("BDAT %d\r\n%sNOOP\r\n", len(evil), evil))
	c.expect("503 5.5.1")
	c.expect("250 2.0.0")
	c.begin()
	no := reply.New(550, reply.Enhanced{5, 7, 1}, "No")
	h.set(hooks{data: func(context.Context, io.Reader) error { return no }})
	c.send(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%sNOOP\r\n", len(evil), evil, len(evil), evil))
	c.expect("550 5.7.1")
	c.expect("503 5.5.1")
	c.expect("250 2.0.0")
	for _, odd := range []string{
		"BDAT", "BDAT x", "BDAT -1", "BDAT 5 FIRST", "BDAT 5 LAST LAST", "BDAT 99999999999999999999",
	} {
		c := inTransaction(t, smtpd.Config{}, h)
		c.send(odd + "\r\n" + evil)
		c.expect("501 5.5.4")
		c.expectEnd()
	}
	c = open(t, smtpd.Config{}, h)
	c.send("BDAT 999999999999\r\n" + evil)
	c.expect("503")
	c.expectEnd()
	if n := len(h.transactions()); n != 7 {
		t.Errorf("%d transactions, want 7", n)
	}
}

func TestRowSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := socket.Listen(t.Context(), "unix:"+path, 0o620)
	if err != nil {
		t.Fatal(err)
	}
	h := &recorder{}
	s := smtpd.New(smtpd.Config{}, h)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l, smtpd.ListenerOptions{Name: "unix:" + path}) }()
	for range 3 {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := &client{t: t, nc: nc, r: newReader(nc)}
		c.expect("220")
	}
	p := h.peer(0)
	if !p.Unix || p.Addr.IsValid() || p.Listener != "unix:"+path || p.User != strconv.Itoa(os.Getuid()) {
		t.Errorf("peer %+v", p)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-done
}

// The handler is asked before the greeting, with the peer unmapped.
func TestRowHooks(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	if p := h.peer(0); p.Addr.String() != c.nc.LocalAddr().String() || p.Unix || p.Listener != "test" {
		t.Errorf("peer %+v, client %v", p, c.nc.LocalAddr())
	}
	s := smtpd.New(smtpd.Config{}, h)
	l, err := net.Listen("tcp", "[::]:0") // dual stack: IPv4 peers come mapped
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l, smtpd.ListenerOptions{}) }()
	defer func() { _ = s.Shutdown(t.Context()) }()
	c = dial(t, fmt.Sprintf("127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port))
	c.expect("220")
	if a := h.peer(1).Addr.Addr(); !a.Is4() {
		t.Errorf("peer %v is not unmapped", a)
	}
}

func waitGone(t *testing.T, s *smtpd.Server) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); s.Stats().Connections > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still %d connections", s.Stats().Connections)
		}
	}
}
