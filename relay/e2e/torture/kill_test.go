//go:build torture

package torture

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

const (
	drainLimit = 6 * time.Minute
	// restAfter is how long kills go on before the queue may run empty. An
	// attempt that a crash cut is made again after a minute, and a message whose
	// attempts three crashes cut is put on hold, as one that may be the cause:
	// kills without a rest would bring that about.
	restAfter = 45 * time.Second
	// inFlight is how many attempts of a mailbox may be without a recorded
	// outcome at a time: max_concurrent (3, the default) requests, and as many
	// that Graph has answered and whose outcome is being written.
	inFlight = 6
)

var mailboxes = []string{"one@contoso.com", "two@contoso.com", "three@contoso.com", "four@contoso.com"}

// rounds reads the number of rounds from the environment.
func rounds(t *testing.T, variable string, usual, short int) int {
	t.Helper()
	if s := os.Getenv(variable); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q is no number of rounds", variable, s)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return usual
}

// Kill -9 at random moments under load: every message answered 250 is sent,
// none truncated, none invented, and one sent twice only where an attempt was
// in flight or the 250 did not reach the client.
func TestKillAtRandomMoments(t *testing.T) {
	t.Parallel()
	const latency = 15 * time.Millisecond
	n := rounds(t, "TORTURE_ROUNDS", 200, 20)
	d := harness.StartDouble(t, harness.Latency(latency), harness.NoThrottling())
	l := newLedger()
	d.Watch(l.arrived)
	r := harness.NewRelay(t, d, harness.Senders(mailboxes...), harness.With("queue", "min_free_space: 16MiB"))
	total := int64(0)
	var again []*letter // as a real client does, ours send again what got no answer
	rested := time.Now()
	for round := range n {
		r.Start()
		if time.Since(rested) > restAfter {
			finish(t, r, l)
			rested = time.Now()
		}
		load := startLoad(r.Addr, l, 8, 150, again, mailboxes...)
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond) // the random moment
		r.Kill()
		load.cut()
		again = load.left
		total += load.number.Load()
		// What the double had read whole before the kill it still records:
		// those arrivals belong to the life that is over.
		harness.Until(t, time.Minute, "the double to finish what it had read", func() bool { return idle(d) })
		l.next()
		if round%20 == 19 {
			t.Logf("round %d: %d messages written, %d acked ones still to be sent", round+1, total, l.pending())
		}
	}
	r.Start()
	finish(t, r, l)
	v := l.judge()
	t.Logf("%d rounds, %.2f messages of unknown outcome for each kill: %s", n, float64(v.InFlight)/float64(n), v)
	if f := v.faults(); f != "" {
		t.Errorf("%s", f)
	}
	if most := len(mailboxes) * inFlight; v.MostCut > most {
		t.Errorf("one kill cut %d attempts; only %d can be in flight", v.MostCut, most)
	}
	if v.Acked < n {
		t.Errorf("only %d messages were acked in %d rounds: this proves nothing", v.Acked, n)
	}
	if l := r.Queue(); len(l) > 0 {
		t.Errorf("%d messages are left in the queue: %+v", len(l), l[:min(3, len(l))])
	}
}

// finish waits until nothing acked is missing and the queue is empty. What is
// on hold never leaves by itself: it is reported as soon as nothing else is left.
func finish(t *testing.T, r *harness.Relay, l *ledger) {
	t.Helper()
	var held int
	harness.Holds(drainLimit, func() bool {
		var backlog int
		backlog, held = r.Backlog()
		return r.Ended() || backlog == held
	})
	switch backlog, _ := r.Backlog(); {
	case r.Ended():
		t.Errorf("the relay ended\n%s", r.Tail())
	case backlog > held:
		t.Errorf("after %v %d acked messages are not sent, %d are in the queue", drainLimit, l.pending(), backlog)
	case held > 0:
		t.Errorf("%d messages are on hold, %d acked ones never arrived; one of them: %+v", held, l.pending(),
			r.Queue()[0])
	}
}

// idle tells whether nothing that a relay sent before its end can still arrive
// at the double: no connection is open, no request is under way, and a request
// whose connection ended just before it counted has had the time to.
func idle(d *harness.Double) bool {
	quiet := func() bool { return d.Connections() == 0 && d.Stats().Concurrent == 0 }
	before := d.Count()
	if !quiet() {
		return false
	}
	time.Sleep(20 * time.Millisecond)
	return quiet() && d.Count() == before
}
