package intake

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"net/textproto"
	"slices"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
)

// A client that may have twenty connections keeps those and makes ten thousand
// attempts: another client's mail is still accepted, and the log stays short.
func TestFloodLeavesOthersServed(t *testing.T) {
	const attempts, workers, most = 10_000, 8, 20
	var log safeBuffer
	b := newBench(t, func(c *Config) {
		sender := policy.Sender{Address: addr("reports@example.org")}
		c.Policy = policy.New(policy.Rules{Senders: []policy.Sender{sender}, Clients: []policy.ClientRule{
			{Name: "flood", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, MaxConnections: most},
			{Name: "other", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, MaxConnections: most},
		}})
		c.Notify, c.Now = func(spool.Message) {}, time.Now
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	s := smtpd.New(smtpd.Config{MaxConnections: 50}, b)
	l, err := socket.Listen(t.Context(), "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l, smtpd.ListenerOptions{}) }()
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	}()

	began, done := time.Now(), make(chan struct{})
	var flood sync.WaitGroup
	var mu sync.Mutex
	var kept []net.Conn
	refused := 0
	for range workers {
		flood.Go(func() {
			for range attempts / workers {
				nc, admitted := attempt127002(t, l.Addr().String())
				mu.Lock()
				if admitted {
					kept = append(kept, nc)
				} else {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	go func() { flood.Wait(); close(done) }()

	var times []time.Duration
	for flooding := true; flooding; {
		select {
		case <-done:
			flooding = false
		default:
			at := time.Now()
			sendMail(t, l.Addr().String())
			times = append(times, time.Since(at))
		}
	}
	for _, nc := range kept {
		nc.Close()
	}
	slices.Sort(times)
	p99 := times[len(times)*99/100]
	t.Logf("%d mails of the other client during %d attempts: p50 %v, p99 %v; %d bytes of log", len(times), attempts,
		times[len(times)/2], p99, log.size())
	if len(kept) != most || refused != attempts-most {
		t.Errorf("%d kept, %d refused", len(kept), refused)
	}
	// make bench measures the speed; here the machine is shared.
	windows := int(time.Since(began)/(10*time.Second)) + 2
	if lines := log.count("msg=refused"); lines > windows*logLines {
		t.Errorf("%d lines about refusals in %d times ten seconds", lines, windows)
	}
}

// attempt127002 connects as the flood; admitted ones are kept.
func attempt127002(t *testing.T, to string) (nc net.Conn, admitted bool) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	nc, err := d.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return nil, false
	}
	first := make([]byte, 3)
	if _, err := nc.Read(first); err == nil && string(first) == "220" {
		return nc, true
	}
	nc.Close()
	return nil, false
}

// sendMail is one mail on a connection of its own.
func sendMail(t *testing.T, to string) {
	t.Helper()
	c, err := textproto.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []struct {
		line string
		code int
	}{
		{"", 220}, {"EHLO x", 250}, {"MAIL FROM:<reports@example.org>", 250}, {"RCPT TO:<a@example.net>", 250},
		{"DATA", 354},
		{"From: reports@example.org\r\n\r\nx\r\n.", 250}, {"QUIT", 221},
	} {
		if step.line != "" {
			if err := c.PrintfLine("%s", step.line); err != nil {
				t.Fatal(err)
			}
		}
		if _, msg, err := c.ReadResponse(step.code); err != nil {
			t.Fatalf("%q: %s %v", step.line, msg, err)
		}
	}
}

// safeBuffer is a log that several goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Len()
}

func (s *safeBuffer) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.b.Bytes(), []byte(what))
}
