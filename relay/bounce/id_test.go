package bounce

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
)

func TestAnIDIsOpaqueAndLeadsBack(t *testing.T) {
	k, other := Key{1, 2, 3}, Key{1, 2, 4}
	seen := map[string]bool{}
	now := time.Unix(1_800_000_000, 0)
	for range 1000 {
		id := envelope.NewQueueID(now)
		text := k.ID(id)
		if len(text) != 32 || seen[text] || strings.Contains(text, string(id)) {
			t.Fatalf("the ID of %s is %s", id, text)
		}
		seen[text] = true
		if back, ok := k.QueueID(text); !ok || back != id {
			t.Fatalf("%s leads to %q, %v; want %s", text, back, ok, id)
		}
		if back, ok := k.QueueID(strings.ToUpper(text)); !ok || back != id {
			t.Fatalf("in upper case %s leads to %q, %v", text, back, ok)
		}
		if back, ok := other.QueueID(text); ok {
			t.Fatalf("another key reads %s as %s", text, back)
		}
	}
	for _, bad := range []string{"", "x", strings.Repeat("0", 32), strings.Repeat("g", 32), strings.Repeat("0", 34)} {
		if id, ok := k.QueueID(bad); ok {
			t.Errorf("%q leads to %s", bad, id)
		}
	}
}
