package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// BenchmarkAccept measures durable messages of 10 KB with several clients at
// once, alone and with each message also claimed and settled.
func BenchmarkAccept(b *testing.B) {
	for _, delivering := range []bool{false, true} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("clients=%d/delivering=%v", clients, delivering), func(b *testing.B) {
				benchmarkAccept(b, clients, delivering)
			})
		}
	}
}

func benchmarkAccept(b *testing.B, clients int, delivering bool) {
	s := open(b, newPath(b))
	body := make([]byte, 10<<10)
	ctx, cancel := context.WithCancel(b.Context())
	var drain sync.WaitGroup
	if delivering {
		for i := range 4 {
			drain.Go(func() { deliverAll(ctx, b, s, mailboxOf(i)) })
		}
	}
	template := newMessage(b, "a@example.org")
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				m := template
				m.ID, m.Accepted, m.Mailbox = envelope.NewQueueID(time.Now()), time.Now(), address(b, mailboxOf(c%4))
				if err := tryAccept(s, m, body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	stats, _ := s.Stats(ctx)
	b.ReportMetric(float64(stats.Queued), "left")
	cancel()
	drain.Wait()
}

func mailboxOf(i int) string { return fmt.Sprintf("box%d@example.org", i) }

func deliverAll(ctx context.Context, b *testing.B, s *Store, mailbox string) {
	lane := address(b, mailbox)
	for ctx.Err() == nil {
		turn := spool.Quota{Turn: newMessage(b, mailbox).Turn(), Limit: 16}
		got, err := s.Claim(ctx, spool.Claim{Mailbox: lane, Now: time.Now(), Limit: 16, Turns: []spool.Quota{turn}})
		if err != nil {
			return
		}
		if len(got) == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		var wg sync.WaitGroup
		for _, r := range got {
			wg.Go(func() {
				o := spool.Settlement{ID: r.ID, Attempt: r.Attempts, State: spool.Sent, At: time.Now()}
				if err := s.Settle(context.WithoutCancel(ctx), o); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// BenchmarkBesideBulk measures how long the commit of a 10 KB message takes
// while 8 others store messages of 2 MB without a pause.
func BenchmarkBesideBulk(b *testing.B) {
	s := open(b, newPath(b))
	ctx, cancel := context.WithCancel(b.Context())
	var bulk sync.WaitGroup
	var stored atomic.Int64
	for range 8 {
		bulk.Go(func() {
			big := make([]byte, 2<<20)
			for ctx.Err() == nil {
				if err := tryAccept(s, newMessage(b, "bulk@example.org"), big); err != nil {
					b.Error(err)
					return
				}
				stored.Add(1)
			}
		})
	}
	body := make([]byte, 10<<10)
	times := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for b.Loop() {
		began := time.Now()
		if err := tryAccept(s, newMessage(b, "small@example.org"), body); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(stored.Load()*2)/b.Elapsed().Seconds(), "bulk-MB/s")
	cancel()
	bulk.Wait()
}
