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
	one   = Model{Name: "one node", Nodes: 1, Messages: 1, Slots: 1, Trust: 1}
	two   = Model{Name: "two nodes", Nodes: 2, Messages: 1, Slots: 1, Trust: 1}
	first = Model{
		Name: "two nodes, first attempt with the message", Nodes: 2, Messages: 1, Slots: 1, Trust: 1, First: true,
	}
	hold   = Model{Name: "two nodes, `hold`", Nodes: 2, Messages: 1, Slots: 1, Trust: 1, Hold: true}
	longer = Model{Name: "two nodes, trusted for longer", Nodes: 2, Messages: 1, Slots: 1, Trust: 2}
	pair   = Model{Name: "two messages", Nodes: 2, Messages: 2, Slots: 1, Trust: 1}
	lanes  = Model{Name: "a lane for each of two messages", Nodes: 2, Messages: 2, Slots: 1, Trust: 1, TwoLanes: true}
	three  = Model{Name: "three nodes", Nodes: 3, Messages: 1, Slots: 1, Trust: 1}
)

func (m Model) with(may Bounds) Model { m.May = may; return m }

func (m Model) without(rule Fault) Model { m.Fault = rule; return m }

// shortModels are checked by every go test.
var shortModels = []Model{
	one.with(Bounds{Attempts: 2, Takeovers: 1, Joins: 1, Losses: 1, Crashes: 1}),
	one.with(Bounds{Attempts: 1, Takeovers: 1, Joins: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
	two.with(Bounds{Attempts: 2, Takeovers: 1, Losses: 1}),
	two.with(Bounds{Attempts: 2, Takeovers: 1, Failovers: 1}),
	two.with(Bounds{Attempts: 2, Takeovers: 1, Joins: 1, Crashes: 1}),
	two.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1, Failovers: 1}),
	two.with(Bounds{Attempts: 1, Losses: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
	two.with(Bounds{Attempts: 1, Takeovers: 1, Handovers: 1, Losses: 1}),
	two.with(Bounds{Attempts: 1, Takeovers: 1, Handovers: 1, Deletes: 1}),
	first.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1}),
	hold.with(Bounds{Attempts: 2, Takeovers: 2, Joins: 1, Releases: 1}),
	longer.with(Bounds{Attempts: 2, Takeovers: 1}),
	pair.with(Bounds{Attempts: 1, Takeovers: 1}),
	lanes.with(Bounds{Attempts: 1, Takeovers: 1}),
	three.with(Bounds{Attempts: 2, Takeovers: 1}),
}

// longModels are checked by make model.
var longModels = []Model{
	one.with(Bounds{Attempts: 2, Takeovers: 2, Joins: 2, Losses: 1, Crashes: 2, Failovers: 1}),
	two.with(Bounds{Attempts: 2, Takeovers: 2, Joins: 1, Losses: 1, Crashes: 1}),
	two.with(Bounds{Attempts: 2, Takeovers: 1, Losses: 1, Failovers: 1}),
	two.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
	two.with(Bounds{Attempts: 2, Takeovers: 2, Handovers: 1, Losses: 1, Deletes: 1}),
	first.with(Bounds{Attempts: 1, Takeovers: 1, Handovers: 1, Losses: 1, Crashes: 1}),
	hold.with(Bounds{Attempts: 2, Takeovers: 2, Joins: 1, Crashes: 1, Releases: 1}),
	longer.with(Bounds{Attempts: 2, Takeovers: 2, Joins: 1, Losses: 1}),
	pair.with(Bounds{Attempts: 1, Takeovers: 1, Handovers: 1, Losses: 1}),
	lanes.with(Bounds{Attempts: 1, Takeovers: 1, Handovers: 1, Losses: 1}),
	three.with(Bounds{Attempts: 2, Takeovers: 1, Handovers: 1, Losses: 1}),
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
	{two.without(EarlyReply).with(Bounds{}), AcceptedIsKept},
	{two.without(AsyncCommit).with(Bounds{Failovers: 1}), AcceptedIsKept},
	{two.without(AsyncTakeover).with(Bounds{Takeovers: 1, Failovers: 1}), LaneIsItsNodes},
	{two.without(AsyncRenewal).with(Bounds{Attempts: 2, Takeovers: 1, Failovers: 1}), OneRequestAtATime},
	{two.without(AsyncDecision).with(Bounds{Restarts: 1, Failovers: 1}), AcceptedIsKept},
	{two.without(IgnoredNotice).with(Bounds{Cancels: 1, Failovers: 1}), AcceptedIsKept},
	{two.without(LostMeansCommitted).with(Bounds{Losses: 1}), AcceptedIsKept},
	{two.without(LostMeansFailed).with(Bounds{Losses: 1}), RefusedStaysAway},
	{two.without(GoneMeansFailed).with(Bounds{Takeovers: 1, Losses: 1}), RefusedStaysAway},
	{two.without(DecisionReads).with(Bounds{Losses: 1}), RefusedStaysAway},
	{two.without(WritesInDoubt).with(Bounds{Losses: 1}), RefusedStaysAway},
	{two.without(DoubtForgotten).with(Bounds{Attempts: 1, Losses: 1}), NothingIsForgotten},
	{two.without(DoubtUncounted).with(Bounds{Attempts: 1, Losses: 1}), DoubtIsCounted},
	{two.without(WipeTried).with(Bounds{Attempts: 1, Losses: 1}), WipedWasNeverTried},
	{two.without(EarlyRequest).with(Bounds{Attempts: 1, Losses: 1}), AttemptIsDurable},
	{first.without(FirstOfOthers).with(Bounds{Attempts: 1}), NothingIsForgotten},
	{two.without(LocksRemain).with(Bounds{Losses: 1}), AWayOut},
	{two.without(FenceReads).with(Bounds{Attempts: 1, Takeovers: 1}), DeadNodeWritesNothing},
	{two.without(NoFence).with(Bounds{Attempts: 1, Takeovers: 1}), DeadNodeWritesNothing},
	{two.without(UnfencedTakeover).with(Bounds{Takeovers: 2}), DeadNodeWritesNothing},
	{two.without(ConflictIgnored).with(Bounds{Attempts: 1, Deletes: 1}), DeletedStaysAway},
	{three.without(ConflictIgnored).with(Bounds{Handovers: 1}), LaneIsItsNodes},
	{one.without(SameRow).with(Bounds{Attempts: 1, Joins: 1, Crashes: 1}), NothingIsForgotten},
	{two.without(RowStays).with(Bounds{Takeovers: 1}), LaneIsItsNodes},
	{two.without(LanesLater).with(Bounds{Attempts: 1, Takeovers: 1, Joins: 1, Crashes: 2}), AWayOut},
	{two.without(KeepsClaiming).with(Bounds{Handovers: 1}), LaneIsItsNodes},
	{two.without(LateClaim).with(Bounds{Attempts: 1, Handovers: 1}), NothingIsForgotten},
	{two.without(OpenGivenBack).with(Bounds{Attempts: 1, Handovers: 1}), NothingIsForgotten},
	{two.without(ElsewhereGivenBack).with(Bounds{Attempts: 1, Takeovers: 1, Handovers: 1}), NothingIsForgotten},
	{two.without(NoElsewhere).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{two.without(ElsewhereForgotten).with(Bounds{Attempts: 1, Takeovers: 1}), NothingIsForgotten},
	{
		two.without(ReadsAfterwards).with(Bounds{Attempts: 1, Takeovers: 1, Cancels: 1, Failovers: 1}),
		NothingIsForgotten,
	},
	{longer.without(ElsewhereWithoutTrust).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{two.without(NoCheck).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{two.without(FreshFromAnswer).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{two.without(RetryWhileSending).with(Bounds{Attempts: 2}), TwiceOnlyIfUnknown},
	{two.without(NodeClock).with(Bounds{Attempts: 2, Takeovers: 1}), OneRequestAtATime},
	{two.without(NotUnknown).with(Bounds{Attempts: 2, Takeovers: 1}), TwiceOnlyIfUnknown},
	{hold.without(HoldIgnored).with(Bounds{Attempts: 2, Takeovers: 1}), TwiceOnlyIfUnknown},
	{two.without(NumberTakenBack).with(Bounds{Attempts: 2}), NumberOnlyOnce},
	{pair.without(SlotsForgotten).with(Bounds{Attempts: 1, Takeovers: 1}), SlotsAreKept},
	{two.without(LateSettlesAll).with(Bounds{Attempts: 1, Takeovers: 1, Deletes: 1}), DeletedStaysAway},
}

// Without any one of the rules a promise is broken, and there is no promise that no
// fault breaks. -v prints the steps.
func TestEveryFaultIsFound(t *testing.T) {
	page, seen, broken := table("faults"), map[Fault]bool{}, map[Promise]bool{}
	sound := map[Model]bool{}
	for _, c := range faulty {
		check := c.Check
		if c.breaks == AWayOut {
			check = c.CheckProgress
		}
		r := check(maxStates())
		if r.Broken != c.breaks {
			t.Errorf("%s: found %q in %s, want %q", c.Fault, r.Broken, r, c.breaks)
		}
		if m := c.without(NoFault); !sound[m] {
			sound[m] = true
			if r := m.Check(maxStates()); r.Broken != Kept || !r.Whole {
				t.Errorf("%s: without the fault: %q, %s", c.Fault, r.Broken, r)
			}
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
		two.with(Bounds{Attempts: 1, Takeovers: 1, Losses: 1, Crashes: 1}),
		two.with(Bounds{Attempts: 1, Takeovers: 1, Joins: 1, Crashes: 1}),
		two.with(Bounds{Attempts: 1, Restarts: 1, Cancels: 1, Failovers: 1}),
		two.with(Bounds{Attempts: 1, Handovers: 1, Losses: 1}),
		two.with(Bounds{Attempts: 1, Handovers: 1, Deletes: 1}),
		pair.with(Bounds{Attempts: 1, Takeovers: 1}),
		lanes.with(Bounds{Attempts: 1, Crashes: 1}),
	} {
		r := m.CheckProgress(maxStates())
		t.Logf("%s; %s: %s", m.Name, m.May, r)
		if r.Broken != Kept || !r.Whole {
			t.Errorf("%s; %s: %q, %s:\n\t%s", m.Name, m.May, r.Broken, r, strings.Join(r.Trace, "\n\t"))
		}
	}
}

// owner is the ID of the node that has the first lane.
func (s *State) owner() uint8 { return s.Main.Lanes[0] }

// A model in which nothing happens keeps every promise; this one is not such.
func TestOrdinaryThingsHappen(t *testing.T) {
	for _, c := range []struct {
		what string
		Model
		is func(*State) bool
	}{
		{"another node sends what a dead one accepted", two.with(Bounds{Attempts: 1, Takeovers: 1, Crashes: 1}),
			func(s *State) bool {
				return s.Nodes[0].ID == 0 && s.Main.Rows[0].Is == Sent && s.Seen[0].Client == Accepted && s.owner() == 2
			}},
		{"a node that started again sends what it accepted before",
			one.with(Bounds{Attempts: 1, Takeovers: 1, Joins: 1, Crashes: 1}),
			func(s *State) bool {
				return s.Main.Rows[0].Is == Sent && s.Seen[0].Client == Accepted && s.owner() == 2
			}},
		{"a message is sent twice after an unknown outcome", two.with(Bounds{Attempts: 2}),
			func(s *State) bool { return s.Seen[0].Taken == 2 }},
		{"a held message is released and sent twice", hold.with(Bounds{Attempts: 2, Takeovers: 1, Releases: 1}),
			func(s *State) bool { return s.Seen[0].Taken == 2 && s.owner() == 2 }},
		{"a lost COMMIT is found and answered with 250", two.with(Bounds{Losses: 1}),
			func(s *State) bool { return s.Left.Losses == 0 && s.Seen[0].Client == Accepted }},
		{"a lost COMMIT is found to have failed", two.with(Bounds{Losses: 1}),
			func(s *State) bool { return s.Seen[0].Client == Refused }},
		{"a doubtful message is deleted", two.with(Bounds{Losses: 1}),
			func(s *State) bool { return s.Seen[0].Client == Refused && s.Main.Rows[0].Is == Wiped }},
		{"a doubtful message is sent after its node crashed", two.with(Bounds{Attempts: 1, Losses: 1, Crashes: 1}),
			func(s *State) bool { return s.Seen[0].Client == DoubtLeft && s.Main.Rows[0].Is == Sent }},
		{"a doubtful message stays after another node sent it, and is counted",
			two.with(Bounds{Attempts: 1, Losses: 1}),
			func(s *State) bool {
				return s.Seen[0].Client == Counted && s.Main.Rows[0].Is == Sent && s.Nodes[1].View == Idle
			}},
		{"a doubtful attempt is taken back", two.with(Bounds{Attempts: 1, Losses: 1}),
			func(s *State) bool { return s.Nodes[0].Job.Wipe && s.Txs[0][0].Wiped && s.Txs[0][0].Phase == Done }},
		{"a late delivery settles the message", two.with(Bounds{Attempts: 1, Takeovers: 1}),
			func(s *State) bool { return s.Main.Rows[0].Is == Sent && s.Seen[0].Unknown && s.owner() == 2 }},
		{"a failover loses what was not answered", two.with(Bounds{Losses: 1, Failovers: 1}),
			func(s *State) bool { return s.Left.Failovers == 0 && s.Seen[0].Client == Refused && s.Left.Losses == 1 }},
		{"two nodes send in lanes of their own", lanes.with(Bounds{Attempts: 1}),
			func(s *State) bool { return s.Graph[0][1].Left > 0 && s.Graph[1][1].Left > 0 }},
		{"a node sends mail of a lane that another one gave back", two.with(Bounds{Attempts: 1, Handovers: 1}),
			func(s *State) bool { return s.Main.Rows[0].Is == Sent && s.owner() == 2 && s.Nodes[0].ID == 1 }},
		{"what an operator deletes at another node is not sent", two.with(Bounds{Attempts: 1, Deletes: 1}),
			func(s *State) bool {
				return s.Main.Rows[0].Is == Deleted && s.Seen[0].Begun == 0 && s.Nodes[1].Batch == 1
			}},
		{"a deletion is refused, for the message is being sent", two.with(Bounds{Attempts: 1, Deletes: 1}),
			func(s *State) bool {
				return s.Left.Deletes == 0 && s.Main.Rows[0].Is == Sending && s.Nodes[1].View == Idle
			}},
		{"attempts of two processes that are gone wait at a third", three.with(Bounds{Attempts: 1, Takeovers: 2}),
			func(s *State) bool { return s.Nodes[2].Elsewhere[0].Attempt > 0 && s.Nodes[1].Elsewhere[0].Attempt > 0 }},
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
	m := two.with(Bounds{Attempts: 1})
	r := m.Check(50)
	if r.Whole || !strings.Contains(r.String(), "STOPPED") {
		t.Errorf("a search stopped after 50 states says %q", r)
	}
}
