package model

import (
	"os"
	"strings"
	"testing"
)

// long asks for wider bounds: minutes, and a few gigabytes of memory.
var long = os.Getenv("MODEL") == "long"

// maxStates bounds the states of one model, and so time and memory. A model that has
// more is not checked, and its test fails.
func maxStates() int {
	if long {
		return 6_000_000
	}
	return 400_000
}

// The models: who takes part. Bounds are added by with.
var (
	store  = Model{Name: "one lease", Nodes: 2, Messages: 1, Slots: 1, Trust: 1}
	hold   = Model{Name: "one lease, `hold`", Nodes: 2, Messages: 1, Slots: 1, Trust: 1, Hold: true}
	longer = Model{Name: "one lease, trusted for longer", Nodes: 2, Messages: 1, Slots: 1, Trust: 2}
	pair   = Model{Name: "one lease", Nodes: 2, Messages: 2, Slots: 1, Trust: 1}
	three  = Model{Name: "one lease", Nodes: 3, Messages: 1, Slots: 1, Trust: 1}

	lane     = Model{Name: "a lease for the lane", Nodes: 2, Messages: 1, Slots: 1, Lanes: true}
	laneHold = Model{Name: "a lease for the lane, `hold`", Nodes: 2, Messages: 1, Slots: 1, Lanes: true, Hold: true}
	lanePair = Model{Name: "a lease for the lane", Nodes: 2, Messages: 2, Slots: 1, Lanes: true}
	laneTwo  = Model{
		Name: "a lease for each of two lanes", Nodes: 2, Messages: 2, Slots: 1, Lanes: true, TwoLanes: true,
	}
	laneThree = Model{Name: "a lease for the lane", Nodes: 3, Messages: 1, Slots: 1, Lanes: true}
)

func (m Model) with(may Bounds) Model { m.May = may; return m }

func (m Model) without(rule Fault) Model { m.Fault = rule; return m }

// shortModels are checked by every go test.
var shortModels = []Model{
	store.with(Bounds{Attempts: 2, Takeovers: 1, Losses: 1}),
	store.with(Bounds{Attempts: 2, Takeovers: 1, Failovers: 1}),
	store.with(Bounds{Attempts: 2, Takeovers: 1, Crashes: 2}),
	store.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1, Failovers: 1}),
	store.with(Bounds{Attempts: 1, Losses: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
	hold.with(Bounds{Attempts: 2, Takeovers: 2, Releases: 1}),
	longer.with(Bounds{Attempts: 2, Takeovers: 1}),
	pair.with(Bounds{Attempts: 1, Takeovers: 1}),
	three.with(Bounds{Attempts: 2, Takeovers: 1}),
	lane.with(Bounds{Attempts: 2, Takeovers: 1, Losses: 1}),
	lane.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1, Failovers: 1}),
	lane.with(Bounds{Attempts: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
	lane.with(Bounds{Attempts: 3, Takeovers: 2}),
	laneHold.with(Bounds{Attempts: 2, Takeovers: 1, Crashes: 1, Releases: 1}),
	lanePair.with(Bounds{Attempts: 1, Takeovers: 1}),
	laneTwo.with(Bounds{Attempts: 1, Takeovers: 1}),
	laneThree.with(Bounds{Attempts: 2, Takeovers: 1}),
}

// longModels are checked by make model.
var longModels = []Model{
	store.with(Bounds{Attempts: 2, Takeovers: 2, Losses: 1, Crashes: 1, Failovers: 1}),
	store.with(Bounds{Attempts: 2, Takeovers: 1, Losses: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
	hold.with(Bounds{Attempts: 2, Takeovers: 2, Losses: 1, Crashes: 1, Releases: 1}),
	longer.with(Bounds{Attempts: 2, Takeovers: 2, Losses: 1}),
	pair.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1}),
	three.with(Bounds{Attempts: 2, Takeovers: 2, Losses: 1}),
	lane.with(Bounds{Attempts: 2, Takeovers: 1, Losses: 1, Failovers: 1}),
	laneHold.with(Bounds{Attempts: 2, Takeovers: 2, Losses: 1, Releases: 1}),
	lanePair.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1}),
	laneTwo.with(Bounds{Attempts: 1, Takeovers: 2}),
	laneThree.with(Bounds{Attempts: 2, Takeovers: 2, Losses: 1}),
}

// The rules keep every promise in every state that can be reached.
func TestPromisesHold(t *testing.T) {
	models, page := shortModels, table("short")
	if long {
		models, page = longModels, table("long")
	}
	states := 0
	for _, m := range models {
		r := m.Check(maxStates())
		states += r.States
		t.Logf("%s: %s; %s", m.Name, m.May, r)
		page.add(m.Name, m.Nodes, m.Messages, m.May, r.States, r.Depth)
		if !r.Whole {
			t.Errorf("%s; %s: more than %d states", m.Name, m.May, maxStates())
		}
		if r.Broken != Kept {
			t.Errorf("%s; %s: not kept: %s:\n%s", m.Name, m.May, r.Broken, strings.Join(r.Trace, "\n"))
		}
	}
	t.Logf("%d states in all", states)
	page.compare(t)
}

// faulty has a model for each fault that is small enough to find it in, and the promise
// that the fault breaks.
var faulty = []struct {
	Model
	breaks Promise
}{
	{store.without(EarlyReply).with(Bounds{}), AcceptedIsKept},
	{store.without(AsyncCommit).with(Bounds{Failovers: 1}), AcceptedIsKept},
	{store.without(AsyncAcquire).with(Bounds{Takeovers: 2, Crashes: 1, Failovers: 1}), TokenOnlyOnce},
	{store.without(AsyncRenewal).with(Bounds{Attempts: 2, Takeovers: 1, Failovers: 1}), OneRequestAtATime},
	{store.without(AsyncDecision).with(Bounds{Restarts: 1, Failovers: 1}), AcceptedIsKept},
	{store.without(IgnoredNotice).with(Bounds{Cancels: 1, Failovers: 1}), AcceptedIsKept},
	{store.without(LostMeansCommitted).with(Bounds{Losses: 1}), AcceptedIsKept},
	{store.without(LostMeansFailed).with(Bounds{Losses: 1}), RefusedStaysAway},
	{store.without(DecisionReads).with(Bounds{Losses: 1}), RefusedStaysAway},
	{store.without(DecisionIgnoresToken).with(Bounds{Takeovers: 1, Losses: 1}), RefusedStaysAway},
	{pair.without(BatchGoesOn).with(Bounds{Takeovers: 1, Losses: 1}), AcceptedIsKept},
	{store.without(WritesInDoubt).with(Bounds{Losses: 1}), RefusedStaysAway},
	{store.without(ClaimsInDoubt).with(Bounds{Attempts: 1, Losses: 1}), DoubtWaits},
	{store.without(DoubtForgotten).with(Bounds{Attempts: 1, Losses: 1}), NothingIsForgotten},
	{lane.without(WipeTried).with(Bounds{Attempts: 1, Losses: 1}), DeletedWasNeverTried},
	{store.without(EarlyRequest).with(Bounds{Attempts: 1}), AttemptIsDurable},
	{store.without(LocksRemain).with(Bounds{Losses: 1}), AWayOut},
	{store.without(FenceReads).with(Bounds{Attempts: 1, Takeovers: 1}), DeadTokenWritesNothing},
	{store.without(NoFence).with(Bounds{Attempts: 1, Takeovers: 1}), DeadTokenWritesNothing},
	{store.without(NoDeadline).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{store.without(DeadlineFromClaim).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{longer.without(DeadlineWithoutTrust).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{lane.without(DeadlineFromRequest).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{store.without(NoCheck).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{store.without(FreshFromAnswer).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{store.without(RetryIgnoresDeadline).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{lane.without(NodeClock).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{store.without(NotUnknown).with(Bounds{Attempts: 2, Takeovers: 1}), TwiceOnlyIfUnknown},
	{hold.without(HoldIgnored).with(Bounds{Attempts: 2, Takeovers: 1}), TwiceOnlyIfUnknown},
	{store.without(NumberTakenBack).with(Bounds{Attempts: 2}), NumberOnlyOnce},
	{pair.without(SlotsForgotten).with(Bounds{Attempts: 1, Takeovers: 1}), SlotsAreKept},
	{lane.without(LateSettlesAll).with(Bounds{Attempts: 3, Takeovers: 2}), OneRequestAtATime},
}

// Without any one of the rules a promise is broken, and there is no promise that no
// fault breaks. -v prints the steps.
func TestEveryFaultIsFound(t *testing.T) {
	page, seen, broken := table("faults"), map[Fault]bool{}, map[Promise]bool{}
	for _, c := range faulty {
		check := c.Check
		if c.breaks == AWayOut {
			check = c.CheckProgress
		}
		r := check(maxStates())
		if r.Broken != c.breaks {
			t.Errorf("%s: found %q in %s, want %q", c.Fault, r.Broken, r, c.breaks)
		}
		sound := c.without(NoFault)
		if r := sound.Check(maxStates()); r.Broken != Kept || !r.Whole {
			t.Errorf("%s: without the fault: %q, %s", c.Fault, r.Broken, r)
		}
		t.Logf("%s. Then this is broken: %s.\n\t%s", c.Fault, r.Broken, strings.Join(r.Trace, "\n\t"))
		seen[c.Fault], broken[r.Broken] = true, true
		page.add(c.Fault, r.Broken, r.Depth)
	}
	for f := range faults {
		if !seen[f] {
			t.Errorf("no model has the fault: %s", f)
		}
	}
	for p, text := range promises {
		if !broken[p] {
			t.Errorf("no fault breaks: %s", text)
		}
	}
	page.compare(t)
}

// Nothing waits for ever.
func TestThereIsAlwaysAWayOut(t *testing.T) {
	for _, m := range []Model{
		store.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1, Crashes: 1}),
		store.with(Bounds{Attempts: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
		pair.with(Bounds{Attempts: 1, Takeovers: 1}),
		lane.with(Bounds{Attempts: 2, Takeovers: 1, Losses: 1}),
		lanePair.with(Bounds{Attempts: 1, Takeovers: 1}),
		laneTwo.with(Bounds{Attempts: 1, Crashes: 1}),
	} {
		r := m.CheckProgress(maxStates())
		t.Logf("%s; %s: %s", m.Name, m.May, r)
		if r.Broken != Kept || !r.Whole {
			t.Errorf("%s; %s: %q, %s:\n\t%s", m.Name, m.May, r.Broken, r, strings.Join(r.Trace, "\n\t"))
		}
	}
}

// A model in which nothing happens keeps every promise; this one is not such.
func TestOrdinaryThingsHappen(t *testing.T) {
	for _, c := range []struct {
		what string
		Model
		is func(*State) bool
	}{
		{"another node sends what a dead one accepted", store.with(Bounds{Attempts: 1, Takeovers: 1, Crashes: 1}),
			func(s *State) bool {
				return s.Left.Crashes == 0 && s.Main.Rows[0].Is == Sent && s.Main.Rows[0].Token == 2
			}},
		{"a message is sent twice after an unknown outcome", store.with(Bounds{Attempts: 2}),
			func(s *State) bool { return s.Seen[0].Taken == 2 }},
		{"a held message is released and sent twice", hold.with(Bounds{Attempts: 2, Takeovers: 1, Releases: 1}),
			func(s *State) bool { return s.Seen[0].Taken == 2 && s.Main.Leases[0].Token == 2 }},
		{"a lost COMMIT is found and answered with 250", store.with(Bounds{Losses: 1}),
			func(s *State) bool { return s.Left.Losses == 0 && s.Seen[0].Client == Accepted }},
		{"a lost COMMIT is found to have failed", store.with(Bounds{Losses: 1}),
			func(s *State) bool { return s.Seen[0].Client == Refused }},
		{"a doubtful message is deleted", store.with(Bounds{Losses: 1}),
			func(s *State) bool { return s.Seen[0].Client == Refused && s.Main.Rows[0].Is == Deleted }},
		{"a doubtful message is sent after its node crashed",
			store.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1, Crashes: 1}),
			func(s *State) bool { return s.Seen[0].Client == Doubtful && s.Main.Rows[0].Is == Sent }},
		{"a doubtful message is not deleted after another node sent it", lane.with(Bounds{Attempts: 1, Losses: 1}),
			func(s *State) bool {
				return s.Seen[0].Client == Doubtful && s.Main.Rows[0].Is == Sent && s.Nodes[1].View == Idle
			}},
		{"a doubtful attempt is taken back", store.with(Bounds{Attempts: 1, Losses: 1}),
			func(s *State) bool { return s.Nodes[0].Job.Wipe && s.Txs[0][0].Wiped && s.Txs[0][0].Phase == Done }},
		{"a late delivery settles the message", lane.with(Bounds{Attempts: 1, Takeovers: 1}),
			func(s *State) bool {
				return s.Seen[0].Unknown && s.Main.Rows[0].Is == Sent && s.Main.Rows[0].Token == 1
			}},
		{"a failover loses what was not answered", store.with(Bounds{Losses: 1, Failovers: 1}),
			func(s *State) bool { return s.Left.Failovers == 0 && s.Seen[0].Client == Refused && s.Left.Losses == 1 }},
		{"two nodes send in lanes of their own", laneTwo.with(Bounds{Attempts: 1}),
			func(s *State) bool { return s.Graph[0][1].Left > 0 && s.Graph[1][1].Left > 0 }},
	} {
		r := newSearch(&c.Model).find(maxStates(), c.is)
		t.Logf("%s: %s\n\t%s", c.what, r, strings.Join(r.Trace, "\n\t"))
		if r.Trace == nil {
			t.Errorf("does not happen: %s; %s", c.what, r)
		}
	}
}

// A search that is cut says so.
func TestBoundIsNoticed(t *testing.T) {
	m := store.with(Bounds{Attempts: 1})
	r := m.Check(100)
	if r.Whole || !strings.Contains(r.String(), "STOPPED") {
		t.Errorf("a search stopped after 100 states says %q", r)
	}
}
