package relay

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/sandbox"
)

const (
	sender   = "notifications@contoso.com"
	patience = 20 * time.Second
)

// bench is a folder with a configuration, and the double that it names.
type bench struct {
	double *sandbox.Double
	dir    string
	text   string // the configuration
	log    logBuffer
	sent   chan sandbox.Message // what the double accepted
}

// newBench makes a bench whose relay listens on any free port of loopback. more
// is added to its configuration.
func newBench(t *testing.T, more string) *bench {
	t.Helper()
	b := &bench{sent: make(chan sandbox.Message, 100)}
	// Not t.TempDir: the path of a unix socket must be short.
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b.dir = dir
	if b.double, err = sandbox.New(sandbox.Options{OnMessage: func(m sandbox.Message) { b.sent <- m }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.double.Close() })
	if err := b.double.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	files, err := b.double.WriteFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files.Config)
	if err != nil {
		t.Fatal(err)
	}
	b.text = strings.Replace(string(text), "127.0.0.1:2525", "127.0.0.1:0", 1) +
		"hostname: relay.contoso.com\nalerts: {webhook_url_file: webhook}\n" + more
	b.write(t, "webhook", "http://127.0.0.1:1/")
	return b
}

func (b *bench) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces text in the configuration.
func (b *bench) edit(t *testing.T, old, now string) {
	t.Helper()
	if strings.Count(b.text, old) != 1 {
		t.Fatalf("the configuration does not hold %q once:\n%s", old, b.text)
	}
	b.text = strings.Replace(b.text, old, now, 1)
}

func (b *bench) load() (*config.Config, error) {
	return config.Parse("config.yaml", []byte(b.text), b.dir)
}

// options are those of New.
func (b *bench) options(t *testing.T) Options {
	t.Helper()
	c, err := b.load()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Config:  c,
		Version: "1.2.3",
		Log:     slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Load:    b.load,
	}
}

// running is a relay that runs until stop, or the end of the test.
type running struct {
	*Relay
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // what Run returned
}

func (b *bench) start(t *testing.T) *running {
	t.Helper()
	return b.startWith(t, b.options(t))
}

func (b *bench) startWith(t *testing.T, o Options) *running {
	t.Helper()
	r, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Relay: r, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(run.done)
		run.err = r.Run(ctx)
	}()
	t.Cleanup(func() { _ = run.stop() })
	return run
}

// stop ends Run and returns what it returned.
func (r *running) stop() error {
	r.cancel()
	<-r.done
	return r.err
}

// logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// dialog is an SMTP connection.
type dialog struct {
	t *testing.T
	*textproto.Conn
}

// dial opens a connection and expects the greeting to name host.
func dial(t *testing.T, addr, host string) dialog {
	t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	d := dialog{t, textproto.NewConn(c)}
	if _, text, err := d.ReadResponse(220); err != nil || !strings.HasPrefix(text, host+" ") {
		t.Fatalf("greeting %q of %s: %v", text, host, err)
	}
	d.say(250, "EHLO client")
	return d
}

// say sends a line and expects a code; it returns the text of the reply.
func (d dialog) say(code int, format string, args ...any) string {
	d.t.Helper()
	if err := d.PrintfLine(format, args...); err != nil {
		d.t.Fatal(err)
	}
	_, text, err := d.ReadResponse(code)
	if err != nil {
		d.t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
	return text
}

// open begins a message up to its header.
func (d dialog) open(from, subject string) {
	d.t.Helper()
	d.say(250, "MAIL FROM:<%s>", from)
	d.say(250, "RCPT TO:<someone@example.org>")
	d.say(354, "DATA")
	_, err := fmt.Fprintf(d.W, "From: %s\r\nTo: someone@example.org\r\nSubject: %s\r\n\r\n", from, subject)
	if err != nil {
		d.t.Fatal(err)
	}
}

// send sends a message, expects it to be accepted and returns the reply.
func (d dialog) send(from, subject string) string {
	d.t.Helper()
	d.open(from, subject)
	return d.say(250, "hello\r\n.")
}

// awaits returns the next message that the double accepted.
func (b *bench) awaits(t *testing.T, subject string) sandbox.Message {
	t.Helper()
	select {
	case m := <-b.sent:
		if m.Subject != subject {
			t.Fatalf("delivered %q, want %q", m.Subject, subject)
		}
		return m
	case <-time.After(patience):
		t.Fatalf("%q was not delivered; log:\n%s", subject, b.log.String())
		return sandbox.Message{}
	}
}
