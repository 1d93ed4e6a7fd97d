//go:build postgres

package nodes_test

import (
	"fmt"
	"net/smtp"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/spool/postgres/pgtest"
)

// BenchmarkDrain measures how fast one node and two send what waits, where Microsoft takes half a second
// for each request: a node has as many at once as an identity may have.
func BenchmarkDrain(b *testing.B) {
	for _, nodes := range []int{1, 2} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			for range b.N {
				b.ReportMetric(drain(b, nodes), "messages/s")
			}
		})
	}
}

func drain(b *testing.B, nodes int) float64 {
	server := pgtest.For(b)
	boxes := mailboxes(44)
	c := &cluster{t: b, server: server, url: server.Database(b),
		double:   harness.StartDouble(b, harness.Latency(500*time.Millisecond)),
		settings: []harness.Setting{harness.Senders(boxes...)}}
	var all []*node
	for range nodes {
		all = append(all, c.join())
	}
	const clients, each = 8, 500
	var filling sync.WaitGroup
	for i := range clients {
		filling.Go(func() { fill(b, all[i%nodes].Addr, boxes, each) })
	}
	filling.Wait()
	began, before := time.Now(), len(c.double.Received())
	time.Sleep(8 * time.Second)
	return float64(len(c.double.Received())-before) / time.Since(began).Seconds()
}

// fill hands messages of all mailboxes to a relay over one connection.
func fill(b *testing.B, addr string, boxes []string, n int) {
	c, err := smtp.Dial(addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	for i := range n {
		err := c.Mail(boxes[i%len(boxes)])
		if err == nil {
			err = c.Rcpt("to@contoso.com")
		}
		if err == nil {
			w, failed := c.Data()
			if err = failed; err == nil {
				_, _ = fmt.Fprintf(w, "From: %s\r\nTo: to@contoso.com\r\nSubject: drain\r\n\r\nbody\r\n",
					boxes[i%len(boxes)])
				err = w.Close()
			}
		}
		if err != nil {
			b.Error(err)
			return
		}
	}
}
