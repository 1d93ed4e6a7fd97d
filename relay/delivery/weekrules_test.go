package delivery

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// slotBack is the time after which a throttled mailbox gets a slot back.
const slotBack = 15 * time.Second

// referee watches a Delivery from outside, between it and its store and between
// it and its Sender, and holds it to the rules by which mail may wait:
//
//   - idle: a message that is due waits only while its mailbox is paused by a
//     Retry-After, uses all of its slots, or finds none free of its identity, or
//     while a hold is on. A mailbox has three slots, one after throttling, and one
//     more for every 15 s since sending went on. An identity has 64, and when two
//     mailboxes were throttled within 30 s at least one for each with mail, and 4
//     more for every 15 s since. A mailbox whose mail comes or ends in that very
//     instant may count or not, for the lanes' goroutines run in any order.
//   - order: a message waits for no more than those that were due before it, or
//     were accepted in the same instant: whose commits overlap have no order, and
//     the one that the referee sees first may be committed last. With the first rule
//     this bounds its time: what was ahead of it, divided by what the mailbox could
//     send while Graph let it.
//   - pause: no request of a mailbox begins before the time that Graph asked for.
//   - hold: a hold that is on lets probes through, and nothing else. What a lane
//     lets go it has judged by the holds as of its look (look): a request that was
//     let go before the hold began is no probe, though it begins in the same instant.
//
// Every moment is judged, not samples: between two events nothing changes but
// what the rules say, so the waste between them can be computed. The clock is
// that of testing/synctest, on which the work of the relay takes no time, so the
// waste allowed is none at all.
type referee struct {
	t       *testing.T
	latency time.Duration                          // of one request
	limit   func(at time.Time) (now int, then int) // slots of the identity, now and at a time before

	mu       sync.Mutex
	last     time.Time // up to when all was judged
	gate     int       // slots of the identity from then on
	held     bool      // the hold of the identity is on
	busy     int       // requests under way
	boxes    map[string]*boxView
	mails    map[envelope.QueueID]*mailView
	probes   []time.Time           // requests during the hold of the identity
	asked    map[time.Duration]int // how often Graph asked for how long
	together time.Time             // when mailboxes were last throttled together
	crowd    int                   // mailboxes with mail then
	limited  time.Duration         // for which mail waited because the identity had no slot
	worst    int                   // messages that were sent before one which was due before them
	faults   int
}

// boxView is what the referee knows of a mailbox.
type boxView struct {
	name    string
	lost    bool        // its own hold is on
	since   time.Time   // when mail came after there was none
	knows   bool        // its lane has looked since the hold of the identity is on
	came    []*mailView // accepted in the last instant in which any were
	waiting int         // due
	later   []*mailView
	busy    int
	asked   time.Time     // when Graph last asked for time
	paused  time.Time     // until when
	could   time.Duration // of requests that could be under way since the start, summed up over the slots
	wasted  time.Duration // of that what was not
}

// mailView is what the referee knows of a message.
type mailView struct {
	id      envelope.QueueID
	box     *boxView
	of      envelope.QueueID // what it reports
	at      time.Time        // accepted
	due     time.Time
	ahead   int           // messages before it when it became due
	could   time.Duration // of its mailbox then
	retried int
	probe   bool // what was let go while the hold was known
	sent    time.Time
}

func newReferee(t *testing.T, latency time.Duration) *referee {
	return &referee{t: t, latency: latency, last: time.Now(), boxes: map[string]*boxView{},
		asked: map[time.Duration]int{}, mails: map[envelope.QueueID]*mailView{}}
}

func (j *referee) fault(format string, args ...any) {
	if j.faults++; j.faults <= 20 {
		j.t.Errorf("%s: "+format, append([]any{time.Now().Format("Mon 15:04:05.000")}, args...)...)
	}
}

// event judges the time until now and then lets change happen.
func (j *referee) event(change func(now time.Time)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	var then int
	gate := j.gate
	j.gate, then = j.limit(j.last)
	if now.After(j.last) {
		for _, b := range j.boxes {
			j.judge(b, now, j.busy < max(min(gate, then), j.atLeast(j.last)))
		}
		j.last = now
	}
	change(now)
	if now.Equal(j.together) {
		j.crowd = max(min(j.crowd, j.withMail(now)), 1)
	}
}

// atLeast is how many slots the identity has by the rules, whatever it says.
func (j *referee) atLeast(t time.Time) int {
	if j.together.IsZero() {
		return defaultIdentitySlots
	}
	return min(j.crowd+4*int(max(t.Sub(j.together)-j.latency, 0)/slotBack), defaultIdentitySlots)
}

// judge looks at one mailbox from the last event until now. Nothing has happened
// in between but that times came. free tells whether the identity had slots.
func (j *referee) judge(b *boxView, now time.Time, free bool) {
	for t := j.last; t.Before(now); {
		b.ripen(t)
		end := now
		for _, next := range append(b.steps(j.latency), b.paused, b.nextDue()) {
			if next.After(t) && next.Before(end) {
				end = next
			}
		}
		if !j.held && !b.lost && !t.Before(b.paused) {
			could, d := min(b.slots(t, j.latency), b.waiting+b.busy), end.Sub(t)
			if could > b.busy && !free {
				could = b.busy
				j.limited += d
			}
			b.could += time.Duration(could) * d
			if could > b.busy {
				b.wasted += time.Duration(could-b.busy) * d
				j.fault("%s has %d messages due, %d requests under way and %d slots for %v since %s", b.name, b.waiting,
					b.busy, could, d, t.Format("15:04:05.000"))
			}
		}
		t = end
	}
	b.ripen(now)
}

// slots is how many requests the mailbox may have under way, at the least. A
// slot that comes back is noticed with the next answer.
func (b *boxView) slots(t time.Time, latency time.Duration) int {
	if b.asked.IsZero() {
		return defaultSlots
	}
	return min(1+int(max(t.Sub(b.paused)-latency, 0)/slotBack), defaultSlots)
}

// steps are the times at which slots changes.
func (b *boxView) steps(latency time.Duration) (at []time.Time) {
	for n := 1; n < defaultSlots; n++ {
		at = append(at, b.paused.Add(time.Duration(n)*slotBack+latency))
	}
	return at
}

func (b *boxView) nextDue() time.Time {
	if len(b.later) == 0 {
		return time.Time{}
	}
	return b.later[0].due
}

// ripen moves what has become due.
func (b *boxView) ripen(t time.Time) {
	for len(b.later) > 0 && !b.later[0].due.After(t) {
		b.line(b.later[0])
		b.later = b.later[1:]
	}
}

// line puts a message at the end of those that wait.
func (b *boxView) line(m *mailView) {
	m.ahead, m.could = b.waiting+b.busy, b.could
	b.waiting++
}

func (j *referee) box(mailbox envelope.Address) *boxView {
	b := j.boxes[mailbox.Key()]
	if b == nil {
		b = &boxView{name: mailbox.String()}
		j.boxes[mailbox.Key()] = b
	}
	return b
}

// accept notes a message that is about to be committed.
func (j *referee) accept(m spool.Message) {
	j.event(func(now time.Time) {
		v := &mailView{id: m.ID, box: j.box(m.Mailbox), at: now, due: now, of: m.ReportOf}
		j.mails[m.ID] = v
		if !v.box.mail() {
			v.box.since = now
		}
		v.box.line(v)
		v.box.together(v)
	})
}

// together counts a message as ahead of those that were accepted in the same instant.
func (b *boxView) together(m *mailView) {
	if len(b.came) > 0 && b.came[0].at.Before(m.at) {
		b.came = nil
	}
	for _, o := range b.came {
		if o.due.Equal(o.at) { // it was not put off since
			o.ahead++
		}
	}
	b.came = append(b.came, m)
}

// withdraw notes that it was not.
func (j *referee) withdraw(id envelope.QueueID) {
	j.event(func(time.Time) {
		j.mails[id].box.waiting--
		delete(j.mails, id)
	})
}

// hold notes that the hold of the identity begins or ends.
func (j *referee) hold(on bool) { j.event(func(time.Time) { j.held = on }) }

// look notes that a lane is about to see what stops it.
func (j *referee) look(mailbox envelope.Address) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.box(mailbox).knows = j.held
}

// letGo notes that it lets a message go.
func (j *referee) letGo(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Kind == spool.Attempted {
		j.mails[e.Record.ID].probe = j.box(e.Record.Mailbox).knows
	}
}

func (j *referee) begin(id envelope.QueueID) {
	j.event(func(now time.Time) {
		m := j.mails[id]
		b := m.box
		if now.After(b.asked) && now.Before(b.paused) {
			j.fault("a request of %s begins %v before the time that Graph asked for", b.name, b.paused.Sub(now))
		}
		if now.Before(m.due) {
			j.fault("message %s is tried %v before it is due", id, m.due.Sub(now))
			b.ripen(m.due)
		}
		if j.held && m.probe {
			j.probes = append(j.probes, now)
		}
		b.waiting--
		b.busy++
		j.busy++
	})
}

func (j *referee) end(id envelope.QueueID, a outcome.Answer) {
	j.event(func(now time.Time) {
		m := j.mails[id]
		b := m.box
		b.busy--
		j.busy--
		switch {
		case a.Outcome == outcome.Delivered:
			m.sent = now
			j.inOrder(m)
		case a.Outcome == outcome.Bounce:
		case a.Outcome == outcome.Retry && a.HTTPStatus == http.StatusTooManyRequests && a.RetryAfter > 0:
			j.throttled(m, a.RetryAfter, now)
		case a.Outcome == outcome.Hold:
			b.waiting++ // at its place, for it has lost nothing
			b.lost = b.lost || a.Scope == outcome.ScopeMailbox
		default:
			j.fault("message %s got an answer that has no place in this week: %+v", id, a)
		}
	})
}

// throttled notes that Graph asked for time.
func (j *referee) throttled(m *mailView, wait time.Duration, now time.Time) {
	b := m.box
	j.asked[wait]++
	m.retried++
	m.due = now.Add(wait)
	b.asked, b.paused = now, pacing.Later(b.paused, m.due)
	for _, o := range j.boxes {
		if o != b && now.Sub(o.asked) < 30*time.Second { // and whoever was asked in between
			j.together, j.crowd = now, len(j.boxes)
		}
	}
	at, _ := slices.BinarySearchFunc(b.later, m, func(x, y *mailView) int { return x.due.Compare(y.due) })
	b.later = slices.Insert(b.later, at, m)
}

// withMail counts the mailboxes that wait for something, and did before.
func (j *referee) withMail(now time.Time) (n int) {
	for _, b := range j.boxes {
		if b.mail() && b.since.Before(now) {
			n++
		}
	}
	return n
}

func (b *boxView) mail() bool { return b.waiting+b.busy+len(b.later) > 0 }

// overtaking is how many messages may be sent before one that was due before
// them: what the slots have in hand, and one ahead for each.
const overtaking = 2 * defaultSlots

// inOrder judges a message that was sent just now.
func (j *referee) inOrder(m *mailView) {
	if m.box.lost {
		return
	}
	before := int((m.box.could - m.could) / j.latency)
	j.worst = max(j.worst, before-m.ahead-1)
	if before > m.ahead+1+overtaking {
		j.fault("message %s of %s, due %s after %d attempts, was sent after time for %d, and %d were ahead of it",
			m.id, m.box.name, m.due.Format("Mon 15:04:05"), m.retried, before, m.ahead)
	}
}

// watchedSender is the Sender that a referee watches.
type watchedSender struct {
	Sender
	j *referee
}

func (s watchedSender) Send(ctx context.Context, mailbox envelope.Address, m graph.Mail) outcome.Answer {
	s.j.begin(m.ID)
	a := s.Sender.Send(ctx, mailbox, m)
	s.j.end(m.ID, a)
	return a
}

// watchedStore is the store that a referee watches: it learns what is accepted,
// reports too.
type watchedStore struct {
	spool.Store
	j *referee
}

func (s watchedStore) Begin(ctx context.Context, client string, size int64) (spool.Draft, error) {
	d, err := s.Store.Begin(ctx, client, size)
	return watchedDraft{d, s.j}, err
}

type watchedDraft struct {
	spool.Draft
	j *referee
}

func (d watchedDraft) Commit(ctx context.Context, m spool.Message) error {
	d.j.accept(m) // before it is there for a claim
	err := d.Draft.Commit(ctx, m)
	if err != nil {
		d.j.withdraw(m.ID)
	}
	return err
}

// summary says what the referee has seen.
func (j *referee) summary() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var wasted time.Duration
	for _, b := range j.boxes {
		wasted += b.wasted
	}
	return fmt.Sprintf("Graph asked for time as often as %v; %v of slots wasted; mail waited %v for slots "+
		"of the identity; at most %d messages overtook one; %d probes of the identity",
		j.asked, wasted, j.limited.Round(time.Second), j.worst, len(j.probes))
}
