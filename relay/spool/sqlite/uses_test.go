package sqlite

import (
	"maps"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// What each client has in the queue follows every change, and a restart counts the same.
func TestUsesFollowTheQueue(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	send := func(client string, about envelope.QueueID, size int) envelope.QueueID {
		m := newMessage(t, "app@example.org")
		m.Client.Name, m.ReportOf, m.ReportDelay = client, about, about != ""
		return accept(t, s, m, make([]byte, size)).ID
	}
	want := func(when string, want map[string]spool.Use) {
		t.Helper()
		if got := maps.Collect(s.Room.Uses); !maps.Equal(got, want) {
			t.Errorf("%s: %v; want %v", when, got, want)
		}
	}
	held := send("a", "", 10)
	send("a", "", 20)
	gone := send("b", "", 300)
	send("", held, 4000)
	want("accepted", map[string]spool.Use{"a": {Messages: 2, Bytes: 30}, "b": {Messages: 1, Bytes: 300},
		"": {Messages: 1, Bytes: 4000}})
	must(t, s.Move(t.Context(), held, spool.Held, time.Time{}, "an operator", start()))
	must(t, s.Delete(t.Context(), gone, "an operator", start()))
	taken, err := s.Claim(t.Context(), spool.Claim{Mailbox: address(t, "app@example.org"), Now: start(), Limit: 9})
	must(t, err)
	left := map[string]spool.Use{"a": {Messages: 2, Bytes: 30}, "": {Messages: 1, Bytes: 4000}}
	want("sending", left)
	must(t, s.Close())
	s = open(t, path)
	want("started again", left)
	for _, m := range taken {
		if m.Size == 20 {
			must(t, s.Move(t.Context(), m.ID, spool.Failed, time.Time{}, "expired", start()))
		}
	}
	left["a"] = spool.Use{Messages: 1, Bytes: 10}
	want("one failed", left)
}
