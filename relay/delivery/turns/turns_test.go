package turns

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	never    = noon.Add(100 * time.Hour)
	nobody   = func(string, string) bool { return false }
	equal    = func(string) int { return 4 }
	priority = func(client string) int {
		return map[string]int{"high": 16, "normal": 4, "bulk": 1}[client]
	}
)

func turnOf(client, member string) spool.Turn { return spool.Turn{Client: client, Member: member} }

// queue is a store with messages of turns, all due.
type queue struct {
	t    *testing.T
	line *Line
	left map[spool.Turn][]spool.Record
	sent []spool.Turn // in order
}

func newQueue(t *testing.T, weigh func(string) int) *queue {
	return &queue{t: t, line: New(weigh), left: map[spool.Turn][]spool.Record{}}
}

// recordOf makes a record whose Turn is the one given.
func recordOf(t spool.Turn, size int64) spool.Record {
	m := spool.Message{Client: envelope.Client{Name: t.Client, User: t.Member}, Size: size, Accepted: noon}
	return spool.Record{Message: m, Attempts: 1}
}

// user is the turn of a user of this host, which recordOf can make.
func user(client, id string) spool.Turn { return turnOf(client, "user "+id) }

func (q *queue) put(client, id string, n int, size int64) {
	for range n {
		q.left[user(client, id)] = append(q.left[user(client, id)], recordOf(turnOf(client, id), size))
	}
	q.line.Add(user(client, id), n, noon, noon)
}

// claim does what a lane and a store do with a claim of n messages.
func (q *queue) claim(n int, skip Skip) []spool.Record {
	p := q.line.Pick(n, noon, skip)
	var found []spool.Record
	for i := range p.Turns {
		quota := &p.Turns[i]
		of := q.left[quota.Turn]
		k := min(len(of), quota.Limit, n-len(found))
		found, q.left[quota.Turn] = append(found, of[:k]...), of[k:]
		if k < len(of) {
			quota.Next = noon
		}
	}
	ordered, _ := q.line.Took(p, found, time.Time{})
	if len(ordered) != len(found) {
		q.t.Fatalf("%d of %d messages came back", len(ordered), len(found))
	}
	for _, r := range ordered {
		q.sent = append(q.sent, r.Turn())
	}
	return ordered
}

func (q *queue) count(client string) (n int) {
	for _, t := range q.sent {
		if t.Client == client {
			n++
		}
	}
	return n
}

// TestSharesFollowTheWeights: in the long run high, normal and bulk send 16 : 4 : 1,
// however many are claimed at once, and each client's members the same among them.
func TestSharesFollowTheWeights(t *testing.T) {
	for _, batch := range []int{1, 3, 12, 50} {
		q := newQueue(t, priority)
		for client := range map[string]int{"high": 0, "normal": 0, "bulk": 0} {
			for m := range 4 {
				q.put(client, fmt.Sprint(m), 2000, 1000)
			}
		}
		for len(q.sent) < 2100 {
			q.claim(batch, nobody)
		}
		for client, want := range map[string]int{"high": 1600, "normal": 400, "bulk": 100} {
			if got := q.count(client); math.Abs(float64(got-want)) > float64(batch)+1 {
				t.Errorf("batches of %d: %s sent %d, want %d", batch, client, got, want)
			}
			members := map[spool.Turn]int{}
			for _, s := range q.sent {
				if s.Client == client {
					members[s]++
				}
			}
			for m, n := range members {
				if d := n - want/4; d > batch || d < -batch {
					t.Errorf("batches of %d: %v sent %d of %d", batch, m, n, want)
				}
			}
		}
	}
}

// TestWhoComesIsServedInTheRound: whatever waits, whoever comes is served before any
// client of the same weight is served twice, and before its own siblings are.
func TestWhoComesIsServedInTheRound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		q := newQueue(t, equal)
		clients := 1 + r.IntN(6)
		for c := range clients {
			for m := range 1 + r.IntN(5) {
				q.put(fmt.Sprint("c", c), fmt.Sprint(m), 1+r.IntN(200), 1000)
			}
		}
		for range r.IntN(20) {
			q.claim(1+r.IntN(8), nobody)
		}
		q.sent = nil
		q.put("late", "0", 1, 1000)
		for q.count("late") == 0 {
			q.claim(1, nobody)
		}
		for c := range clients {
			if n := q.count(fmt.Sprint("c", c)); n > 2 {
				t.Fatalf("c%d was served %d times before the client that came: %v", c, n, q.sent)
			}
		}
	}
}

// TestNoCreditForRest: a client that sends one by one, each as soon as the last is
// gone, and one that rested for long, get no more than one with a backlog.
func TestNoCreditForRest(t *testing.T) {
	q := newQueue(t, equal)
	q.put("backlog", "0", 5000, 1000)
	for range 500 {
		q.claim(1, nobody)
	}
	q.sent = nil
	for range 1000 {
		if len(q.left[user("one by one", "0")]) == 0 {
			q.put("one by one", "0", 1, 1000)
		}
		q.line.Set(nil, noon, true, false, noon) // the poll of a minute
		q.claim(1, nobody)
	}
	if n := q.count("backlog"); n < 499 || n > 501 {
		t.Errorf("the backlog got %d of 1000 turns", n)
	}
}

// TestNobodyStarves: with any weights, sizes, batches and comings, each turn with mail
// due is served within the turns that the weights of the others give them.
func TestNobodyStarves(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		weights := map[string]int{}
		q := newQueue(t, func(c string) int { return weights[c] })
		for c := range 2 + r.IntN(5) {
			weights[fmt.Sprint(c)] = []int{1, 4, 16}[r.IntN(3)]
		}
		waits := map[string]float64{} // what the others were charged since it was served, by their weights
		for range 150 {
			for c := range weights {
				if r.IntN(3) == 0 {
					q.put(c, fmt.Sprint(r.IntN(3)), 1+r.IntN(4), int64(r.IntN(30<<20)))
				}
			}
			for _, rec := range q.claim(1+r.IntN(4), nobody) {
				by := rec.Client.Name
				for c := range weights {
					due := 0
					for t, of := range q.left {
						if t.Client == c {
							due += len(of)
						}
					}
					if c != by && due > 0 {
						waits[c] += Cost(rec.Size) / float64(weights[by])
					}
				}
				waits[by] = 0
			}
			for c, w := range waits {
				// Each of the others may be ahead by one message, and what was claimed with it.
				if most := float64(len(weights)) * (8*4 + 8/float64(weights[c])); w > most {
					t.Fatalf("seed %d: %s (weight %d) waited for %.1f", seed, c, weights[c], w)
				}
			}
		}
	}
}

// TestLargeMailCostsMore: a turn with mail of 12 MiB sends one for each four of 1 KB.
func TestLargeMailCostsMore(t *testing.T) {
	q := newQueue(t, equal)
	q.put("small", "0", 2000, 1000)
	q.put("large", "0", 2000, 12<<20)
	for len(q.sent) < 500 {
		q.claim(3, nobody)
	}
	if n := q.count("large"); n < 98 || n > 102 {
		t.Errorf("%d of 500 were large, want 100", n)
	}
	for size, want := range map[int64]float64{0: 1, 4<<20 - 1: 1, 4 << 20: 2, 35 << 20: 9} {
		if got := Cost(size); got != want {
			t.Errorf("%d bytes cost %v, want %v", size, got, want)
		}
	}
}

// TestNewWeightsCountAtOnce: a client that was bulk and becomes high does not wait for
// what it paid as bulk, which would be sixteen turns of the other.
func TestNewWeightsCountAtOnce(t *testing.T) {
	weights := map[string]int{"a": 1, "b": 16}
	q := newQueue(t, func(c string) int { return weights[c] })
	q.put("a", "0", 1000, 1000)
	q.put("b", "0", 1000, 1000)
	for q.count("a") < 2 {
		q.claim(1, nobody)
	}
	q.sent = nil
	weights["a"] = 16
	for range 10 {
		q.claim(1, nobody)
	}
	if n := q.count("a"); n < 4 {
		t.Errorf("a was served %d of 10 times since it is high", n)
	}
}

// TestWhatIsSkippedEarnsNothing: a client on hold for a thousand messages does not
// send a thousand in a row afterwards.
func TestWhatIsSkippedEarnsNothing(t *testing.T) {
	q := newQueue(t, equal)
	q.put("held", "0", 2000, 1000)
	q.put("other", "0", 2000, 1000)
	for range 250 {
		q.claim(4, func(client, _ string) bool { return client == "held" })
	}
	if n := q.count("held"); n != 0 {
		t.Fatalf("%d were sent in spite of the hold", n)
	}
	q.sent = nil
	for range 25 {
		q.claim(4, nobody)
	}
	if n := q.count("held"); n < 49 || n > 51 {
		t.Errorf("%d of 100 after the hold, want half", n)
	}
}

// TestWaitingCostsNothing: an attempt that is given back costs nothing; so does one
// that the message's own reason defers, but only one for each that is sent: a client
// whose mail is always deferred does not keep the others waiting.
func TestWaitingCostsNothing(t *testing.T) {
	q := newQueue(t, equal)
	q.put("a", "0", 1000, 1000)
	q.put("b", "0", 1000, 1000)
	for range 100 {
		for _, r := range q.claim(1, nobody) {
			if r.Client.Name == "a" {
				q.line.Refund(r)
			}
		}
	}
	if q.count("b") > 1 {
		t.Errorf("b was served %d times, though nothing of a was sent", q.count("b"))
	}
	q.sent = nil
	for range 100 {
		for _, r := range q.claim(1, nobody) {
			q.line.Ended(r, r.Client.Name == "a")
		}
	}
	if n := q.count("b"); n < 49 {
		t.Errorf("b was served %d times of 100 beside a client whose mail is always deferred", n)
	}
}

// TestPlannedMail: what is due later is claimed then, at its time and not before; what
// a clock that was set back planned for after the horizon is due at once.
func TestPlannedMail(t *testing.T) {
	l := New(equal)
	l.Add(turnOf("a", "x"), 1, noon.Add(time.Minute), noon)
	l.Add(turnOf("b", "x"), 1, noon.Add(time.Second), noon)
	if l.Due(noon, never) || !l.Next().Equal(noon.Add(time.Second)) || !l.Waiting() {
		t.Errorf("next %v", l.Next())
	}
	if !l.Due(noon.Add(time.Second), never) {
		t.Error("not due at its time")
	}
	if p := l.Pick(5, noon, nobody); len(p.Turns) != 1 || p.Turns[0].Turn != turnOf("b", "x") || p.Turns[0].Limit != 5 {
		t.Errorf("picked %+v", p)
	}
	far := noon.Add(50 * time.Hour)
	l = New(equal)
	l.Add(turnOf("c", "x"), 1, far, noon)
	if !l.Due(noon, noon.Add(time.Hour)) {
		t.Error("a time beyond the horizon is not due")
	}
	if p := l.Pick(1, noon, nobody); !p.Now.Equal(far) {
		t.Errorf("claimed as of %v, want %v", p.Now, far)
	}
}

// TestWhatIsKnownMayBeWrong: turns that are empty cost a look-up; those of which more
// wait than were known are asked again, when the store says that the rest is due.
func TestWhatIsKnownMayBeWrong(t *testing.T) {
	l := New(equal)
	a, b := turnOf("a", "user 1"), turnOf("b", "user 1")
	waits := []spool.Waits{{Turn: a, Messages: 3, Next: noon}, {Turn: b, Messages: 1, Next: noon}}
	l.Set(waits, noon, false, false, noon)
	p := l.Pick(9, noon, nobody)
	for i := range p.Turns {
		if p.Turns[i].Turn == a {
			p.Turns[i].Next = noon.Add(time.Second)
		}
	}
	_, lost := l.Took(p, []spool.Record{recordOf(turnOf("b", "1"), 1)}, time.Time{})
	if lost || !l.Waiting() || l.Due(noon, never) || !l.Due(noon.Add(time.Second), never) {
		t.Errorf("lost %t: three of a wait, and the store says that the next is due in a second", lost)
	}
	p = l.Pick(1, noon, nobody)
	p.Turns[0].Next = noon
	if l.Took(p, []spool.Record{recordOf(turnOf("a", "1"), 1)}, time.Time{}); !l.Due(noon, never) {
		t.Error("more are due than were known of, and they are forgotten")
	}
	if _, lost = l.Took(l.Pick(1, noon, nobody), nil, time.Time{}); !lost || !l.Waiting() {
		t.Errorf("lost %t: some wait, and the store does not know of them", lost)
	}
	l.Set(waits, noon, false, false, noon)
	p = l.Pick(9, noon, nobody)
	l.Set(waits, noon, true, false, noon)
	if l.Took(p, nil, time.Time{}); !l.Due(noon, never) {
		t.Error("what a poll found due during a claim is forgotten when that finds nothing")
	}
	l.Set(nil, noon.Add(time.Minute), true, false, noon)
	if !l.Waiting() {
		t.Error("a poll beside a claim counts")
	}
	l.Set(nil, noon.Add(time.Minute), false, false, noon)
	if l.Waiting() {
		t.Error("nothing waits, says the store")
	}
	l.Add(a, 1, noon.Add(2*time.Minute), noon.Add(2*time.Minute))
	l.Set(nil, noon.Add(time.Minute), false, false, noon)
	if !l.Due(noon, never) {
		t.Error("an older poll overrides what came after it")
	}
	l.Failed(l.Pick(1, noon, nobody))
	if !l.Due(noon, never) {
		t.Error("what a failed claim asked for is not due any more")
	}
}

// TestPositionBehindStoppedMail: while a hold stops some mail of a turn, the search
// continues behind what it has passed, until something earlier comes back.
func TestPositionBehindStoppedMail(t *testing.T) {
	l := New(equal)
	a := user("a", "1")
	l.Add(a, 100, noon, noon)
	until := noon.Add(time.Minute)
	p := l.Pick(1, noon, nobody)
	r := recordOf(turnOf("a", "1"), 1)
	r.Accepted = noon.Add(-time.Second)
	l.Took(p, []spool.Record{r}, until)
	if p = l.Pick(1, noon, nobody); !p.Turns[0].After.Equal(r.Accepted) {
		t.Errorf("continues behind %v, want %v", p.Turns[0].After, r.Accepted)
	}
	l.Took(p, nil, until)
	if l.Due(noon, never) || !l.Next().Equal(until) {
		t.Errorf("looks again at %v, want %v", l.Next(), until)
	}
	l.Add(a, 1, noon.Add(time.Second), noon)
	if p = l.Pick(1, noon, nobody); !l.Due(noon.Add(time.Second), never) {
		t.Errorf("looks at what others may send not before %v", l.Next())
	}
	if p = l.Pick(1, noon.Add(time.Second), nobody); !p.Turns[0].After.Equal(noon) {
		t.Errorf("continues behind %v, want %v", p.Turns[0].After, noon)
	}
	l.Took(p, nil, until.Add(time.Second))
	if l.Due(noon.Add(time.Second), never) || !l.Next().Equal(until) {
		t.Errorf("looks again at %v, want %v", l.Next(), until)
	}
	l.Set([]spool.Waits{{Turn: a, Messages: 99, Next: noon.Add(-time.Hour)}}, noon, false, false, noon)
	if l.Due(noon, never) {
		t.Error("the store says that they are due, but the hold stops them")
	}
	now := noon.Add(time.Second)
	l.Add(a, 1, now, now)
	if p = l.Pick(1, now, nobody); len(p.Turns) != 1 || !p.Turns[0].After.Equal(now) {
		t.Errorf("new mail: %+v", p)
	}
	l.Took(p, nil, until)
	l.Add(a, 1, noon.Add(-time.Hour), noon)
	if p = l.Pick(1, noon, nobody); len(p.Turns) != 1 || !p.Turns[0].After.Equal(noon.Add(-time.Hour)) {
		t.Errorf("mail that is back at its old place: %+v", p)
	}
	l.Took(p, nil, until)
	l.All()
	if p = l.Pick(1, noon, nobody); len(p.Turns) != 1 || !p.Turns[0].After.IsZero() {
		t.Errorf("after the hold: %+v", p)
	}
}

// TestRing: probes go round the turns, of one client or of all.
func TestRing(t *testing.T) {
	q := newQueue(t, equal)
	for _, c := range []string{"a", "b"} {
		for _, m := range []string{"1", "2"} {
			q.put(c, m, 5, 1)
		}
	}
	var went []spool.Turn
	for range 5 {
		first := q.line.Ring("")[0].Turn
		went = append(went, first)
		q.line.Probed(q.left[first][0])
	}
	want := []spool.Turn{user("a", "1"), user("a", "2"), user("b", "1"), user("b", "2"), user("a", "1")}
	if !slices.Equal(went, want) {
		t.Errorf("went round %v, want %v", went, want)
	}
	if ring := q.line.Ring("b"); len(ring) != 2 || ring[0].Turn != user("b", "1") {
		t.Errorf("the ring of b is %v", ring)
	}
}
