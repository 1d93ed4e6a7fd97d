package smtpd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/smtpd"
)

// pipes is a listener of in-memory connections, for tests on a fake clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// onFakeClock runs f with a server whose clock the test drives, and a way to
// connect to it.
func onFakeClock(
	t *testing.T, cfg smtpd.Config, h smtpd.Handler, f func(t *testing.T, s *smtpd.Server, connect func() *client),
) {
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(cfg, h)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go func() { _ = s.Serve(l, smtpd.ListenerOptions{Name: "pipe"}) }()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		defer func() { _ = s.Shutdown(ctx) }()
		f(t, s, func() *client {
			ours, theirs := net.Pipe()
			l.conns <- theirs
			c := &client{t, ours, newReader(ours)}
			c.expect("220")
			return c
		})
	})
}

func TestRowTimeoutsTrickleIsAccepted(t *testing.T) {
	h := &recorder{}
	onFakeClock(t, smtpd.Config{}, h, func(t *testing.T, _ *smtpd.Server, connect func() *client) {
		c := connect()
		c.say("EHLO x", "250-")
		c.begin()
		c.say("DATA", "354")
		for _, b := range []byte("slow body") {
			c.send(string(b))
			time.Sleep(4 * time.Minute)
		}
		c.send("\r\n.\r\n")
		c.expect("250")
	})
	if m := h.accepted(); m[0].body != "slow body\r\n" {
		t.Errorf("body %q", m)
	}
}

// What comes after a stall must not be run, nor answered.
func TestRowTimeoutsStalledData(t *testing.T) {
	for _, begin := range []string{"DATA\r\n", "BDAT 10000 LAST\r\n"} {
		h := &recorder{}
		onFakeClock(t, smtpd.Config{}, h, func(t *testing.T, s *smtpd.Server, connect func() *client) {
			c := connect()
			c.say("EHLO x", "250-")
			c.begin()
			c.send(begin)
			if begin[0] == 'D' {
				c.expect("354")
			}
			c.send("half a line")
			at := time.Now()
			go func() { // what must not be run
				time.Sleep(5*time.Minute + time.Second)
				_, _ = io.WriteString(c.nc, "\r\n.\r\n"+
					"MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n.\r\n")
			}()
			c.expect("421 4.4.2")
			if d := time.Since(at); d != 5*time.Minute {
				t.Errorf("ended after %v", d)
			}
			time.Sleep(2 * time.Second)
			c.expectEnd()
		})
		if h.log() != "mail failed close" || len(h.accepted()) != 0 {
			t.Errorf("%q: %s", begin, h.log())
		}
	}
}

// A refusal in the middle, then a stall: still nothing is run.
func TestRowTimeoutsStalledAfterRefusal(t *testing.T) {
	h := &recorder{}
	onFakeClock(t, smtpd.Config{MaxMessageSize: 20}, h, func(t *testing.T, _ *smtpd.Server, connect func() *client) {
		c := connect()
		c.say("EHLO x", "250-")
		c.begin()
		c.say("DATA", "354")
		c.send(strings.Repeat("x", 100) + "\r\nMAIL FROM:<evil@example.org>\r\n")
		time.Sleep(5 * time.Minute)
		c.expect("421 4.4.2")
		c.expectEnd()
	})
	if h.log() != "mail failed close" {
		t.Error(h.log())
	}
}

func TestRowTimeoutsTransactionCap(t *testing.T) {
	h := &recorder{}
	onFakeClock(t, smtpd.Config{}, h, func(t *testing.T, _ *smtpd.Server, connect func() *client) {
		c := connect()
		c.say("EHLO x", "250-")
		at := time.Now()
		c.begin()
		c.say("DATA", "354")
		var trickle sync.WaitGroup
		trickle.Go(func() {
			for {
				if _, err := io.WriteString(c.nc, "x"); err != nil {
					return
				}
				time.Sleep(time.Minute)
			}
		})
		c.expect("421 4.4.2")
		c.expectEnd()
		if d := time.Since(at); d != time.Hour {
			t.Errorf("ended after %v", d)
		}
		trickle.Wait()
	})
	if h.log() != "mail failed close" {
		t.Error(h.log())
	}
}

// A command line has one deadline: trickling does not extend it.
func TestRowTimeoutsCommand(t *testing.T) {
	for _, trickle := range []string{"", "NOO"} {
		h := &recorder{}
		onFakeClock(t, smtpd.Config{}, h, func(t *testing.T, _ *smtpd.Server, connect func() *client) {
			c := connect()
			c.say("EHLO x", "250-")
			c.begin()
			at := time.Now()
			for _, b := range []byte(trickle) {
				c.send(string(b))
				time.Sleep(100 * time.Second)
			}
			c.expect("421 4.4.2")
			c.expectEnd()
			if d := time.Since(at); d != 5*time.Minute {
				t.Errorf("ended after %v", d)
			}
		})
		if h.log() != "mail abort close" {
			t.Error(h.log())
		}
	}
}

// A client that reads no replies does not keep its connection forever.
func TestRowTimeoutsWrite(t *testing.T) {
	h := &recorder{}
	onFakeClock(t, smtpd.Config{}, h, func(t *testing.T, s *smtpd.Server, connect func() *client) {
		c := connect()
		c.send("EHLO x\r\n")
		time.Sleep(5*time.Minute + time.Second)
		if n := s.Stats().Connections; n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestRowShutdownAnswersIdleSessions(t *testing.T) {
	h := &recorder{}
	onFakeClock(t, smtpd.Config{}, h, func(t *testing.T, s *smtpd.Server, connect func() *client) {
		idle, open, busy, chunks := connect(), connect(), connect(), connect()
		for _, c := range []*client{open, busy, chunks} {
			c.say("EHLO x", "250-")
			c.begin()
		}
		busy.say("DATA", "354")
		chunks.send("BDAT 3\r\nabc")
		chunks.expect("250 2.0.0 Chunk")
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		for _, c := range []*client{idle, open} {
			c.expect("421 4.3.2")
			c.expectEnd()
		}
		time.Sleep(4 * time.Minute)
		busy.send("x\r\n.\r\n")
		busy.expect("250")
		busy.expect("421 4.3.2")
		busy.expectEnd()
		chunks.send("BDAT 3 LAST\r\nabc")
		chunks.expect("250 2.0.0 0000")
		chunks.expect("421 4.3.2")
		chunks.expectEnd()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := s.Stats().Connections; n != 0 {
			t.Errorf("%d connections", n)
		}
	})
	if len(h.accepted()) != 2 || strings.Count(h.log(), "close") != 4 {
		t.Error(h.log())
	}
}

// When its time is over, Shutdown closes the remaining connections and waits for
// their end.
func TestRowShutdownCuts(t *testing.T) {
	for _, inHandler := range []bool{false, true} {
		h := &recorder{}
		if inHandler {
			h.set(hooks{data: func(ctx context.Context, _ io.Reader) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				return nil
			}})
		}
		onFakeClock(t, smtpd.Config{}, h, func(t *testing.T, s *smtpd.Server, connect func() *client) {
			c := connect()
			c.say("EHLO x", "250-")
			c.begin()
			c.say("DATA", "354")
			if !inHandler {
				c.send("half")
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v", err)
			}
			if n := s.Stats().Connections; n != 0 {
				t.Errorf("%d connections after Shutdown", n)
			}
			if !strings.HasSuffix(h.log(), "close") {
				t.Errorf("session not closed: %s", h.log())
			}
			c.expectEnd()
		})
	}
}
