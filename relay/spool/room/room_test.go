package room

import (
	"errors"
	"strings"
	"testing"

	"graphrelay/relay/spool"
)

// A queue that is on no disk of this machine has room for any bytes, and for so many messages.
func TestRoomWithoutADisk(t *testing.T) {
	uses := map[string]spool.Use{"a": {Messages: 1, Bytes: 1 << 50}, "b": {Messages: 1, Bytes: 1}}
	queued := 2
	r := New(Limits{
		MaxMessages: 8, Queued: func() int { return queued },
		Uses: func(yield func(string, spool.Use) bool) {
			for client, u := range uses {
				if !yield(client, u) {
					return
				}
			}
		},
	})
	if err := errors.Join(r.Admit("a", 1<<50), r.Small()); err != nil {
		t.Errorf("bytes are refused: %v", err)
	}
	draft, err := r.Enter("a", 0, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(draft.Add(1<<40), draft.Complete()); err != nil {
		t.Errorf("a body is refused: %v", err)
	}
	draft.Wrote(1 << 40)
	draft.Leave()
	queued, uses["a"] = 5, spool.Use{Messages: 4}
	wantFull(t, r.Admit("a", 1), "share of the queue: 4")
	queued = 8
	wantFull(t, r.Admit("c", 1), "Queue is full: it has 8")
}

func wantFull(t *testing.T, err error, cause string) {
	t.Helper()
	if !errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), cause) {
		t.Errorf("%v; want %q", err, cause)
	}
}
