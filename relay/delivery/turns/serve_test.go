package turns

import (
	"testing"
)

// TestServedOutOfLinePaysToo: who sends one by one while nothing waits gets no more, as
// soon as another has mail, than who has a backlog, and large mail costs what it costs there.
func TestServedOutOfLinePaysToo(t *testing.T) {
	for size, want := range map[int64]int{1000: 10, 3*perCost + 1: 40} {
		q := newQueue(t, equal)
		q.put("patient", "1", 100, 1000)
		for range 10 {
			q.claim(1, nobody)
		}
		q.sent = nil
		r := recordOf(turnOf("eager", "1"), size)
		for range 10 {
			q.line.Serve(r)
			if _, member := q.line.Others(turnOf("patient", "user 1"), nobody); member {
				t.Fatal("a turn without mail is in line")
			}
		}
		q.put("eager", "1", 100, 1000)
		for q.count("eager") == 0 {
			q.claim(1, nobody)
		}
		if got := q.count("patient"); got < want-1 || got > want+1 {
			t.Errorf("of %d bytes: %d pass before the eager one's next turn, want %d", size, got, want)
		}
	}
}

// TestServingIsGivenBack: a message that did not come after all has cost nothing.
func TestServingIsGivenBack(t *testing.T) {
	q := newQueue(t, equal)
	r := recordOf(turnOf("eager", "1"), 1000)
	for range 1000 {
		q.line.Serve(r)
		q.line.Refund(r)
	}
	if q.line.Waiting() {
		t.Error("somebody waits")
	}
	q.put("eager", "1", 10, 1000)
	q.put("other", "1", 10, 1000)
	q.claim(4, nobody)
	if n := q.count("eager"); n != 2 {
		t.Errorf("%d of 4 turns", n)
	}
}
