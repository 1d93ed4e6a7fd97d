package sqlite

import (
	"testing"

	"graphrelay/relay/spool"
)

// TestStateNumbers holds the numbers that the indexes name against the rules of
// the contract.
func TestStateNumbers(t *testing.T) {
	states := spool.States()
	if len(states) != int(stateCount) {
		t.Fatalf("%d states have a name, %d a number", len(states), stateCount)
	}
	for code, state := range states {
		if inQueue(int64(code)) != state.InQueue() || hasBody(int64(code)) != state.KeepsBody() {
			t.Errorf("state %d is not %s", code, state)
		}
	}
}
