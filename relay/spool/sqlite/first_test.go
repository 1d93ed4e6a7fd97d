package sqlite

import (
	"testing"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// A message that is sent at its first attempt has no row of history but its own.
func TestEventsOfTheFirstAttemptTakeNoRows(t *testing.T) {
	for _, claimed := range []bool{true, false} {
		path := newPath(t)
		s := open(t, path)
		m := newMessage(t, "box@example.org")
		d, err := s.Begin(t.Context(), "", 0)
		must(t, err)
		if !claimed {
			d.Attempt(start())
		}
		must(t, d.Commit(t.Context(), m))
		if claimed {
			_, err = s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: start(), Limit: 1})
			must(t, err)
		}
		o := spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Sent, Status: reply.Enhanced{2, 0, 0}, Text: "sent",
			RequestID: "id", HTTPStatus: 202, Duration: time.Second, At: start()}
		must(t, s.Settle(t.Context(), o))
		if n := count(t, s, "event"); n != 0 {
			t.Errorf("claimed %t: %d rows of history", claimed, n)
		}
		must(t, s.Close())
		r, err := OpenReadOnly(t.Context(), path)
		must(t, err)
		got, err := r.History(t.Context(), m.ID)
		if err != nil || len(got) != 3 || got[2].Duration != time.Second || got[2].HTTPStatus != 202 ||
			got[2].RequestID != "id" || got[2].Status != o.Status || !got[1].At.Equal(start()) {
			t.Errorf("claimed %t: %+v, %v", claimed, got, err)
		}
		must(t, r.Close())
	}
}
