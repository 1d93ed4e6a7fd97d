//go:build bench

package bench

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// flood: how long a mail of one client takes, from connecting to its answer,
// while another client, which may have 20 connections and keeps them, tries
// 10,000 times.
func flood(t *testing.T, _ form, r *report) {
	const attempts, workers, most = 10_000, 8, 20
	relay, _ := start(t, graphLatency, harness.With("top", "clients:",
		"  - {name: flood, networks: [127.0.0.2], max_connections: 20}", "  - {name: other, networks: [127.0.0.1]}"))
	var kept []net.Conn
	var mu sync.Mutex
	var attackers sync.WaitGroup
	for range workers {
		attackers.Go(func() {
			for range attempts / workers {
				if c := tryFrom(t, "127.0.0.2", relay.Addr); c != nil {
					mu.Lock()
					kept = append(kept, c)
					mu.Unlock()
				}
			}
		})
	}
	ctx, over := context.WithCancel(context.Background())
	go func() { attackers.Wait(); over() }()
	p := newPump(relay.Addr, 10_000, harness.Sender)
	var took []float64
	for ctx.Err() == nil {
		begin := time.Now()
		p.run(context.Background(), 1, 1)
		took = append(took, time.Since(begin).Seconds()*1000)
	}
	for _, c := range kept {
		c.Close()
	}
	if len(kept) != most || p.sent.Load() != int64(len(took)) {
		t.Errorf("the flood got %d connections, not %d; %d of %d mails of the other client were accepted", len(kept),
			most, p.sent.Load(), len(took))
	}
	r.row("a mail while another client tries 10,000 connections, ms, p50 / p99",
		fmt.Sprintf("%.1f / %.1f", quantile(took, 0.5), quantile(took, 0.99)), "", "p99 1000")
}

// tryFrom connects from an address; nil where the relay refuses.
func tryFrom(t *testing.T, from, to string) net.Conn {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return nil
	}
	first := make([]byte, 3)
	if _, err := c.Read(first); err == nil && string(first) == "220" {
		return c
	}
	c.Close()
	return nil
}
