package delivery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/graphtest"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite"
)

// startLookup is a Delivery with unknown_outcome: lookup on the real store, that
// sends through a real client of Graph.
func startLookup(t *testing.T, cfg graph.Config, store *sqlite.Store) *sqliteRig {
	t.Helper()
	client, err := graph.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &sqliteRig{store: store, ended: make(chan error, 1)}
	r.Delivery = New(Config{Store: store, Limits: Limits{Unknown: LookUp, MaxAge: time.Hour},
		UnknownDelay: 50 * time.Millisecond,
		Route: func(envelope.Address) (Route, bool) {
			return Route{Identity: "contoso", Sender: client, Finder: client}, true
		}})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// commitMail puts a whole message into the store.
func commitMail(t *testing.T, s spool.Store, mailbox envelope.Address, messageID string) envelope.QueueID {
	t.Helper()
	header := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nMessage-ID: %s\r\n\r\n", mailbox, mailbox, messageID)
	d, err := s.Begin(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte(header + "body\r\n")); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m := spool.Message{ID: envelope.NewQueueID(now), Mailbox: mailbox, From: mailbox, Accepted: now,
		MessageID:  messageID,
		HeaderSize: int64(len(header)), Envelope: envelope.Envelope{Recipients: []envelope.Address{mailbox}}}
	if err := d.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// A message that Graph took and whose answer was lost is found in Sent Items
// and not sent again. Where the app may not read the mailbox, it is held.
func TestLookupInSentItems(t *testing.T) {
	for _, c := range []struct {
		name    string
		granted []string
		want    spool.State
	}{
		{"found", []string{"Mail.Read"}, spool.Sent},
		{"no permission", nil, spool.Held},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, cfg := graphtest.Start(t, sandbox.Options{Granted: c.granted})
			if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Drop: sandbox.DropStored, Count: 1}); err != nil {
				t.Fatal(err)
			}
			store := openStore(t, t.TempDir()+"/queue.db")
			t.Cleanup(func() { _ = store.Close() })
			r := startLookup(t, cfg, store)
			box := addr(t, "box@contoso.com")
			id := commitMail(t, store, box, "<lost-answer@erp.contoso.com>")
			r.Notify(spool.Message{Mailbox: box})
			until(t, "an end", func() bool {
				rec, err := store.Get(t.Context(), id)
				return err == nil && rec.State.Stored() != spool.Queued && rec.State != spool.Sending
			})
			rec, err := store.Get(t.Context(), id)
			if err != nil || rec.State != c.want {
				t.Errorf("%s (%s), %v; want %s", rec.State, rec.LastText, err, c.want)
			}
			if d.Count() != 1 {
				t.Errorf("the double took the message %d times", d.Count())
			}
		})
	}
}
