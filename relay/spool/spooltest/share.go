package spooltest

import (
	"errors"
	"slices"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Limit is how many messages the queue of a store for RunShare takes at most.
const Limit = 20

// RunShare judges how clients share a queue of Limit messages (spool.Overdrawn).
func RunShare(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.wantRoom("nothing", "a", "b", "c", "")
	f.fill("a", 15)
	f.wantRoom("a alone", "a", "b", "c", "")
	f.fill("b", 1)
	f.wantRoom("a and b", "b", "c", "")
	draft, err := f.store.Begin(f.ctx, "c", 0)
	f.must(err)
	f.fill("b", 2)
	f.wantRoom("a, b and what c sends", "b", "c", "")
	draft.Abort()
	for _, r := range f.claim("box@example.org", 6) {
		f.must(f.settle(r, spool.Sent))
	}
	f.wantRoom("9 of a, 3 of b", "a", "b", "c", "")
	f.fill("", 8)
	f.wantRoom("full")
	for _, r := range f.claim("box@example.org", 1) {
		f.must(f.settle(r, spool.Sent))
	}
	f.wantRoom("8 of a, 3 of b, 8 of the service; c was turned away", "b", "c", "")
}

// fill stores n messages of a client, or of the service itself.
func (f *fixture) fill(client string, n int) {
	f.Helper()
	for range n {
		m := f.message("box@example.org")
		if m.Client.Name = client; client == "" {
			m.Client = envelope.Client{Addr: envelope.OwnAddr(), Helo: "console"}
		}
		f.put(m)
	}
}

// wantRoom fails unless there is room for mail of these of the clients a, b, c and "".
func (f *fixture) wantRoom(when string, clients ...string) {
	f.Helper()
	for _, client := range []string{"a", "b", "c", ""} {
		var want error
		if !slices.Contains(clients, client) {
			want = spool.ErrFull
		}
		draft, err := f.store.Begin(f.ctx, client, 0)
		if err == nil {
			draft.Abort()
		}
		if admitted := f.store.Admit(client, 0); !errors.Is(err, want) || !errors.Is(admitted, want) {
			f.Errorf("%s: a message of %q gets %v, and MAIL %v; want %v", when, client, err, admitted, want)
		}
	}
}
