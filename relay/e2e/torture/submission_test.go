//go:build torture

package torture

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// moments are what the submission server does while the relay is killed.
var moments = []struct {
	name   string
	fault  func() sandbox.Fault
	stored bool // the message has arrived, and the relay does not know
}{
	{"in the middle of DATA", func() sandbox.Fault {
		return sandbox.Fault{Drop: sandbox.DropPartial, DropAfter: 1 + rand.Int64N(400_000), Latency: time.Hour}
	}, false},
	{"after the final dot, before it is stored", func() sandbox.Fault {
		return sandbox.Fault{Latency: time.Hour}
	}, false},
	{"after it is stored, before the reply", func() sandbox.Fault {
		return sandbox.Fault{Drop: sandbox.DropStored, Latency: 2 * time.Second}
	}, true},
}

// Kill -9 amid submissions: nothing accepted is lost or changed, and what arrives twice had
// arrived before a kill and is one of the unknown outcomes that the next life counts.
func TestKillAmidSubmissions(t *testing.T) {
	t.Parallel()
	n := rounds(t, "TORTURE_ROUNDS", 60, 6)
	d := harness.StartDouble(t, harness.NoThrottling(),
		func(o *sandbox.Options) { o.Granted = []string{"SMTP.SendAsApp"} })
	if err := d.StartSubmission(""); err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	d.Watch(l.arrived)
	r := harness.NewRelay(t, d, harness.Senders(mailboxes...), harness.With("queue", "min_free_space: 16MiB"),
		harness.With("delivery", "large_messages: smtp", "mime_limit: 128KiB"))
	unknown, stored := map[string]bool{}, 0
	for round := range n {
		moment := moments[round%len(moments)]
		r.Start()
		for _, m := range r.Queue() {
			if m.Unknown {
				unknown[fmt.Sprint(m.MessageID, m.Attempts)] = true
			}
		}
		if round%12 == 11 { // three kills of one message would hold it
			finish(t, r, l)
		}
		f := moment.fault()
		f.Endpoint = "submissionData"
		if err := d.Inject(f); err != nil {
			t.Fatal(err)
		}
		before, arrived := d.Submissions(), d.Count()
		acceptLarge(t, r, l, round)
		harness.Until(t, time.Minute, moment.name, func() bool {
			return d.Submissions() >= before+len(mailboxes) && (!moment.stored || d.Count() > arrived)
		})
		if !moment.stored {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // the random moment
		}
		r.Kill()
		d.ClearFaults()
		harness.Until(t, time.Minute, "the double to finish what it had read", func() bool { return idle(d) })
		stored += d.Count() - arrived
		l.next()
	}
	r.Start()
	for _, m := range r.Queue() {
		if m.Unknown {
			unknown[fmt.Sprint(m.MessageID, m.Attempts)] = true
		}
	}
	finish(t, r, l)
	v := l.judge()
	t.Logf("%d rounds, %d unknown outcomes, %d had arrived: %s", n, len(unknown), stored, v)
	if f := v.faults(); f != "" {
		t.Error(f)
	}
	if v.InFlight > stored || v.InFlight > len(unknown) || n >= len(moments) && v.InFlight == 0 {
		t.Errorf("%d arrived twice, of %d that had arrived at a kill and %d unknown outcomes", v.InFlight, stored,
			len(unknown))
	}
	if v.Acked != n*len(mailboxes) || len(r.Queue()) > 0 {
		t.Errorf("%d of %d were accepted, %d are left", v.Acked, n*len(mailboxes), len(r.Queue()))
	}
}

// acceptLarge hands over one large message from each mailbox.
func acceptLarge(t *testing.T, r *harness.Relay, l *ledger, round int) {
	t.Helper()
	for _, from := range mailboxes {
		id := fmt.Sprintf("<%d.%s>", round, from)
		body := strings.Repeat(id+" ..............................................\r\n.\r\n", 8000)
		l.written(id, body)
		c := harness.Hello(t, r.Addr)
		c.Send(from, []string{"a@example.org"}, "From: "+from+"\r\nTo: a@example.org\r\n"+
			"Date: Mon, 30 Nov 2026 08:00:00 +0000\r\nMessage-ID: "+id+"\r\n\r\n"+body)
		c.Close()
		l.acked(id)
	}
}
