package smtpd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
)

// recorder is a Handler that records what reaches it and answers with its hooks.
type recorder struct {
	hooks

	mu       sync.Mutex
	events   []string
	messages []message
	refusals []string
	peers    []smtpd.Peer
	from     []smtpd.MailFrom
}

// hooks are the answers; nil hooks accept.
type hooks struct {
	connect func(smtpd.Peer) error
	stands  func(smtpd.Peer) smtpd.Standing
	auth    func(user, password string) error
	mail    func(smtpd.MailFrom) error
	rcpt    func(envelope.Address) error
	data    func(ctx context.Context, r io.Reader) error // = read to the end
}

// answer returns the present hooks; set changes them.
func (h *recorder) answer() hooks {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hooks
}

func (h *recorder) set(k hooks) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hooks = k
}

type message struct {
	rcpts []string
	body  string
}

func (h *recorder) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, fmt.Sprintf(format, args...))
}

func (h *recorder) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.events, " ")
}

func (h *recorder) accepted() []message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]message(nil), h.messages...)
}

func (h *recorder) peer(i int) smtpd.Peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.peers[i]
}

func (h *recorder) transactions() []smtpd.MailFrom {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]smtpd.MailFrom(nil), h.from...)
}

// refusals are those that the server decided itself.
func (h *recorder) Refused(p smtpd.Peer, s smtpd.Session, e *reply.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusals = append(h.refusals, fmt.Sprintf("%s %t %d %s %s", p.String(), s != nil, e.Code, e.Enhanced, e.Text))
}

func (h *recorder) Connect(_ context.Context, p smtpd.Peer) (smtpd.Session, error) {
	h.mu.Lock()
	h.peers = append(h.peers, p)
	h.mu.Unlock()
	if f := h.answer().connect; f != nil {
		if err := f(p); err != nil {
			return nil, err
		}
	}
	return &recSession{h, p}, nil
}

type recSession struct {
	h    *recorder
	peer smtpd.Peer
}

func (s *recSession) Mail(_ context.Context, from smtpd.MailFrom) (smtpd.Transaction, error) {
	if f := s.h.answer().mail; f != nil {
		if err := f(from); err != nil {
			return nil, err
		}
	}
	s.h.mu.Lock()
	s.h.from = append(s.h.from, from)
	s.h.mu.Unlock()
	s.h.note("mail")
	return &recTx{h: s.h}, nil
}

// Authenticate knows the password of one user.
func (s *recSession) Authenticate(_ context.Context, user, password string) error {
	if f := s.h.answer().auth; f != nil {
		return f(user, password)
	}
	if user != "scanner" || password != "secret" {
		return errors.Join(errBadLogin, errors.New("user unknown in /etc"))
	}
	s.h.note("login")
	return nil
}

var errBadLogin = reply.New(535, reply.Enhanced{5, 7, 8}, "Authentication credentials invalid")

func (s *recSession) Standing() smtpd.Standing {
	if f := s.h.answer().stands; f != nil {
		return f(s.peer)
	}
	return smtpd.Client
}

func (s *recSession) Close() { s.h.note("close") }

type recTx struct {
	h     *recorder
	rcpts []string
	ended bool
}

func (t *recTx) Rcpt(_ context.Context, to smtpd.RcptTo) error {
	if f := t.h.answer().rcpt; f != nil {
		if err := f(to.Path); err != nil {
			return err
		}
	}
	rcpt := to.Path.String()
	if to.NoReport {
		rcpt += " without reports"
	}
	t.rcpts = append(t.rcpts, rcpt)
	return nil
}

func (t *recTx) Data(ctx context.Context, r io.Reader) (envelope.QueueID, error) {
	t.end()
	if f := t.h.answer().data; f != nil {
		if err := f(ctx, r); err != nil {
			t.h.note("failed")
			return "", err
		}
		t.h.note("data")
		return "0000000000000000", nil
	}
	b, err := io.ReadAll(r)
	if err != nil {
		if errors.Is(err, io.EOF) {
			panic("a broken end that looks like io.EOF")
		}
		t.h.note("failed")
		return "", err
	}
	t.h.note("data")
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	t.h.messages = append(t.h.messages, message{t.rcpts, string(b)})
	return "0000000000000000", nil
}

func (t *recTx) Abort() { t.end(); t.h.note("abort") }

func (t *recTx) end() {
	if t.ended {
		panic("a transaction ended twice")
	}
	t.ended = true
}

// client is an SMTP client that is in no hurry to be correct.
type client struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.t.Fatalf("sending %.40q: %v", s, err)
	}
}

// reply reads one whole reply, its lines joined by "|".
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading a reply: %v after %q", err, append(lines, line))
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "|")
		}
	}
}

func (c *client) expect(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("reply %q, want %q...", got, prefix)
	}
	return got
}

// say sends one line and expects one reply.
func (c *client) say(line, prefix string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("%.60q: reply %q, want %q...", line, got, prefix)
	}
	return got
}

// dialog runs "command -> reply prefix" lines.
func (c *client) dialog(lines ...string) {
	c.t.Helper()
	for _, l := range lines {
		line, prefix, _ := strings.Cut(l, " -> ")
		c.say(line, prefix)
	}
}

// expectEnd expects that the server has closed without a further reply.
func (c *client) expectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		c.t.Fatalf("after the end came %q (%v)", rest, err)
	}
	c.nc.Close()
}

// start serves h on a loopback port until the test ends.
func start(t testing.TB, cfg smtpd.Config, h smtpd.Handler) (*smtpd.Server, string) {
	t.Helper()
	return startOn(t, cfg, smtpd.ListenerOptions{Name: "test"}, h)
}

// startOn is start with the settings of the listener.
func startOn(t testing.TB, cfg smtpd.Config, o smtpd.ListenerOptions, h smtpd.Handler) (*smtpd.Server, string) {
	t.Helper()
	s := smtpd.New(cfg, h)
	l, err := socket.Listen(t.Context(), "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l, o) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
		if err := <-done; !errors.Is(err, smtpd.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s, l.Addr().String()
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, nc, bufio.NewReader(nc)}
}

// open starts a server and returns a client that has read the greeting.
func open(t testing.TB, cfg smtpd.Config, h smtpd.Handler) *client {
	t.Helper()
	_, addr := start(t, cfg, h)
	c := dial(t, addr)
	c.expect("220 ")
	return c
}

// inTransaction is open with a transaction ready for DATA.
func inTransaction(t testing.TB, cfg smtpd.Config, h smtpd.Handler) *client {
	t.Helper()
	c := open(t, cfg, h)
	c.say("EHLO client.example", "250-")
	c.begin()
	return c
}

func (c *client) begin() {
	c.t.Helper()
	c.dialog("MAIL FROM:<a@example.org> -> 250 2.1.0", "RCPT TO:<b@example.org> -> 250 2.1.5")
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
