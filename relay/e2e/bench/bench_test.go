//go:build bench

package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// graphLatency is what Graph is taken to need for a sendMail.
const graphLatency = 200 * time.Millisecond

// sizes of the long and the short form.
type form struct {
	rounds   int
	messages map[int]int // clients -> messages a round
	window   time.Duration
	lags     int
	backlog  int64
	drains   []slots
}

// slots are a number of mailboxes with three each, and what the identity allows.
type slots struct{ boxes, identity int }

// most is how many requests may be under way.
func (s slots) most() int { return min(3*s.boxes, s.identity) }

func formOf() form {
	if testing.Short() || os.Getenv("BENCH_SHORT") != "" {
		return form{rounds: 1, messages: map[int]int{1: 300, 16: 1000, 64: 1000}, window: 3 * time.Second, lags: 60,
			backlog: 3000, drains: []slots{{1, 128}, {20, 128}}}
	}
	return form{rounds: 5, messages: map[int]int{1: 1500, 16: 5000, 64: 5000}, window: 8 * time.Second, lags: 400,
		backlog: 100_000, drains: []slots{{1, 128}, {20, 128}, {200, 128}, {200, 200}, {200, 600}}}
}

// TestBench runs all measurements one after the other and prints the table.
// BENCH names the only ones to run: accept, kept, drain, lag, memory, flood, backlog.
func TestBench(t *testing.T) {
	f, r := formOf(), new(report)
	for _, m := range []struct {
		name string
		run  func(*testing.T, form, *report)
	}{{"accept", accept}, {"kept", kept}, {"drain", drain}, {"lag", lag}, {"memory", memory}, {"flood",
		flood}, {"backlog", backlog}} {
		if only := os.Getenv("BENCH"); only == "" || strings.Contains(only, m.name) {
			t.Run(m.name, func(t *testing.T) { m.run(t, f, r) })
		}
	}
	fmt.Printf("\nMachine: %s.\n\n%s\n", machine(os.TempDir()), r)
}

func start(t *testing.T, latency time.Duration, settings ...harness.Setting) (*harness.Relay, *harness.Double) {
	t.Helper()
	d := harness.StartDouble(t, harness.Latency(latency), harness.CountOnly())
	return harness.StartRelay(t, d, append(settings, quiet()...)...), d
}

func quiet() []harness.Setting {
	return []harness.Setting{harness.With("smtp", "max_connections: 2000"), harness.With("log", "level: warn")}
}

// source runs smtp-source and returns its messages per second.
func source(t *testing.T, program foreign.Program, addr string, clients, messages int, more ...string) float64 {
	t.Helper()
	args := append([]string{"-s", strconv.Itoa(clients), "-m", strconv.Itoa(messages), "-l", "10240", "-f",
		harness.Sender, "-t", "to@example.org"}, more...)
	begin := time.Now()
	out, err := program(append(args, addr)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("smtp-source: %v: %s", err, out)
	}
	return float64(messages) / time.Since(begin).Seconds()
}

// accept: durable accepts per second, a connection per message, delivery
// running on both sides, in interleaved rounds.
func accept(t *testing.T, f form, r *report) {
	program := foreign.SMTPSource(t)
	targets := map[int]string{1: "1.2 x", 16: "2.5 x", 64: "3 x"}
	for _, clients := range []int{1, 16, 64} {
		ours, theirs := interleave(t, f,
			func(addr string) float64 { return source(t, program, addr, clients, f.messages[clients]) })
		r.row(fmt.Sprintf("durable accepts/s, 10 KB, a connection per message, %d clients", clients),
			median(ours), fmt.Sprintf("Postfix %.4g; ratio %.3g", median(theirs),
				median(ratios(ours, theirs))), targets[clients])
	}
}

// kept: one connection, many messages.
func kept(t *testing.T, f form, r *report) {
	program := foreign.SMTPSource(t)
	ours, theirs := interleave(t, f,
		func(addr string) float64 { return source(t, program, addr, 1, f.messages[1], "-d") })
	r.row("durable accepts/s, 10 KB, one connection kept open", median(ours),
		fmt.Sprintf("Postfix %.4g; ratio %.3g", median(theirs), median(ratios(ours, theirs))), "1 x")
}

// interleave measures the relay and Postfix in turns, each alone on the
// machine, with an empty queue, and after a few messages that start its parts.
func interleave(t *testing.T, f form, measure func(addr string) float64) (ours, theirs []float64) {
	t.Helper()
	for range f.rounds {
		t.Run("relay", func(t *testing.T) {
			relay, d := start(t, graphLatency)
			warm(t, relay.Addr)
			before := d.Count()
			ours = append(ours, measure(relay.Addr))
			t.Logf("graphrelay %.0f/s; %d were delivered meanwhile, accepted all: %v", ours[len(ours)-1],
				d.Count()-before, !relay.Ended())
		})
		t.Run("postfix", func(t *testing.T) {
			p := foreign.StartPostfix(t, t.TempDir(), false, "default_transport = discard", "relay_transport = discard")
			warm(t, p.Addr)
			theirs = append(theirs, measure(p.Addr))
			t.Logf("Postfix %.0f/s; %d are queued", theirs[len(theirs)-1], p.Queued())
		})
	}
	return ours, theirs
}

func warm(t *testing.T, addr string) {
	t.Helper()
	source(t, foreign.SMTPSource(t), addr, 16, 64)
}

// What arrives while a backlog drains, messages a second: 11 MB a second in all.
const (
	arriving10KB = 100
	arriving2MB  = 5
)

// drain: messages per second that reach Graph, beside slots / latency, while
// mail of 10 KB and of 2 MB is being accepted, and after. The backlog is there
// before, so that it is delivery that is measured and not the accepting.
func drain(t *testing.T, f form, r *report) {
	for _, n := range f.drains {
		t.Run(fmt.Sprintf("%d of %d", n.boxes, n.identity), func(t *testing.T) {
			const large = "large@contoso.com"
			var senders []string
			for i := range n.boxes {
				senders = append(senders, fmt.Sprintf("box%d@contoso.com", i))
			}
			// The mail of large is not counted, and has slots of its own.
			var sent atomic.Int64
			d := harness.StartDouble(t, harness.Latency(20*time.Second), harness.CountOnly(), func(o *sandbox.Options) {
				o.OnMessage = func(m sandbox.Message) {
					if m.Mailbox != large {
						sent.Add(1)
					}
				}
			})
			relay := harness.StartRelay(t, d,
				append(quiet(), harness.Senders(append(senders, large)...),
					harness.With("identity", fmt.Sprintf("max_concurrent: %d", n.identity+3)))...)
			preferSelf()
			bound := float64(n.most()) / graphLatency.Seconds()
			p := newPump(relay.Addr, 10_000, senders...)
			p.run(context.Background(), 16, int64(2.5*bound*f.window.Seconds())+int64(10*n.boxes))
			if p.failed.Load() > 0 {
				t.Fatalf("%d clients failed", p.failed.Load())
			}
			d.SetLatency(graphLatency)
			waiting := sent.Load() + int64(n.most()) // those under way still take as long as before
			harness.Until(t, 2*time.Minute, "the lanes to run", func() bool { return sent.Load() > waiting })

			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			accepts, megabytes := make(chan float64, 1), make(chan float64, 1)
			big := newPump(relay.Addr, 2_000_000, large)
			p.pace, big.pace = time.Tick(time.Second/arriving10KB), time.Tick(time.Second/arriving2MB)
			go func() { accepts <- p.run(ctx, 4, 1<<40) }()
			go func() { megabytes <- big.run(ctx, 1, 1<<40) }()
			during := rate(&sent, f.window)
			stop()
			t.Logf("meanwhile %.0f/s of 10 KB and %.1f/s of 2 MB were accepted", <-accepts, <-megabytes)
			count, ours, theirs := sent.Load(), relay.CPU(), cpu()
			after := rate(&sent, f.window)
			each := func(t time.Duration) float64 {
				return float64(t.Microseconds()) / float64(max(sent.Load()-count,
					1))
			}
			t.Logf("after: %.0f µs of processor time a message in the relay, %.0f in the double",
				each(relay.CPU()-ours), each(cpu()-theirs))
			r.row(fmt.Sprintf("drain of %d mailboxes, max_concurrent %d, messages/s while accepting 100/s of 10 KB "+
				"and 5/s of 2 MB / after", n.boxes, n.identity), fmt.Sprintf("%.4g / %.4g", during, after),
				fmt.Sprintf("bound %.4g: %.0f %% / %.0f %%", bound, 100*during/bound, 100*after/bound), "95 %")
		})
	}
}

func rate(sent *atomic.Int64, window time.Duration) float64 {
	before, begin := sent.Load(), time.Now()
	time.Sleep(window)
	return float64(sent.Load()-before) / time.Since(begin).Seconds()
}

// lag: from the final dot to the request at Graph, queue idle.
func lag(t *testing.T, f form, r *report) {
	d := harness.StartDouble(t)
	relay := harness.StartRelay(t, d, harness.With("log", "level: warn"))
	arrivals := make(chan time.Time, 1)
	d.Watch(func(m harness.Message) { arrivals <- m.At })
	var dot time.Time
	p := newPump(relay.Addr, 10_000, harness.Sender)
	p.dots = func(_ int64, at time.Time) { dot = at }
	var took []float64
	for i := range f.lags + 10 {
		p.run(context.Background(), 1, 1)
		select {
		case at := <-arrivals:
			if i >= 10 { // the first ones sign in and connect
				took = append(took, at.Sub(dot).Seconds()*1000)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("a message did not arrive\n%s", relay.Tail())
		}
		relay.WaitEmpty(10 * time.Second)
	}
	r.row("final dot to Graph request, idle queue, ms, p50 / p99",
		fmt.Sprintf("%.2f / %.2f", quantile(took, 0.5), quantile(took, 0.99)), "", "3 / 30")
}

// memory: resident memory idle, with 1,000 idle connections, and with 200
// clients that send 2 MB each.
func memory(t *testing.T, f form, r *report) {
	relay, _ := start(t, graphLatency)
	settle := func() int { time.Sleep(2 * time.Second); return relay.Memory("VmRSS") / 1024 }
	r.row("memory idle, MB", settle(), "", "32")

	var conns []*harness.Conn
	for range 1000 {
		conns = append(conns, harness.Hello(t, relay.Addr))
	}
	r.row("memory with 1,000 idle connections, MB", settle(), "", "80")
	for _, c := range conns {
		c.Close()
	}

	relay, _ = start(t, graphLatency)
	p := newPump(relay.Addr, 2_000_000, harness.Sender)
	p.run(context.Background(), 200, 200)
	if p.sent.Load() != 200 {
		t.Errorf("only %d of 200 messages were accepted", p.sent.Load())
	}
	r.row("peak memory with 200 clients sending 2 MB each, MB", relay.Memory("VmHWM")/1024, "", "200")
}

// backlog: memory with a long queue, and what a start on it costs.
func backlog(t *testing.T, f form, r *report) {
	program := foreign.SMTPSource(t)
	empty, _ := start(t, graphLatency)
	emptyRate := source(t, program, empty.Addr, 16, f.messages[16])
	empty.Kill()

	d := harness.NewDouble(t, harness.CountOnly()) // not listening: the queue grows
	relay := harness.StartRelay(t, d, harness.With("log", "level: warn"))
	p := newPump(relay.Addr, 2000, harness.Sender)
	p.run(context.Background(), 16, f.backlog/10)
	tenth := relay.Memory("VmRSS") / 1024
	p.run(context.Background(), 16, f.backlog-f.backlog/10)
	if p.sent.Load() != f.backlog {
		t.Fatalf("%d of %d messages were queued", p.sent.Load(), f.backlog)
	}
	r.row(fmt.Sprintf("memory with %d / %d queued, MB", f.backlog/10, f.backlog),
		fmt.Sprintf("%d / %d", tenth, relay.Memory("VmRSS")/1024), "", "flat")

	relay.Kill()
	begin := time.Now()
	relay.Start()
	r.row(fmt.Sprintf("start with %d queued after kill -9, s", f.backlog),
		fmt.Sprintf("%.2f", time.Since(begin).Seconds()), "", "1")
	full := source(t, program, relay.Addr, 16, f.messages[16])
	r.row(fmt.Sprintf("accepts/s with %d queued, 16 clients", f.backlog), full,
		fmt.Sprintf("empty %.4g; ratio %.2f", emptyRate, full/emptyRate), "0.8")
}
