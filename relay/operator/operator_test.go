package operator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
	"graphrelay/relay/state"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func address(s string) envelope.Address {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

var a, b, c = address("a@example.org"), address("b@example.org"), address("c@example.org")

func id(n int) envelope.QueueID { return envelope.QueueID(fmt.Sprintf("%016d", n)) }

// bench is an Operator over a store in memory, and what it asked delivery for.
type bench struct {
	*operator.Operator
	t             *testing.T
	mem           *spooltest.Mem
	holds         []spool.Hold
	woken, probed []string
	tried         []string // of the mailboxes a, b and c
}

func (x *bench) tryNow(chosen func(envelope.Address) bool) []state.Wait {
	for _, m := range []envelope.Address{a, b, c} {
		if chosen(m) {
			x.tried = append(x.tried, m.String())
		}
	}
	return []state.Wait{{Mailbox: "p@example.org"}}
}

func newBench(t *testing.T) *bench {
	now := func() time.Time { return noon }
	x := &bench{t: t, mem: spooltest.NewMem(now)}
	x.Operator = &operator.Operator{
		Store: x.mem, Now: now,
		Wake:     func(m envelope.Address) { x.woken = append(x.woken, m.String()) },
		Holds:    func() []spool.Hold { return x.holds },
		ProbeNow: func(keys ...string) { x.probed = append(x.probed, keys...) }, TryNow: x.tryNow,
		Identity: func(m envelope.Address) string {
			return map[string]string{a.Key(): "contoso", b.Key(): "contoso", c.Key(): "fabrikam"}[m.Key()]
		},
	}
	return x
}

// put makes a message n in a state.
func (x *bench) put(n int, mailbox envelope.Address, state spool.State) envelope.QueueID {
	x.t.Helper()
	r := spool.Record{State: state, NextAttempt: noon.Add(time.Hour), Message: spool.Message{
		ID: id(n), Mailbox: mailbox, From: mailbox, Accepted: noon.Add(-time.Hour),
		Envelope: envelope.Envelope{Recipients: []envelope.Address{mailbox}},
	}}
	if err := x.mem.Put(r, []byte("Subject: x\r\n\r\n")); err != nil {
		x.t.Fatal(err)
	}
	return r.ID
}

func (x *bench) lastEvent(id envelope.QueueID) string {
	x.t.Helper()
	events, err := x.mem.History(x.t.Context(), id)
	if err != nil || len(events) == 0 {
		x.t.Fatalf("history of %s: %v, %v", id, events, err)
	}
	return events[len(events)-1].Text
}

// do makes a change and returns its last progress.
func (x *bench) do(change operator.Change) (last operator.Progress) {
	x.t.Helper()
	err := x.Change(x.t.Context(), change, func(p operator.Progress) error { last = p; return nil })
	if err != nil {
		x.t.Fatal(err)
	}
	return last
}

// The same request leaves the same words and has the same effects, whether it
// comes for one message, as from the console, or for several.
func TestOneAndManyAreTheSame(t *testing.T) {
	for _, one := range []struct {
		action operator.Action
		from   spool.State
		to     spool.State
		words  string
		due    bool
	}{
		{operator.Retry, spool.Queued, spool.Queued, "made due by the operator (anna)", true},
		{operator.Retry, spool.Held, spool.Queued, "made due by the operator (anna)", true},
		{operator.Release, spool.Held, spool.Queued, "made due by the operator (anna)", true},
		{operator.HoldIt, spool.Queued, spool.Held,
			"held by the operator (anna); to let it go: graphrelay queue release " + string(id(1)), false},
		{operator.Delete, spool.Queued, spool.Deleted, "deleted by the operator (anna)", false},
	} {
		for _, way := range []string{"one", "many"} {
			x := newBench(t)
			x.put(1, a, one.from)
			x.holds = []spool.Hold{
				{Key: "mailbox:a", Mailbox: a}, {Key: "mailbox:b", Mailbox: b},
				{Key: "identity:contoso", Identity: "contoso"}, {Key: "identity:fabrikam", Identity: "fabrikam"},
			}
			if way == "many" {
				x.do(operator.Change{Action: one.action, IDs: []envelope.QueueID{id(1)}, By: "anna"})
			} else if err := x.Do(t.Context(), one.action, id(1), "anna"); err != nil {
				t.Fatal(err)
			}
			r, _ := x.mem.Get(t.Context(), id(1))
			if words := x.lastEvent(id(1)); r.State != one.to || words != one.words {
				t.Errorf("%s %s %s: %s, %q", way, one.action, one.from, r.State, words)
			}
			woken, probed := "", ""
			if one.due {
				woken, probed = a.String(), "mailbox:a identity:contoso"
				if !r.NextAttempt.Equal(noon) {
					t.Errorf("%s %s: due at %s", way, one.action, r.NextAttempt)
				}
			}
			if w, p := strings.Join(x.woken, " "), strings.Join(x.probed, " "); w != woken || p != probed {
				t.Errorf("%s %s: woken %q, probed %q", way, one.action, w, p)
			}
		}
	}
}

// A retry looks first where that is configured, and else counts what may arrive twice; a release is the decision of
// somebody who has looked, and counts too.
func TestWhatMayHaveBeenSentIsCounted(t *testing.T) {
	for _, tt := range []struct {
		action  operator.Action
		looksUp bool
		want    int
		event   spool.EventKind
	}{
		{operator.Retry, true, 0, spool.EventRetried}, {operator.Retry, false, 2, spool.EventRetried},
		{operator.Release, true, 2, spool.EventReleased}, {operator.Release, false, 2, spool.EventReleased},
		{operator.HoldIt, false, 0, spool.EventHeld}, {operator.Delete, false, 0, spool.EventDeleted},
	} {
		x := newBench(t)
		x.LooksUp = func() bool { return tt.looksUp }
		for n := range 5 {
			r := spool.Record{State: spool.Held, Unknown: n < 2, Message: spool.Message{ID: id(n), Mailbox: a, From: a,
				Accepted: noon.Add(-time.Hour), Envelope: envelope.Envelope{Recipients: []envelope.Address{a}}}}
			if tt.action == operator.HoldIt {
				r.State = spool.Queued
			}
			if err := x.mem.Put(r, []byte("Subject: x\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		all := spool.Filter{States: []spool.State{spool.Held, spool.Queued}}
		if p := x.do(operator.Change{Action: tt.action, Filter: all}); p.Changed != 5 || p.MaySent != tt.want {
			t.Errorf("%s, lookup %t: %+v", tt.action, tt.looksUp, p)
		}
		events, _ := x.mem.History(t.Context(), id(0))
		if got := events[len(events)-1].Kind; got != tt.event {
			t.Errorf("%s: event %q", tt.action, got)
		}
	}
}

// The error of one message says why it was not changed, and nothing else happens.
func TestOneThatCannotBeChanged(t *testing.T) {
	x := newBench(t)
	x.put(1, a, spool.Queued)
	x.put(2, a, spool.Sent)
	for _, one := range []struct {
		action operator.Action
		id     envelope.QueueID
		want   error
	}{
		{operator.Release, id(1), spool.ErrState}, {operator.Retry, id(2), spool.ErrState},
		{operator.Delete, id(3), spool.ErrNotFound},
	} {
		if err := x.Do(t.Context(), one.action, one.id, ""); !errors.Is(err, one.want) || len(x.woken) > 0 {
			t.Errorf("%s of %s: %v, woken %v", one.action, one.id, err, x.woken)
		}
	}
}

// A filter may select a whole backlog: its mailboxes are woken, and no hold is
// probed for it.
func TestAFilterProbesNothing(t *testing.T) {
	x := newBench(t)
	for n := range 150 {
		x.put(n, []envelope.Address{a, b}[n%2], spool.Queued)
	}
	x.holds = []spool.Hold{{Key: "mailbox:a", Mailbox: a}}
	if p := x.do(operator.Change{Action: operator.Retry}); p.Changed != 150 || !p.Done || len(x.probed) > 0 {
		t.Errorf("%+v, probed %v", p, x.probed)
	}
	slices.Sort(x.woken)
	if got := strings.Join(slices.Compact(x.woken), " "); got != "a@example.org b@example.org" {
		t.Errorf("woken: %s", got)
	}
}

// Named messages, however many pages of them, probe each hold once.
func TestNamedMessagesProbeEachHoldOnce(t *testing.T) {
	x := newBench(t)
	var ids []envelope.QueueID
	for n := range 150 {
		ids = append(ids, x.put(n, a, spool.Queued))
	}
	x.holds = []spool.Hold{{Key: "mailbox:a", Mailbox: a}}
	x.do(operator.Change{Action: operator.Retry, IDs: ids})
	if got := strings.Join(x.probed, " "); got != "mailbox:a" {
		t.Errorf("probed: %s", got)
	}
}

// What came after the change began is left alone, however long it takes.
func TestChangeEnds(t *testing.T) {
	x := newBench(t)
	x.put(1, a, spool.Queued)
	late := x.put(2, a, spool.Queued)
	x.mem.Edit(late, func(r *spool.Record) { r.Accepted = noon.Add(time.Second) })
	x.do(operator.Change{Action: operator.HoldIt})
	if r, _ := x.mem.Get(t.Context(), late); r.State != spool.Queued {
		t.Errorf("the late message is %s", r.State)
	}
}

// Whoever confirms a change by filter has seen to how many messages it is made, and
// what comes meanwhile is not among them.
func TestCount(t *testing.T) {
	x := newBench(t)
	for n := range 2500 {
		x.put(n, []envelope.Address{a, b}[n%2], []spool.State{spool.Queued, spool.Held}[n%5/4])
	}
	late := x.put(2500, a, spool.Queued)
	x.mem.Edit(late, func(r *spool.Record) { r.Accepted = noon.Add(time.Second) })
	for _, c := range []struct {
		change operator.Change
		want   int
	}{
		{operator.Change{Action: operator.Retry}, 2000}, {operator.Change{Action: operator.Delete}, 2500},
		{operator.Change{Action: operator.Release}, 500},
		{operator.Change{Action: operator.Delete, Filter: spool.Filter{Mailbox: b}}, 1250},
		{operator.Change{Action: operator.HoldIt, Filter: spool.Filter{Mailbox: c}}, 0},
		{operator.Change{Action: operator.Delete, IDs: []envelope.QueueID{id(1), id(2)}}, 2},
	} {
		n, err := x.Count(t.Context(), c.change)
		if err != nil || n != (operator.Counted{Messages: c.want, Until: noon}) {
			t.Errorf("%+v: %+v, %v", c.change, n, err)
		}
	}
	if _, err := x.Count(t.Context(), operator.Change{Action: "explode"}); err == nil {
		t.Error("counted for an unknown action")
	}
}

func TestProgressBreaksOff(t *testing.T) {
	x := newBench(t)
	for n := range 200 {
		x.put(n, a, spool.Queued)
	}
	gone := errors.New("gone")
	err := x.Change(t.Context(), operator.Change{Action: operator.HoldIt},
		func(operator.Progress) error { return gone })
	if held := x.mem.Counts()[spool.Held]; !errors.Is(err, gone) || held == 0 || held > 64 {
		t.Errorf("%v, %d held: nobody listens, and it went on", err, held)
	}
}

func TestUnknownActions(t *testing.T) {
	x := newBench(t)
	err := x.Change(t.Context(), operator.Change{Action: "explode"}, func(operator.Progress) error { return nil })
	if err == nil || operator.Action("explode").Known() || !operator.Delete.Known() {
		t.Errorf("explode: %v", err)
	}
}

func TestProbe(t *testing.T) {
	for _, ask := range []struct {
		key     string
		mailbox envelope.Address
		want    string
	}{
		{"", envelope.Address{}, "identity:contoso identity:fabrikam mailbox:a mailbox:b sendas:a"},
		{"mailbox:b", envelope.Address{}, "mailbox:b"},
		{"", a, "identity:contoso mailbox:a sendas:a"},
		{"", c, "identity:fabrikam"},
		{"mailbox:c", envelope.Address{}, ""},
	} {
		x := newBench(t)
		x.holds = []spool.Hold{
			{Key: "identity:contoso", Identity: "contoso"}, {Key: "identity:fabrikam", Identity: "fabrikam"},
			{Key: "mailbox:a", Mailbox: a}, {Key: "mailbox:b", Mailbox: b}, {Key: "sendas:a", Mailbox: a, From: c},
		}
		got := x.Probe(ask.key, ask.mailbox)
		if strings.Join(got, " ") != ask.want || !slices.Equal(got, x.probed) || got == nil {
			t.Errorf("%q %q: %v, probed %v, want %s", ask.key, ask.mailbox, got, x.probed, ask.want)
		}
	}
}

func TestTestMail(t *testing.T) {
	x := newBench(t)
	x.Hostname = func() string { return "relay.example.org" }
	var text string
	x.Submit = func(_ context.Context, from, to envelope.Address, message io.Reader) (envelope.QueueID, error) {
		m, err := io.ReadAll(message)
		text = from.String() + " " + to.String() + "\n" + string(m)
		return id(7), err
	}
	got, err := x.TestMail(t.Context(), a, b)
	want := "a@example.org b@example.org\nFrom: a@example.org\r\nTo: b@example.org\r\n" +
		"Subject: Test mail from graphrelay\r\n"
	if err != nil || got != id(7) || !strings.HasPrefix(text, want) ||
		!strings.Contains(text, "on relay.example.org.") {
		t.Errorf("%s, %v:\n%s", got, err, text)
	}
}

// Retry and release make the mailboxes concerned try now, and return the pauses that
// go on; a filter of everything in a mailbox concerns it even where it finds nothing.
func TestWhatTriesNow(t *testing.T) {
	one := func(a operator.Action) operator.Change {
		return operator.Change{Action: a, IDs: []envelope.QueueID{id(1)}}
	}
	retry := func(f spool.Filter) operator.Change { return operator.Change{Action: operator.Retry, Filter: f} }
	all := []string{a.String(), b.String(), c.String()}
	for name, tt := range map[string]struct {
		change operator.Change
		want   []string
	}{
		"retry one":                {one(operator.Retry), all[:1]},
		"retry all":                {retry(spool.Filter{}), all},
		"retry a mailbox":          {retry(spool.Filter{Mailbox: c}), all[2:]},
		"retry a client":           {retry(spool.Filter{Client: "erp"}), nil},
		"retry mail from a sender": {retry(spool.Filter{Sender: b}), all[1:2]},
		"release all":              {operator.Change{Action: operator.Release}, all},
		"hold all":                 {operator.Change{Action: operator.HoldIt}, nil},
		"delete one":               {one(operator.Delete), nil},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBench(t)
			x.put(1, a, spool.Queued)
			x.put(2, b, spool.Queued)
			var last operator.Progress
			err := x.Change(t.Context(), tt.change, func(p operator.Progress) error { last = p; return nil })
			if err != nil {
				t.Fatal(err)
			}
			tries := tt.change.Action == operator.Retry || tt.change.Action == operator.Release
			if !slices.Equal(x.tried, tt.want) || (len(last.Waits) == 1) != tries {
				t.Errorf("tried %v, want %v; paused %v", x.tried, tt.want, last.Waits)
			}
		})
	}
	x := newBench(t)
	if err := x.Do(t.Context(), operator.Retry, x.put(1, a, spool.Queued), ""); err != nil ||
		!slices.Equal(x.tried, []string{a.String()}) {
		t.Errorf("one in the console: %v, tried %v", err, x.tried)
	}
	x.tried, x.holds = nil, []spool.Hold{{Key: "identity:contoso", Identity: "contoso"}}
	if paused := x.TryAll(); len(x.tried) != 3 || len(x.probed) != 1 || len(paused) != 1 {
		t.Errorf("everything: tried %v, probed %v, paused %v", x.tried, x.probed, paused)
	}
}

// Release by a filter means what the list shows: held messages, and paused ones, of which it
// probes the holds. A paused one that may have been sent is looked up like with a retry.
func TestReleaseOfPausedMailProbesItsHolds(t *testing.T) {
	for _, one := range []struct {
		name    string
		filter  spool.Filter
		changed int
		probed  string
	}{
		{"all", spool.Filter{}, 3, "mailbox:a mailbox:c"},
		{"a mailbox", spool.Filter{Mailbox: a}, 2, "mailbox:a"},
		{"a mailbox whose hold stops nothing", spool.Filter{Mailbox: c}, 0, "mailbox:c"},
		{"paused", spool.Filter{States: []spool.State{spool.Paused}}, 2, "mailbox:a"},
		{"held", spool.Filter{States: []spool.State{spool.Held}}, 1, ""},
		{"a recipient", spool.Filter{Recipient: a}, 2, "mailbox:a"},
	} {
		x := newBench(t)
		x.LooksUp = func() bool { return true }
		x.holds = []spool.Hold{{Key: "mailbox:a", Mailbox: a}, {Key: "mailbox:c", Mailbox: c}}
		for _, h := range x.holds {
			if err := x.mem.SetHold(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		x.put(1, a, spool.Queued)
		doubtful := x.put(2, a, spool.Queued)
		x.mem.Edit(doubtful, func(r *spool.Record) { r.Unknown = true })
		x.put(3, b, spool.Held)
		x.put(4, b, spool.Queued)
		p := x.do(operator.Change{Action: operator.Release, Filter: one.filter})
		if p.Changed != one.changed || p.MaySent != 0 || p.Skipped != 0 || strings.Join(p.Probed, " ") != one.probed {
			t.Errorf("%s: %+v", one.name, p)
		}
		if one.changed > 1 && x.lastKind(doubtful) != spool.EventRetried {
			t.Errorf("%s: the paused one that may have been sent is %s", one.name, x.lastKind(doubtful))
		}
	}
}

func (x *bench) lastKind(id envelope.QueueID) spool.EventKind {
	x.t.Helper()
	events, err := x.mem.History(x.t.Context(), id)
	if err != nil {
		x.t.Fatal(err)
	}
	return events[len(events)-1].Kind
}
