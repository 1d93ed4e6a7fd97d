package hold

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func addr(t *testing.T, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// stored is a Store that remembers, and fails when told to.
type stored struct {
	set   []spool.Hold
	ended []string

	credited []envelope.Address // by the last end
	err      error
}

func (s *stored) SetHold(_ context.Context, h spool.Hold) error {
	s.set = append(s.set, h)
	return s.err
}

func (s *stored) EndHold(_ context.Context, key string, _ time.Time, mailboxes ...envelope.Address) error {
	s.ended, s.credited = append(s.ended, key), mailboxes
	return s.err
}

func (s *stored) Holds(context.Context) ([]spool.Hold, error) { return nil, s.err }

// TestKeys: the keys are in stores, and so stay as they are.
func TestKeys(t *testing.T) {
	m, from := addr(t, "Box@Contoso.com"), addr(t, "from@contoso.com")
	r := spool.Record{Message: spool.Message{Mailbox: m, From: from}}
	for got, want := range map[string]string{
		ScopeKey(outcome.ScopeIdentity, "app", r): "identity:app",
		ScopeKey(outcome.ScopeMailbox, "app", r):  "mailbox:box@contoso.com",
		ScopeKey(outcome.ScopeMessage, "app", r):  "mailbox:box@contoso.com",
		ScopeKey(outcome.ScopeSendAs, "app", r):   "sendas:box@contoso.com from from@contoso.com",
		ForLarge("app", m, 100, noon).Key:         "large:box@contoso.com above 100",
		MissingRoute(m, noon).Key:                 "route:box@contoso.com",
		ForAudit("app", "", noon).Key:             "audit:app",

		strings.Join(Keys("app", r), " "): "identity:app mailbox:box@contoso.com " +
			"sendas:box@contoso.com from from@contoso.com",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, scope := range []outcome.Scope{outcome.ScopeIdentity, outcome.ScopeMailbox, outcome.ScopeSendAs} {
		h := ForScope(scope, "app", r, noon)
		if h.Mailbox.IsZero() != (scope == outcome.ScopeIdentity) || h.From.IsZero() != (scope != outcome.ScopeSendAs) {
			t.Errorf("%v names %q and %q", scope, h.Mailbox, h.From)
		}
	}
}

// TestProbesTakeTurns: 1, 2, 4 ... 30 minutes apart, one at a time, and a lane
// that has probed waits a second for the others.
func TestProbesTakeTurns(t *testing.T) {
	s := New(&stored{})
	s.Begin(spool.Hold{Key: "identity:app", Identity: "app", Since: noon, NextProbe: noon.Add(ProbeAfter(0))})
	now := noon
	for _, minutes := range []int{1, 2, 4, 8, 16, 30, 30} {
		ok, again := s.TakeProbe("identity:app", "a", now)
		if ok || again.Before(now.Add(time.Duration(minutes)*time.Minute)) {
			t.Fatalf("a probe after %v, want %d min", again.Sub(now), minutes)
		}
		now = now.Add(time.Duration(minutes)*time.Minute + time.Second)
		if ok, _ := s.TakeProbe("identity:app", "a", now); !ok {
			t.Fatalf("no probe after %d min", minutes)
		}
		if ok, _ := s.TakeProbe("identity:app", "b", now); ok {
			t.Fatal("two probes at once")
		}
		s.ProbeDone("identity:app", now)
	}
	s.ProbeNow(now)
	if ok, _ := s.TakeProbe("identity:app", "a", now); !ok {
		t.Error("no probe on request")
	}
	s.DropProbe("identity:app") // not sent
	if ok, again := s.TakeProbe("identity:app", "a", now); ok || again.Sub(now) != time.Second {
		t.Errorf("the lane that had its turn: %t, %v", ok, again.Sub(now))
	}
	if ok, _ := s.TakeProbe("identity:app", "b", now); !ok {
		t.Error("the other lane has no turn")
	}
}

// TestNoProbeEndsAnAudit: not even one that an operator asks for.
func TestNoProbeEndsAnAudit(t *testing.T) {
	s := New(&stored{})
	h := ForAudit("app", "it may send as denied@contoso.com; restrict it", noon)
	s.Begin(h)
	s.ProbeNow(noon)
	if ok, again := s.TakeProbe(h.Key, "a", noon.Add(time.Hour)); ok || !again.IsZero() {
		t.Errorf("probed: %t, %v", ok, again)
	}
	if got := s.Blocking("app", addr(t, "box@contoso.com")); got != h.Key {
		t.Errorf("blocked by %q", got)
	}
}

// TestStrikes: a message counts as alone only where others passed since.
func TestStrikes(t *testing.T) {
	s, keys := New(&stored{}), []string{"identity:app", "mailbox:box"}
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	if n := s.Struck("odd", "mailbox:box", at(0)); n != 0 {
		t.Errorf("the first refusal: %d", n)
	}
	if n := s.Struck("odd", "mailbox:box", at(10)); n != 0 {
		t.Errorf("nothing has passed: %d", n)
	}
	s.Passed(keys, "other", at(5)) // was under way before the last refusal
	if n := s.Struck("odd", "mailbox:box", at(20)); n != 0 {
		t.Errorf("what passed began before: %d", n)
	}
	for want := 1; want <= MaxAlone; want++ {
		s.Passed(keys, "other", at(30*want))
		if n := s.Struck("odd", "mailbox:box", at(30*want+1)); n != want {
			t.Errorf("alone %d times, want %d", n, want)
		}
	}
	if n := s.Struck("odd", "identity:app", at(200)); n != 0 {
		t.Errorf("another hold: %d", n)
	}
	s.Forget("odd")
	if !s.None() {
		t.Error("something is remembered")
	}
	for i := range 2 * maxStrikes {
		s.Struck(envelope.QueueID(fmt.Sprint(i)), "mailbox:box", at(300))
	}
	if n := len(s.strikes); n > maxStrikes {
		t.Errorf("%d strikes are remembered", n)
	}
}

// TestFinishCreditsEachOnce: an identity's hold credits the mailboxes that it
// stopped, without those that a hold of their own had stopped before; and it
// blocks until the store has it.
func TestFinishCreditsEachOnce(t *testing.T) {
	store := &stored{}
	s := New(store)
	seen, now, own := addr(t, "seen@contoso.com"), addr(t, "now@contoso.com"), addr(t, "own@contoso.com")
	s.Begin(spool.Hold{Key: MailboxKey(own), Mailbox: own, Identity: "app", Since: noon.Add(-time.Hour)})
	s.Begin(spool.Hold{Key: IdentityKey("app"), Identity: "app", Since: noon})
	if !s.NoteStopped(IdentityKey("app"), seen) || s.NoteStopped(IdentityKey("app"), seen) {
		t.Error("a stopped mailbox is new once")
	}
	if over, err := s.Finish(t.Context(), IdentityKey("app"), nil, noon); over || err != nil || len(store.ended) != 0 {
		t.Errorf("a hold that is not over ended: %t, %v", over, err)
	}
	over := s.Passed([]string{IdentityKey("app")}, "id", noon.Add(time.Minute))
	if len(over) != 1 {
		t.Fatalf("over: %+v", over)
	}
	store.err = errors.New("disk full")
	all := []envelope.Address{seen, now, own}
	if over, err := s.Finish(t.Context(), IdentityKey("app"), all, noon); over || err == nil {
		t.Errorf("ended without the store: %t, %v", over, err)
	}
	if s.Blocking("app", seen) == "" {
		t.Error("it does not block until the store has it")
	}
	store.err = nil
	if over, err := s.Finish(t.Context(), IdentityKey("app"), all, noon); !over || err != nil {
		t.Errorf("Finish = %t, %v", over, err)
	}
	if got := fmt.Sprint(store.credited); got != fmt.Sprint([]envelope.Address{seen, now}) {
		t.Errorf("credited: %s", got)
	}
	if got := s.List(); len(got) != 1 || got[0].Key != MailboxKey(own) {
		t.Errorf("left: %+v", got)
	}
}

// TestARefusalRenewsAHold that was ending: it stays, and is saved again.
func TestARefusalRenewsAHold(t *testing.T) {
	store := &stored{}
	s, box := New(store), addr(t, "box@contoso.com")
	h := spool.Hold{Key: MailboxKey(box), Mailbox: box, Since: noon}
	s.Begin(h)
	if _, ok := s.End(h.Key); !ok {
		t.Fatal("it did not end")
	}
	if _, ok := s.End(h.Key); ok {
		t.Error("it ended twice")
	}
	if _, err := s.Save(t.Context(), h.Key); err != nil || len(store.set) != 0 {
		t.Errorf("an ending hold was saved: %v, %v", store.set, err)
	}
	if s.Begin(h) {
		t.Error("a renewed hold counts as new")
	}
	if over, err := s.Finish(t.Context(), h.Key, nil, noon); over || err != nil {
		t.Errorf("a renewed hold ended: %t, %v", over, err)
	}
	if _, err := s.Save(t.Context(), h.Key); err != nil || len(store.set) != 1 {
		t.Errorf("it was not saved: %v, %v", store.set, err)
	}
}
