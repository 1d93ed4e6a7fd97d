//go:build bench

package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/e2e/harness"
)

// pump is a number of clients that send messages over connections they keep.
type pump struct {
	addr    string
	senders []string
	body    string
	left    atomic.Int64 // messages still to send
	sent    atomic.Int64 // answered 250
	failed  atomic.Int64
	dots    func(number int64, at time.Time) // told when a final dot is sent; may be nil
	pace    <-chan time.Time                 // a message begins at each tick; nil is at once
	clients sync.WaitGroup
}

// newPump makes messages of about size octets.
func newPump(addr string, size int, senders ...string) *pump {
	return &pump{addr: addr, senders: senders,
		body: strings.Repeat("0123456789012345678901234567890123456789012345678901234567890\r\n", max(1, size/63))}
}

// run sends count messages over so many connections, or until ctx ends, and
// returns the rate of messages answered 250 per second.
func (p *pump) run(ctx context.Context, connections int, count int64) float64 {
	p.left.Store(count)
	before, begin := p.sent.Load(), time.Now()
	for range connections {
		p.clients.Go(func() {
			if err := p.client(ctx); err != nil {
				p.failed.Add(1)
			}
		})
	}
	p.clients.Wait()
	return float64(p.sent.Load()-before) / time.Since(begin).Seconds()
}

func (p *pump) client(ctx context.Context) error {
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if err := expect(c, in, "", 220); err != nil {
		return err
	}
	if err := expect(c, in, "EHLO pump.example.org\r\n", 250); err != nil {
		return err
	}
	for p.wait(ctx) {
		n := p.left.Add(-1)
		if n < 0 {
			break
		}
		if err := p.send(c, in, n); err != nil {
			return err
		}
		p.sent.Add(1)
	}
	return expect(c, in, "QUIT\r\n", 221)
}

// wait is over when the next message may begin; false when ctx has ended.
func (p *pump) wait(ctx context.Context) bool {
	if p.pace != nil {
		select {
		case <-p.pace:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func (p *pump) send(c net.Conn, in *bufio.Reader, n int64) error {
	from := p.senders[int(n)%len(p.senders)]
	for _, step := range []struct {
		say  string
		want int
	}{{"MAIL FROM:<" + from + ">\r\n", 250}, {"RCPT TO:<to@example.org>\r\n", 250}, {"DATA\r\n", 354}} {
		if err := expect(c, in, step.say, step.want); err != nil {
			return err
		}
	}
	head := fmt.Sprintf("From: %s\r\nTo: to@example.org\r\nSubject: pump\r\nMessage-ID: <%d.%p@pump>\r\n\r\n", from, n,
		c)
	if _, err := c.Write([]byte(head + p.body)); err != nil {
		return err
	}
	if p.dots != nil {
		p.dots(n, time.Now())
	}
	return expect(c, in, ".\r\n", 250)
}

func expect(c net.Conn, in *bufio.Reader, say string, want int) error {
	if say != "" {
		if _, err := c.Write([]byte(say)); err != nil {
			return err
		}
	}
	r, err := harness.ReadReply(c, in)
	if err == nil && r.Code != want {
		err = fmt.Errorf("%.40q gets %q", say, r)
	}
	return err
}
