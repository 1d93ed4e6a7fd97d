package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

func TestUsage(t *testing.T) {
	u := usage{boxes: map[string]*boxUsage{}}
	a, b := addr(t, "a@contoso.com"), addr(t, "b@contoso.com")
	add := func(m envelope.Address, n int, after time.Duration, wantSum int, wantWarn bool) {
		t.Helper()
		if sum, warn := u.add(m, n, noon.Add(after)); sum != wantSum || warn != wantWarn {
			t.Errorf("after %v: %d, %v, want %d, %v", after, sum, warn, wantSum, wantWarn)
		}
	}
	add(a, 5000, 0, 5000, false)
	add(a, 2999, time.Hour, 7999, false)
	add(b, 10, time.Hour, 10, false)
	add(a, 1, 2*time.Hour, 8000, true)
	add(a, 500, 3*time.Hour, 8500, false)
	add(a, 1, 2*time.Hour, 8501, false) // a late one still counts
	if over := u.over(noon.Add(24 * time.Hour)); len(over) != 0 {
		t.Errorf("over within the day: %v", over)
	}
	if over := u.over(noon.Add(25 * time.Hour)); len(over) != 1 || !over[0].Equal(a) {
		t.Errorf("over after a day: %v", over)
	}
	add(a, 4499, 25*time.Hour, 8000, true) // and again
	if list := u.list(noon.Add(25 * time.Hour)); len(list) != 2 || list[0] != (Usage{a, 8000}) ||
		list[1] != (Usage{b, 10}) {
		t.Errorf("list: %v", list)
	}
	u.over(noon.Add(1000 * time.Hour))
	if len(u.boxes) != 0 {
		t.Errorf("%d mailboxes at rest are remembered", len(u.boxes))
	}
}

// TestUsageAcrossRestart: the day's recipients are known after a restart, and a
// warning is given at 80 % of the limit.
func TestUsageAcrossRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		a := r.reporting()
		box := addr(t, "box@contoso.com")
		r.store.putSent(box, time.Now().Add(-2*time.Hour).Truncate(time.Hour), 4000)
		r.store.putSent(box, time.Now().Add(-20*time.Hour).Truncate(time.Hour), 3999)
		r.start()
		r.wait(time.Second)
		if a.text("limit:box@contoso.com") != "" {
			t.Error("an alarm below 80 %")
		}
		r.came(r.from(box, clientHeader))
		r.wait(5 * time.Second)
		if got := r.Status().Usage; len(got) != 1 || got[0].Recipients != 8000 {
			t.Errorf("usage: %v", got)
		}
		if a.text("limit:box@contoso.com") == "" || r.log.count("mailbox nears its daily limit") != 1 {
			t.Error("no alarm at 80 %")
		}
		r.wait(6 * time.Hour)
		if a.text("limit:box@contoso.com") != "" {
			t.Error("the alarm goes on")
		}
		r.stop()
	})
}

// TestUsageCountsOnce: what is sent while the history is still being read is in
// it too, and counts once.
func TestUsageCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box := addr(t, "box@contoso.com")
		reads := 0
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op != "usage" {
				return nil
			}
			if reads++; reads == 1 {
				return errDisk
			}
			return nil
		})
		for range 3 {
			r.from(box, clientHeader)
		}
		r.start()
		r.wait(10 * time.Minute)
		if n := r.store.Counts()[spool.Sent]; n != 3 || reads != 2 {
			t.Errorf("%d sent, the history read %d times", n, reads)
		}
		if got := r.Status().Usage; len(got) != 1 || got[0].Recipients != 3 {
			t.Errorf("usage: %v", got)
		}
		r.stop()
	})
}

// TestUsageOfAllNodes: what other nodes sent is known within minutes, counts once, and a
// warning is given for what all have sent.
func TestUsageOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a, b := ns.all[0], ns.all[1]
		x, _ := twoBoxes(t, ns)
		many := func(r *spool.Record) { r.Envelope.Recipients = make([]envelope.Address, 4000) }
		for i := range 3 {
			ns.store.put(x, x, many)
			ns.tell()
			a.wait(20 * time.Minute)
			if i == 0 {
				ns.give(x, b)
			}
			for _, n := range ns.all {
				if got := n.Delivery.Status().Usage; len(got) != 1 || got[0] != (Usage{x, 4000 * (i + 1)}) {
					t.Errorf("%s knows of %v after %d messages", n.name, got, i+1)
				}
				want := min(i, 1)
				if got := n.log.count("mailbox nears its daily limit"); got != want {
					t.Errorf("%s warned %d times after %d messages, want %d", n.name, got, i+1, want)
				}
			}
		}
		ns.stop()
	})
}
