package tables

import (
	"testing"

	"graphrelay/relay/spool"
)

// TestStateNumbers holds the numbers that the indexes name against the rules of
// the contract.
func TestStateNumbers(t *testing.T) {
	for _, state := range spool.States() {
		code := stateCode(state)
		if inQueue(code) != state.InQueue() || hasBody(code) != state.KeepsBody() || stateName(code) != state.Stored() {
			t.Errorf("state %d is not %s", code, state)
		}
	}
}
