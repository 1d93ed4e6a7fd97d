package pace

import "testing"

// TestSlotsPassInTurn: a place that wants more goes behind those that wait for
// their first slot.
func TestSlotsPassInTurn(t *testing.T) {
	id := &Identity{Name: "contoso"}
	id.SetSlots(noon, 1)
	places := []*Place{NewPlace(), NewPlace(), NewPlace()}
	if !places[0].Take(id) {
		t.Fatal("the only slot is free and was not taken")
	}
	for i, p := range places {
		if p.Take(id) {
			t.Fatalf("place %d got a slot that is in use", i)
		}
	}
	for n, want := range []int{0, 1, 2, 0, 1} {
		id.Leave()
		for i, p := range places {
			select {
			case s := <-p.Granted():
				if i != want {
					t.Errorf("slot %d went to place %d, want %d", n, i, want)
				}
				p.Accept(s)
				if !p.Take(id) {
					t.Errorf("place %d may not use its slot", i)
				}
				p.Take(id) // and waits for the next
			default:
			}
		}
	}
	if got := id.Load(); got != (Load{Limit: 1, Busy: 1, Waiting: 3}) {
		t.Errorf("at the end: %+v", got)
	}
}

// TestNoSlotIsLost: a place that leaves returns what it waits for, was granted
// or has not used, also when its mailbox has moved to another identity.
func TestNoSlotIsLost(t *testing.T) {
	old, next := &Identity{Name: "old"}, &Identity{Name: "new"}
	old.SetSlots(noon, 1)
	next.SetSlots(noon, 1)
	a, b := NewPlace(), NewPlace()
	a.Take(old)
	b.Take(old) // waits
	b.Leave()
	if got := old.Load(); got.Waiting != 0 || got.Busy != 1 {
		t.Errorf("after leaving the line: %+v", got)
	}
	b.Take(old)
	old.Leave() // granted to b, who has not read it
	b.Leave()
	if got := old.Load(); got.Busy != 0 {
		t.Errorf("after a granted slot was left: %+v", got)
	}
	a.Take(old)
	b.Take(old)
	old.Leave()
	b.Accept(<-b.Granted())
	if !b.Take(next) {
		t.Error("no slot of the new identity")
	}
	if got := old.Load(); got.Busy != 0 {
		t.Errorf("the old identity after the move: %+v", got)
	}
	next.Leave()
	if got := next.Load(); got.Busy != 0 || next.Crowded() {
		t.Errorf("the new identity: %+v", got)
	}
}

// TestIdentityIsSlowedForItself: one throttled mailbox of many costs the
// identity nothing; most of them, or an answer about the identity, half.
func TestIdentityIsSlowedForItself(t *testing.T) {
	for _, c := range []struct {
		about bool
		lanes LaneCount
		want  int
	}{
		{false, LaneCount{All: 30, Slowed: 1}, 64},
		{false, LaneCount{All: 30, Slowed: 15}, 64},
		{false, LaneCount{All: 30, Slowed: 16}, 30}, // a slot for each
		{false, LaneCount{All: 1, Slowed: 1}, 64},   // its mailbox pauses anyway
		{true, LaneCount{All: 30, Slowed: 1}, 1},    // half of what was under way
	} {
		id := &Identity{}
		id.SetSlots(noon, 64)
		id.Throttled(c.about, c.lanes, noon, noon)
		if got := id.Load().Limit; got != c.want || id.SlotsAt(noon) != c.want {
			t.Errorf("%+v: %d slots, want %d", c, got, c.want)
		}
		if got := id.SlotsAt(noon.Add(64 * raiseEvery)); got != 64 {
			t.Errorf("%+v: %d slots long after", c, got)
		}
	}
}

// TestFailuresInARow: after five the mailbox tries one message at a time, with
// growing pauses, until one passes or its lane begins anew.
func TestFailuresInARow(t *testing.T) {
	m, now := NewMailbox(), noon
	for range troubleAfter - 1 {
		m.Failed(now, 0)
	}
	if m.Slots(now, 3) != 3 || !m.PausedUntil(now).IsZero() {
		t.Error("slowed down too early")
	}
	for _, want := range []int{15, 30, 60, 120, 240, 300, 300} {
		m.Failed(now, 0)
		until := m.PausedUntil(now)
		if got := int(until.Sub(now).Seconds()); got != want || m.Slots(now, 3) != 1 {
			t.Errorf("failure %d: pause of %d s, want %d; %d slots", m.Failures(), got, want, m.Slots(now, 3))
		}
		now = until
	}
	m.Restart()
	if m.Failures() != 0 || m.Slots(now, 3) != 3 {
		t.Error("a new lane remembers failures")
	}
	m.Failed(now, 0)
	m.Passed()
	if m.Failures() != 0 {
		t.Error("a message passed, and its mailbox still counts failures")
	}
}

// TestSlotIsKept: a slot that is kept is the next that the place takes, and no place keeps two.
func TestSlotIsKept(t *testing.T) {
	id := &Identity{Name: "contoso"}
	id.SetSlots(noon, 2)
	a, b := NewPlace(), NewPlace()
	for range 2 {
		if !a.Take(id) {
			t.Fatal("two slots are free")
		}
	}
	a.Keep(id)
	if got := id.Load(); got.Busy != 2 || b.Take(id) {
		t.Errorf("a kept slot went to another: %+v", got)
	}
	b.Leave()
	if !a.Take(id) {
		t.Error("no slot, though one is kept")
	}
	a.Keep(id)
	a.Keep(id)
	if got := id.Load(); got.Busy != 1 {
		t.Errorf("with one kept: %+v", got)
	}
	a.Leave()
	if got := id.Load(); got.Busy != 0 {
		t.Errorf("at the end: %+v", got)
	}
}
