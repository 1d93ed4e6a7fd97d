package smtpd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"graphrelay/relay/smtpd"
)

func TestManyMessagesOnOneConnection(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	c.say("EHLO x", "250-")
	for range 300 {
		c.begin()
		c.dialog(
			"RSET -> 250", "MAIL FROM:<> -> 250", "RCPT TO:<b@example.org> -> 250", "DATA -> 354",
			"body\r\n. -> 250 2.0.0", "HELO x -> 250 localhost",
		)
	}
	if n := len(h.accepted()); n != 300 {
		t.Errorf("%d messages", n)
	}
	if strings.Count(h.log(), "mail abort mail data") != 300 {
		t.Error("RSET must abort")
	}
}

// A whole pipelined group is answered in one write, in order.
func TestPipelining(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	c.send("EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<>\r\nDATA\r\n")
	for _, want := range []string{"250-", "250 2.1.0", "250 2.1.5", "501", "354"} {
		c.expect(want)
	}
	c.send("x\r\n.\r\nMAIL FROM:<c@example.org>\r\nRCPT TO:<d@example.org>\r\nQUIT\r\n")
	for _, want := range []string{"250 2.0.0", "250", "250", "221"} {
		c.expect(want)
	}
	c.expectEnd()
}

func TestMailFromSaysHowTheClientCame(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	c.dialog(
		"HELO w\xe9b -> 250", "MAIL FROM:<> -> 250", "EHLO [127.0.0.1] x -> 250-",
		"MAIL FROM:<a@b> SIZE=7 SMTPUTF8 -> 250",
	)
	got := h.transactions()
	if m := got[0]; m.Helo != "w?b" || m.ESMTP || !m.Path.IsZero() || m.UTF8 {
		t.Errorf("%+v", m)
	}
	if m := got[1]; m.Helo != "[127.0.0.1]" || !m.ESMTP || m.Path.String() != "a@b" || m.Size != 7 || !m.UTF8 {
		t.Errorf("%+v", m)
	}
}

func TestConnectionLimits(t *testing.T) {
	var log logBuffer
	cfg := smtpd.Config{MaxConnections: 3, Log: slog.New(slog.NewTextHandler(&log, nil))}
	s, addr := start(t, cfg, &recorder{})
	var open []*client
	for range 3 {
		c := dial(t, addr)
		c.expect("220")
		open = append(open, c)
	}
	for range 50 {
		c := dial(t, addr)
		c.expect("421 4.7.0")
		c.expectEnd()
	}
	open[0].say("QUIT", "221")
	open[0].expectEnd()
	for s.Stats().Connections == 3 {
	}
	dial(t, addr).expect("220")
	if st := s.Stats(); st.Connections != 3 || st.Accepted != 4 || st.Refused != 50 {
		t.Errorf("%+v", st)
	}
	if n := strings.Count(log.String(), `msg="connections refused"`); n != 1 {
		t.Errorf("%d log lines for 50 refusals of one client", n)
	}
}

// A handler that refuses in the middle of a message, or accepts without reading.
func TestHandlerThatDoesNotRead(t *testing.T) {
	h := &recorder{}
	h.set(hooks{data: func(_ context.Context, r io.Reader) error {
		_, err := io.ReadFull(r, make([]byte, 3))
		return errors.Join(err, errors.New("no"))
	}})
	c := inTransaction(t, smtpd.Config{}, h)
	c.say("DATA", "354")
	c.send("abc" + strings.Repeat("MAIL FROM:<evil@example.org>\r\n", 10_000) + ".\r\n")
	c.expect("451 4.3.0")
	c.begin()
	h.set(hooks{data: func(context.Context, io.Reader) error { return nil }})
	c.say("DATA", "354")
	c.send("abc\r\n.\r\n")
	c.expect("451 4.3.0")
	if len(h.transactions()) != 2 {
		t.Error("a body was run")
	}
}

// A socket closed with unread input is reset, and the last reply may be lost: so
// after a refusal the server keeps reading for a while.
func TestLastReplyIsNotLostToAReset(t *testing.T) {
	nc := converse(t, &recorder{}, []byte("GET / HTTP/1.1\r\n"+strings.Repeat("x", 100_000)), 200)
	if !strings.HasSuffix(nc.out.String(), "421 4.7.0 This is SMTP, closing connection\r\n") || len(nc.in) > 0 {
		t.Errorf("%d bytes unread, output %q", len(nc.in), nc.out.String())
	}
}

// A reader kept beyond the message must not see the next one.
func TestReaderOutlivesTheMessage(t *testing.T) {
	h := &recorder{}
	var kept io.Reader
	h.set(hooks{data: func(_ context.Context, r io.Reader) error { kept = r; return errors.New("no") }})
	c := inTransaction(t, smtpd.Config{}, h)
	c.say("DATA", "354")
	c.say("abc\r\n.", "451")
	c.say("NOOP", "250")
	if n, err := kept.Read(make([]byte, 10)); n > 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v", n, err)
	}
}

func TestServeAfterShutdown(t *testing.T) {
	s := smtpd.New(smtpd.Config{}, &recorder{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l, smtpd.ListenerOptions{}); !errors.Is(err, smtpd.ErrServerClosed) {
		t.Error(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Ten mebibytes in one line, in small reads, cost no memory.
func TestLongLinesCostNoMemory(t *testing.T) {
	h := &recorder{}
	h.set(hooks{data: func(_ context.Context, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }})
	c := inTransaction(t, smtpd.Config{MaxMessageSize: 64 << 20}, h)
	c.say("DATA", "354")
	before := memory()
	line := bytes.Repeat([]byte("x"), 1<<20)
	for range 10 {
		if _, err := c.nc.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if used := memory() - before; used > 4<<20 {
		t.Errorf("used %d bytes", used)
	}
	c.say("\r\n.", "250")
}
