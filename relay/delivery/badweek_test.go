package delivery

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gomessage "github.com/emersion/go-message"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/spool"
	"graphrelay/relay/status"
)

const (
	weekBoxes    = 8
	weekMessages = 50_000
	weekMemory   = 100 << 20
)

// badWeek is a tenant in which everything goes wrong, as the double answers.
type badWeek struct {
	t        *testing.T
	r        *rig
	boxes    []envelope.Address
	deleted  envelope.Address
	poison   envelope.QueueID
	alarms   *alarms
	rand     *rand.Rand
	expired  bool                        // the secret
	hard     bool                        // throttling
	paused   map[string]time.Time        // until when Graph wants no request of a mailbox
	early    int                         // requests before that
	sent     map[envelope.QueueID]int    // how often Graph took a message
	reports  map[envelope.QueueID][]byte // what arrived, by the message reported
	sentAt   map[envelope.QueueID]time.Time
	accepted map[envelope.QueueID]time.Time
	requests int
}

// answer is Graph's. The double's lock is held.
func (w *badWeek) answer(mailbox envelope.Address, id envelope.QueueID, _ int) graph.Answer {
	w.requests++
	now := time.Now()
	key := mailbox.Key()
	switch {
	case w.expired:
		return graph.Answer{Outcome: graph.Hold, Scope: graph.ScopeIdentity, HTTPStatus: 401, Status: status.Enhanced{4, 7, 0},
			Text: "the client secret has expired", Advice: "make a new one"}
	case mailbox.Equal(w.deleted):
		return graph.Answer{Outcome: graph.Hold, Scope: graph.ScopeMailbox, HTTPStatus: 404, Status: status.Enhanced{4, 1, 8}, Text: "the mailbox is not in the directory"}
	case id == w.poison:
		return refusal
	case now.Before(w.paused[key]):
		w.early++
		fallthrough
	case w.hard && w.rand.IntN(50) == 0:
		after := time.Duration(1+w.rand.IntN(60)) * time.Second
		w.paused[key] = later(w.paused[key], now.Add(after))
		return graph.Answer{Outcome: graph.Retry, Scope: graph.ScopeMailbox, HTTPStatus: 429, Status: status.Enhanced{4, 7, 0},
			RetryAfter: w.paused[key].Sub(now), Text: "throttled"}
	}
	w.sent[id]++
	w.sentAt[id] = now
	return sent
}

// see reads the reports that arrive, as their recipients would.
func (w *badWeek) see(id envelope.QueueID, body []byte) {
	if !bytes.HasPrefix(body, []byte("From: Mail relay")) && !bytes.Contains(body, []byte("multipart/report")) {
		return
	}
	e, err := gomessage.Read(bytes.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	text, _ := io.ReadAll(e.Body)
	_, of, _ := strings.Cut(string(text), "X-Graphrelay-Queue-ID: ")
	of, _, _ = strings.Cut(of, "\r\n")
	w.r.graph.set(func() { w.reports[envelope.QueueID(of)] = body })
}

// accept is one message from a client.
func (w *badWeek) accept(box envelope.Address) envelope.QueueID {
	id := w.r.from(box, clientHeader)
	w.r.graph.set(func() { w.accepted[id] = time.Now() })
	w.r.Notify(box)
	return id
}

// TestBadWeek: on Friday evening the secret expires, and 50,000 messages arrive
// until Monday morning; then Graph throttles hard while they drain, one mailbox
// was deleted, and one message is poison. At the end each message was sent once,
// waits behind its hold, or failed with a report that arrived.
func TestBadWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &badWeek{t: t, r: newRig(t, 200*time.Millisecond), rand: rand.New(rand.NewPCG(1, 2)), paused: map[string]time.Time{}, sent: map[envelope.QueueID]int{},
			reports: map[envelope.QueueID][]byte{}, sentAt: map[envelope.QueueID]time.Time{}, accepted: map[envelope.QueueID]time.Time{}}
		w.alarms = w.r.reporting(func(c *Reports) { c.DelayWarning = 4 * time.Hour })
		w.r.graph.answer, w.r.graph.seeBody = w.answer, w.see
		w.r.store.commit = time.Millisecond
		for i := range weekBoxes {
			w.boxes = append(w.boxes, addr(t, fmt.Sprintf("box%d@contoso.com", i)))
		}
		w.deleted = addr(t, "deleted@contoso.com")
		memory := watchMemory()
		w.r.start()
		w.friday()
		w.weekend()
		backlog := memory()
		w.monday()
		w.check()
		after := memory()
		if max(backlog, after) > weekMemory {
			t.Errorf("%d MB of memory with the whole backlog, %d MB after it", backlog>>20, after>>20)
		}
		t.Logf("%d MB of memory with the whole backlog, %d MB after it", backlog>>20, after>>20)
		w.r.stop()
	})
}

// friday: mail flows, then the secret expires.
func (w *badWeek) friday() {
	for _, box := range w.boxes {
		w.accept(box)
	}
	w.r.wait(time.Minute)
	if n := w.r.store.states()[spool.Sent]; n != weekBoxes {
		w.t.Fatalf("%d sent on Friday", n)
	}
	w.r.graph.set(func() { w.expired = true })
}

// weekend: everything is accepted, nothing is sent, and little is tried.
func (w *badWeek) weekend() {
	const hours = 62
	w.r.graph.set(func() { w.requests = 0 })
	for n := range weekMessages - weekBoxes {
		switch {
		case n == 20_000:
			w.r.graph.set(func() { w.poison = envelope.QueueID(fmt.Sprintf("%016d", w.r.store.seq+1)) })
			w.accept(w.boxes[0])
		case n%500 == 7:
			w.accept(w.deleted)
		default:
			w.accept(w.boxes[n%weekBoxes])
		}
		if n%100 == 0 {
			time.Sleep(hours * time.Hour / (weekMessages / 100))
		}
	}
	synctest.Wait()
	if w.requests > 2*hours+20 {
		w.t.Errorf("%d requests with an expired secret in %d hours", w.requests, hours)
	}
	if w.alarms.text("hold:identity:contoso") == "" || w.r.log.count("hold begins") != 1 {
		w.t.Error("the hold is not loud, or repeats itself")
	}
	if n := len(w.r.store.reports()); n != 0 {
		w.t.Errorf("%d reports during the hold", n)
	}
}

// monday: the new secret is there, and Graph throttles while the backlog drains.
func (w *badWeek) monday() {
	w.r.graph.set(func() { w.expired, w.hard = false, true })
	began := time.Now()
	w.r.ProbeNow()
	w.r.wait(time.Second)
	if w.alarms.text("hold:identity:contoso") != "" {
		w.t.Error("the hold outlives its cause by a second after a probe was asked for")
	}
	for w.r.store.states()[spool.Queued] > 200 && time.Since(began) < 4*24*time.Hour {
		w.r.wait(10 * time.Minute)
	}
	w.r.wait(30 * time.Minute)
	// Three slots of 200 ms: 15 a second at most; halved and paused by one answer in fifty.
	if took := time.Since(began); took > 12*time.Hour {
		w.t.Errorf("the backlog took %v", took)
	}
}

func (w *badWeek) check() {
	states := w.r.store.states()
	var onHold, delays int
	w.r.graph.mu.Lock()
	defer w.r.graph.mu.Unlock()
	for id, at := range w.accepted {
		rec := w.r.store.get(id)
		switch {
		case w.sent[id] > 1:
			w.t.Errorf("%s was sent %d times", id, w.sent[id])
		case rec.State == spool.Sent && w.sent[id] == 1:
		case rec.State == spool.Queued && rec.Mailbox.Equal(w.deleted) && w.sent[id] == 0:
			onHold++
		case rec.State == spool.Failed && id == w.poison && w.reports[id] != nil:
		default:
			w.t.Errorf("%s of %v is %s (%s), sent %d times, reported: %v", id, at, rec.State, rec.LastText, w.sent[id], w.reports[id] != nil)
		}
	}
	if onHold == 0 || states[spool.Failed] != 1 || w.alarms.text("hold:mailbox:deleted@contoso.com") == "" {
		w.t.Errorf("%d messages of the deleted mailbox wait; states %v; alarm %q", onHold, states, w.alarms.text("hold:mailbox:deleted@contoso.com"))
	}
	for _, rec := range w.r.store.reports() {
		if rec.ReportDelay {
			delays++
		}
		if rec.State != spool.Sent {
			w.t.Errorf("report %s of %s is %s", rec.ID, rec.ReportOf, rec.State)
		}
	}
	if got := len(w.r.store.reports()) - delays; got != 1 || delays > 2*weekBoxes {
		w.t.Errorf("%d reports of failures, %d warnings", got, delays)
	}
	// Requests that were under way together may meet one pause.
	if w.early > w.requests/50 {
		w.t.Errorf("%d of %d requests came before the time that Graph asked for", w.early, w.requests)
	}
	w.t.Logf("%d requests, %d too early, %d on hold, %d warnings of delay", w.requests, w.early, onHold, delays)
}

// watchMemory measures the memory in use above what was in use before: that of
// the double too, which has to remember each message.
func watchMemory() (use func() uint64) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := heap()
	return func() uint64 {
		now := heap()
		return now - min(before, now)
	}
}
