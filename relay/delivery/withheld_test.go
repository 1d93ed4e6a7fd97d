package delivery

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

var errAway = errors.New("another node may have the queue")

// reading is a Sender that sends what it could read to its end, as a client of Graph does.
type reading struct {
	*double
	opened func(*testStore) // called between the first byte and the others; may be nil
	store  *testStore
}

func (s *reading) Send(ctx context.Context, mailbox envelope.Address, m graph.Mail) outcome.Answer {
	r, err := m.Open()
	if err != nil {
		return graph.Unreadable(err)
	}
	defer r.Close()
	_, err = io.CopyN(io.Discard, r, 1)
	if s.opened != nil {
		s.opened(s.store)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		return graph.Unreadable(err)
	}
	return s.double.Send(ctx, mailbox, m)
}

// away makes the store let no request begin, or ends that.
func (s *testStore) away(err error) { s.Inject(func(f *spooltest.Faults) { f.MayBegin = err }) }

// TestNothingIsSentWithoutTheStore: what was claimed is not sent once the store does not know
// whether another node has the queue, be it before a request or at the end of its message. The
// attempt is taken back, and made when the store knows again.
func TestNothingIsSentWithoutTheStore(t *testing.T) {
	for name, opened := range map[string]func(*testStore){
		"before the request":        nil,
		"at the end of its message": func(s *testStore) { s.away(errAway) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, time.Second)
				sender := &reading{double: r.graph, store: r.store, opened: opened}
				r.cfg.Route = func(envelope.Address) (Route, bool) {
					return Route{Identity: "contoso", Sender: sender}, true
				}
				if opened == nil {
					r.store.away(errAway)
				}
				r.start()
				var ids []envelope.QueueID
				for range 5 {
					ids = append(ids, r.arrive(addr(t, "a@contoso.com")))
				}
				r.wait(time.Minute)
				if n := r.graph.count(); n != 0 || r.store.Seen().Claims > 200 {
					t.Errorf("%d sent, %d claims", n, r.store.Seen().Claims)
				}
				r.graph.set(func() { sender.opened = nil })
				r.store.away(nil)
				r.wait(time.Minute)
				for _, id := range ids {
					m := r.store.get(id)
					if m.State != spool.Sent || m.Attempts != 1 || m.Unknown {
						t.Errorf("%+v", m)
					}
				}
				if n := r.graph.count(); n != len(ids) {
					t.Errorf("%d sent, want %d", n, len(ids))
				}
				r.stop()
			})
		})
	}
}

// departing is an Uploader that asks before the draft departs, as it must.
type departing struct {
	store *testStore
	sent  int
}

func (u *departing) Upload(_ context.Context, _ envelope.Address, d largemail.Draft) outcome.Answer {
	u.store.away(errAway)
	if err := d.MayBegin(); err != nil {
		return graph.Unreadable(err)
	}
	u.sent++
	return sent
}

// TestNoDraftDepartsWithoutTheStore is the same for a message in parts.
func TestNoDraftDepartsWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		u := &departing{store: r.store}
		r.cfg.Route = func(envelope.Address) (Route, bool) {
			return Route{Identity: "contoso", Sender: r.graph, Large: InParts(u), MIMELimit: 10}, true
		}
		box := addr(t, "relay@contoso.com")
		id := r.store.putBody(largeText, box, box, func(m *spool.Record) { m.Size = int64(len(largeText)) })
		r.start()
		r.wait(time.Second / 2)
		if m := r.store.get(id); u.sent > 0 || m.State != spool.Queued || m.Attempts != 0 || m.Unknown {
			t.Errorf("%d sent, %+v", u.sent, m)
		}
		if n := r.log.count("is taken back"); n == 0 || strings.Contains(r.log.b.String(), "outcome") {
			t.Errorf("log:\n%s", r.log.b.String())
		}
		r.stop()
	})
}

// TestSlotsOfAnotherNode: requests that the node which had the queue before may still be making
// take slots of their mailbox, but for the last one.
func TestSlotsOfAnotherNode(t *testing.T) {
	for elsewhere, want := range map[int]int{0: 3, 1: 2, 2: 1, 3: 1, 30: 1} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, time.Second)
			box, other := addr(t, "A@contoso.com"), addr(t, "b@contoso.com")
			r.store.Inject(func(f *spooltest.Faults) { f.Elsewhere = map[string]int{box.Key(): elsewhere} })
			for range 10 {
				r.store.put(box, box)
				r.store.put(other, other)
			}
			r.start()
			r.wait(time.Minute)
			if got := r.graph.most[box.Key()]; got != want {
				t.Errorf("%d elsewhere: %d at once, want %d", elsewhere, got, want)
			}
			if got := r.graph.most[other.Key()]; got != defaultSlots {
				t.Errorf("%d elsewhere: %d at once in another mailbox", elsewhere, got)
			}
			r.stop()
		})
	}
}
