package smtpd_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
)

// serve runs a server on a port that the test may change.
func serve(t *testing.T, cfg smtpd.Config, h smtpd.Handler) (*smtpd.Server, net.Listener, <-chan error) {
	t.Helper()
	s := smtpd.New(cfg, h)
	l, err := socket.Listen(t.Context(), "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l, smtpd.ListenerOptions{Name: "first"}) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
	return s, l, done
}

func TestNewSettingsAreForNewConnections(t *testing.T) {
	h := &recorder{}
	s, l, _ := serve(t, smtpd.Config{Hostname: "old.example", MaxMessageSize: 1000}, h)
	old := dial(t, l.Addr().String())
	old.expect("220 old.example")
	for range 3 { // more than one change while nobody connects
		s.Reconfigure(smtpd.Config{Hostname: "new.example", MaxMessageSize: 2000})
		s.SetOptions(l, smtpd.ListenerOptions{Name: "second", RejectBareLF: true})
	}
	fresh := dial(t, l.Addr().String())
	fresh.expect("220 new.example")
	if got := fresh.say("EHLO c", "250"); !strings.Contains(got, "SIZE 2000") {
		t.Errorf("a new connection is told %s", got)
	}
	if p := h.peer(1); p.Listener != "second" || !p.RejectBareLF {
		t.Errorf("a new connection came by %+v", p)
	}
	if got := old.say("EHLO c", "250"); !strings.Contains(got, "SIZE 1000") {
		t.Errorf("an open connection is told %s", got)
	}
	old.begin()
}

// A client that connects while settings change is served, with the old or the new.
func TestNoConnectionIsLostToAChange(t *testing.T) {
	s, l, _ := serve(t, smtpd.Config{Hostname: "a.example"}, &recorder{})
	stop, changed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(changed)
		for {
			select {
			case <-stop:
				return
			default:
				s.Reconfigure(smtpd.Config{Hostname: "a.example"})
			}
		}
	}()
	for range 50 {
		c := dial(t, l.Addr().String())
		c.expect("220 a.example")
		c.say("QUIT", "221")
		c.nc.Close()
	}
	close(stop)
	<-changed
}

func TestARetiredListenerIsClosedAndItsConnectionsGoOn(t *testing.T) {
	s, l, done := serve(t, smtpd.Config{}, &recorder{})
	c := dial(t, l.Addr().String())
	c.expect("220")
	s.Retire(l)
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if nc, err := net.Dial("tcp", l.Addr().String()); err == nil {
		nc.Close()
		t.Error("a retired listener accepts")
	}
	c.say("EHLO c", "250")
	c.begin()
}

func TestAliveFindsAnAcceptLoopThatIsStuck(t *testing.T) {
	h, open := &recorder{}, make(chan struct{})
	s, l, _ := serve(t, smtpd.Config{}, h)
	dial(t, l.Addr().String()).expect("220")
	if err := s.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{})
	h.set(hooks{connect: func(smtpd.Peer) error { close(entered); <-open; return errors.New("no") }})
	dial(t, l.Addr().String())
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Alive(ctx); err == nil || !strings.Contains(err.Error(), "first") {
		t.Errorf("Alive = %v while a handler blocks the loop", err)
	}
	close(open)
	if err := s.Alive(t.Context()); err != nil {
		t.Error(err)
	}
}
