//go:build bench

package sqlite

import (
	"cmp"
	"fmt"
	"os"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/tables"
)

// TestScale fills a store with 100,000 queued messages and 1,000,000 of
// history and prints how long each operation that must stay fast takes, beside its
// bound. GRAPHRELAY_SCALE_STORE names a file to make the store in and leave it
// there, for the commands:
//
//	go test -tags bench -run TestScale -timeout 30m -v ./relay/spool/sqlite
func TestScale(t *testing.T) {
	path := cmp.Or(os.Getenv("GRAPHRELAY_SCALE_STORE"), newPath(t))
	s := open(t, path)
	fillStore(t, s, 1_000_000, spool.Sent, time.Now().Add(-28*24*time.Hour))
	fillStore(t, s, 100_000, spool.Queued, time.Now().Add(-100_000*2*time.Second))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s = open(t, path)
	within(t, "start", began, time.Second)
	for _, operations := range []map[string]func() error{searches(t, s), changes(t, s)} {
		for what, do := range operations {
			best := time.Hour
			for range 5 {
				began := time.Now()
				if err := do(); err != nil {
					t.Fatal(what, err)
				}
				best = min(best, time.Since(began))
			}
			within(t, what, time.Now().Add(-best), 300*time.Millisecond)
		}
	}
}

// searches are the questions of trace and list.
func searches(t *testing.T, s *Store) map[string]func() error {
	lane := address(t, mailboxOf(3))
	list := func(f spool.Filter) func() error {
		return func() error {
			got, err := s.List(t.Context(), f)
			t.Logf("    %d found", len(got))
			return err
		}
	}
	common, sender := address(t, "all@example.net"), address(t, mailboxOf(4))
	held, sent := []spool.State{spool.Held}, []spool.State{spool.Sent}
	live := spool.Unsent()
	return map[string]func() error{
		"trace rare recipient":        list(spool.Filter{Recipient: address(t, "to17@example.net"), Newest: true}),
		"trace common recipient":      list(spool.Filter{Recipient: common, Newest: true}),
		"trace sender":                list(spool.Filter{Sender: sender, Newest: true}),
		"trace nobody":                list(spool.Filter{Recipient: address(t, "nobody@example.net"), Newest: true}),
		"trace Message-ID":            list(spool.Filter{MessageID: "<777777@5.example.org>", Newest: true}),
		"trace a day":                 list(spool.Filter{Since: daysAgo(20), Until: daysAgo(19), Newest: true}),
		"trace a day of a sender":     list(spool.Filter{Sender: sender, Since: daysAgo(20), Until: daysAgo(19)}),
		"list a recipient":            list(spool.Filter{States: live, Recipient: address(t, "to18@example.net")}),
		"list nobody":                 list(spool.Filter{States: live, Recipient: address(t, "nobody@example.net")}),
		"list a common recipient":     list(spool.Filter{States: live, Recipient: common}),
		"list held, common recipient": list(spool.Filter{States: held, Recipient: common}),
		"list two words never met":    list(spool.Filter{States: live, Recipient: common, Client: "client3"}),
		"trace two words never met":   list(spool.Filter{Recipient: common, Client: "client3", Newest: true}),
		"list a client":               list(spool.Filter{States: live, Client: "client3"}),
		"list older than a day":       list(spool.Filter{States: live, Until: time.Now().Add(-24 * time.Hour)}),
		"list sent, newest":           list(spool.Filter{States: sent, Newest: true}),
		"list sent of a mailbox":      list(spool.Filter{States: sent, Mailbox: lane, Newest: true}),
	}
}

// changes are what delivery and intake ask for.
func changes(t *testing.T, s *Store) map[string]func() error {
	lane := address(t, mailboxOf(3))
	except := []envelope.Address{lane}
	return map[string]func() error{
		"claim": func() error {
			_, err := s.Claim(t.Context(), spool.Claim{Mailbox: lane, Now: time.Now(), Limit: 1})
			return err
		},
		"except": func() error {
			_, err := s.Claim(t.Context(), spool.Claim{Mailbox: lane, Now: time.Now(), Limit: 1, ExceptFrom: except})
			return err
		},
		"probe": func() error {
			_, err := s.Claim(t.Context(), spool.Claim{Mailbox: lane, Now: time.Now(), Limit: 1, Probe: true})
			return err
		},
		"lanes": func() error { _, err := s.Lanes(t.Context()); return err },
		"stats": func() error { _, err := s.Stats(t.Context()); return err },
		"all":   func() error { _, err := s.List(t.Context(), spool.Filter{}); return err },
		"queued": func() error {
			_, err := s.List(t.Context(), spool.Filter{States: append(spool.Waiting(), spool.Sending, spool.Held)})
			return err
		},
		"held": func() error {
			_, err := s.List(t.Context(), spool.Filter{States: []spool.State{spool.Held, spool.Failed, spool.Damaged}})
			return err
		},
		"lane": func() error {
			_, err := s.List(t.Context(), spool.Filter{States: spool.Waiting(), Mailbox: lane})
			return err
		},
		"accept": func() error { return tryAccept(s, newMessage(t, "box@example.org"), make([]byte, 10<<10)) },
	}
}

func daysAgo(days int) time.Time { return time.Now().AddDate(0, 0, -days) }

// within prints a time beside its bound. It fails nobody: that a machine is slow
// is not the fault of the code.
func within(t *testing.T, what string, began time.Time, bound time.Duration) {
	t.Helper()
	took, verdict := time.Since(began), "within"
	if took > bound {
		verdict = "OVER"
	}
	t.Logf("%s: %v, %s %v", what, took.Round(10*time.Microsecond), verdict, bound)
}

// fillStore writes rows directly, for a million commits would take minutes. They
// begin at a time and follow each other by two seconds: a million in 23 days.
func fillStore(t testing.TB, s *Store, messages int, state spool.State, begin time.Time) {
	t.Helper()
	for done := 0; done < messages; done += 10_000 {
		err := s.Change(t.Context(), false, func(tx *tables.Tx) error {
			for i := range 10_000 {
				if err := fillOne(t, s, tx, done+i, state, begin.Add(time.Duration(done+i)*2*time.Second)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(fmt.Errorf("after %d messages: %w", done, err))
		}
	}
}

// fillOne writes message i: of ten mailboxes, twenty clients, to one of 5,000
// recipients and one whom half of all mail goes to.
func fillOne(t testing.TB, s *Store, tx *tables.Tx, i int, state spool.State, at time.Time) error {
	m := newMessage(t, mailboxOf(i%10))
	m.Accepted, m.ID = at, envelope.NewQueueID(at)
	m.Envelope.Recipients = []envelope.Address{address(t, fmt.Sprintf("to%d@example.net", i%5000))}
	if i%2 == 0 {
		m.Envelope.Recipients = append(m.Envelope.Recipients, address(t, "all@example.net"))
	}
	m.Client.Name, m.MessageID = fmt.Sprintf("client%d", i%20), fmt.Sprintf("<%d@%s.example.org>", i, state)
	return tables.Fill(tx, s.Store, &m, state)
}
