//go:build torture

package torture

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/e2e/harness"
)

// load is a number of SMTP clients that note in a ledger what they were told.
// A message whose answer does not come is sent again, as a real client does.
type load struct {
	addr    string
	senders []string
	ledger  *ledger
	most    int64 // messages in all
	number  atomic.Int64
	refused atomic.Int64 // answers other than 250
	clients sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
	mu      sync.Mutex
	conns   map[net.Conn]bool
	left    []*letter // whose fate the clients did not know at their end
}

// startLoad starts clients that go on until stop, or until most messages were
// written. They connect again for as long as it takes. again are letters that
// earlier clients have to send again; there must not be more than clients.
func startLoad(addr string, l *ledger, clients int, most int64, again []*letter, senders ...string) *load {
	ctx, stop := context.WithCancel(context.Background())
	ld := &load{addr: addr, senders: senders, ledger: l, most: most, ctx: ctx, stop: stop, conns: map[net.Conn]bool{}}
	for i := range clients {
		var first *letter
		if i < len(again) {
			first = again[i]
		}
		ld.clients.Go(func() { ld.client(rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i))), first) })
	}
	return ld
}

// cut ends all connections at once, as a power cut does, and waits.
func (ld *load) cut() {
	ld.stop()
	ld.mu.Lock()
	for c := range ld.conns {
		c.Close()
	}
	ld.mu.Unlock()
	ld.clients.Wait()
}

func (ld *load) client(r *rand.Rand, again *letter) {
	defer func() { ld.leave(again) }()
	for ld.ctx.Err() == nil {
		c, err := net.DialTimeout("tcp", ld.addr, 5*time.Second)
		if err != nil {
			pause(ld.ctx, time.Duration(1+r.IntN(20))*time.Millisecond)
			continue
		}
		if !ld.hold(c) {
			return
		}
		again = ld.talk(c, r, again)
		ld.drop(c)
		if again == nil && ld.number.Load() >= ld.most {
			return
		}
	}
}

// letter is a message that may have to be sent again.
type letter struct{ id, from, to, header, body string }

// talk sends a few messages on one connection. It returns the one whose fate
// the client does not know, or nil.
func (ld *load) talk(c net.Conn, r *rand.Rand, again *letter) *letter {
	in := bufio.NewReader(c)
	ok := func(command string, want int) bool {
		if command != "" {
			if _, err := c.Write([]byte(command + "\r\n")); err != nil {
				return false
			}
		}
		reply, err := harness.ReadReply(c, in)
		if err == nil && reply.Code != want && reply.Code != 221 {
			ld.refused.Add(1)
		}
		return err == nil && reply.Code == want
	}
	if !ok("", 220) || !ok("EHLO client.example.org", 250) {
		return again
	}
	for range 1 + r.IntN(5) {
		m := again
		if m == nil {
			if ld.ctx.Err() != nil || ld.number.Load() >= ld.most {
				break
			}
			m = ld.letter(r)
		}
		if !ok("MAIL FROM:<"+m.from+">", 250) || !ok("RCPT TO:<"+m.to+">", 250) || !ok("DATA", 354) {
			return again
		}
		var answered bool
		if answered, again = ld.data(c, in, m); !answered || again != nil {
			return again
		}
	}
	ok("QUIT", 221)
	return nil
}

// data sends the message itself; the one to send again, if any.
func (ld *load) data(c net.Conn, in *bufio.Reader, m *letter) (answered bool, again *letter) {
	ld.ledger.written(m.id, m.body)
	whole := harness.DotStuff(m.header + "\r\n" + m.body)
	// The final dot goes apart: until its first octet is written the client
	// knows that the message was not submitted.
	if _, err := c.Write([]byte(whole[:len(whole)-3])); err != nil {
		return false, m
	}
	if _, err := c.Write([]byte(".\r\n")); err != nil {
		ld.ledger.unsure(m.id)
		return false, m
	}
	reply, err := harness.ReadReply(c, in)
	switch {
	case err != nil || reply.Code == 421:
		ld.ledger.unsure(m.id)
		return false, m
	case reply.Code == 250:
		ld.ledger.acked(m.id)
		return true, nil
	}
	ld.refused.Add(1)
	return true, m
}

// letter makes a message of 200 octets to 30 KB, now and then of 400 KB.
func (ld *load) letter(r *rand.Rand) *letter {
	n := ld.number.Add(1)
	lines := 3 + r.IntN(400)
	if r.IntN(40) == 0 {
		lines = 5000
	}
	id := fmt.Sprintf("<%d.%d@torture.example.org>", n, r.Uint64())
	from := ld.senders[r.IntN(len(ld.senders))]
	to := fmt.Sprintf("r%d@example.org", n)
	header := "From: " + from + "\r\nTo: " + to +
		"\r\nSubject: torture\r\nDate: Sun, 22 Nov 2026 08:00:00 +0000\r\nMessage-ID: " + id + "\r\n"
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "%s line %d .............................................\r\n", id, i)
	}
	return &letter{id, from, to, header, b.String()}
}

// leave notes what a client has not got rid of.
func (ld *load) leave(m *letter) {
	if m == nil {
		return
	}
	ld.mu.Lock()
	defer ld.mu.Unlock()
	ld.left = append(ld.left, m)
}

func (ld *load) hold(c net.Conn) bool {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	if ld.ctx.Err() != nil {
		c.Close()
		return false
	}
	ld.conns[c] = true
	return true
}

func (ld *load) drop(c net.Conn) {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	delete(ld.conns, c)
	c.Close()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
