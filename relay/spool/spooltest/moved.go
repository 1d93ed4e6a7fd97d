package spooltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// Fill puts a message of each state into a store, and of everything else that it keeps.
func Fill(t *testing.T, s spool.Store) {
	f := &fixture{T: t, ctx: t.Context(), store: s, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	f.oneOfEach()
	odd := f.message("odd@example.org")
	odd.Subject, odd.Client.Helo, odd.Client.Name = "a\x00b\xffc", "it's", "bytes"
	f.must(store(f.ctx, s, odd, noise(900<<10, 7)))
	f.must(store(f.ctx, s, f.message("empty@example.org"), nil))
	f.accept("deferred@example.org")
	for i := range 2 {
		r := f.claim("deferred@example.org", 1)[0]
		f.must(s.Settle(f.ctx, spool.Settlement{ID: r.ID, Attempt: r.Attempts, State: spool.Deferred, Unknown: i == 1,
			NextAttempt: f.clock, Status: reply.Enhanced{4, 4, 7}, Text: "hangs", RequestID: "r-1", HTTPStatus: 503,
			Duration: time.Second, At: f.clock}))
	}
	f.must(s.Delete(f.ctx, f.accept("deleted@example.org").ID, "operator", f.clock))
	gone := f.sent("sent@example.org")
	f.bounced(gone, spool.EventBounced, "one@example.net", false)
	f.bounced(gone, spool.EventDelayed, "two@example.net", true)
	f.failed("failed@example.org")
	_, err := f.attempted(f.message("attempted@example.org"))
	f.must(err)
	for i := range 20 {
		f.accept(fmt.Sprintf("box%d@example.org", i))
	}
	f.active("sending@example.org") // an attempt of which nobody knows the outcome
	f.hold("hold:a b", func(h *spool.Hold) { h.Text = "it's" })
	f.hold("identity:contoso", func(h *spool.Hold) { h.Probes = 3 })
	f.addRefusals(f.refused(func(*spool.Refusal) {}), f.refused(func(r *spool.Refusal) { r.Reason = "other" }))
	f.must(s.Note(f.ctx, "read:a@example.org", "up to here"))
}

// Contents is what can be read of a store, each thing under a name.
func Contents(t *testing.T, s interface {
	spool.Reader
	Owed(ctx context.Context, limit int) ([]spool.Record, error)
	Noted(ctx context.Context, key string) (string, error)
}) map[string]any {
	t.Helper()
	ctx := t.Context()
	all := map[string]any{}
	add := func(name string, what any, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = what
	}
	var filter spool.Filter
	for filter.Limit = 7; ; {
		page, err := s.List(ctx, filter)
		add("page after "+string(filter.After), page, err)
		for _, r := range page {
			events, err := s.History(ctx, r.ID)
			add("history of "+string(r.ID), events, err)
			add("body of "+string(r.ID), bodyOf(ctx, s, r.ID), nil)
			for name, by := range map[string]spool.Filter{
				"client": {Client: r.Client.Name}, "mailbox": {Mailbox: r.Mailbox}, "recipient": {
					Recipient: r.Envelope.Recipients[0]}, "Message-ID": {MessageID: r.MessageID},
			} {
				by.Limit = 100
				found, err := s.List(ctx, by)
				add(name+" of "+string(r.ID), ids(found), err)
			}
		}
		if len(page) < filter.Limit {
			break
		}
		filter.After = page[len(page)-1].ID
	}
	holds, err := s.Holds(ctx)
	add("holds", holds, err)
	refusals, err := s.Refusals(ctx, spool.RefusalFilter{})
	add("refusals", refusals, err)
	owed, err := s.Owed(ctx, 100)
	add("owed", owed, err)
	note, err := s.Noted(ctx, "read:a@example.org")
	add("note", note, err)
	lanes, err := s.Lanes(ctx)
	add("lanes", lanes, err)
	return all
}

func bodyOf(ctx context.Context, s spool.Reader, id envelope.QueueID) string {
	r, err := s.Open(ctx, id)
	if err != nil {
		return strings.ReplaceAll(errorKind(err), string(id), "ID")
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b) + errorKind(err)
}

// errorKind is an error of reading a body, whatever the engine says of it.
func errorKind(err error) string {
	for _, kind := range []error{spool.ErrDamaged, spool.ErrNotFound} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// SameContents fails where two of Contents differ.
func SameContents(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s is\n%.500v, want\n%.500v", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d things, want %d", len(got), len(want))
	}
}
