package sqlite

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
)

// TestStoreOfVersion1 reads a store of the older version as it is, and then migrates it: every
// message is there with the word of today, and so is its history.
func TestStoreOfVersion1(t *testing.T) {
	sql, err := os.ReadFile("testdata/version1.sql")
	must(t, err)
	path := newPath(t)
	write(t, path, nil)
	write(t, path+disk.LockSuffix, nil)
	edit(t, path, string(sql))
	r, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	wantOld(t, "read only", r, spool.Sending)
	must(t, r.Close())
	for range 2 {
		s := open(t, path)
		wantOld(t, "migrated", s, spool.Deferred)
		if n := count(t, s, "event WHERE kind IN ('unknown', 'bounced')"); n != 0 {
			t.Errorf("%d events have an old word", n)
		}
		if n := count(t, s, "message WHERE state = 6"); n != 0 {
			t.Errorf("%d messages are in a state that is no more", n)
		}
		must(t, s.Close())
	}
	s := open(t, path)
	m := accept(t, s, newMessage(t, "queued@example.org"), nil)
	lanes, err := s.Lanes(t.Context())
	must(t, err)
	var turns []spool.Quota
	i := slices.IndexFunc(lanes, func(l spool.Lane) bool { return l.Mailbox.Equal(m.Mailbox) })
	for _, w := range lanes[i].Turns {
		turns = append(turns, spool.Quota{Turn: w.Turn, Limit: 5})
	}
	if len(turns) != 1 { // the migrated one and the new one are of one client
		t.Errorf("%v wait", turns)
	}
	got, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: start(), Limit: 5, Turns: turns})
	if err != nil || len(got) != 2 {
		t.Errorf("claimed %v, %v", got, err)
	}
	must(t, s.Settle(t.Context(), spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Held, Unknown: true,
		Status: reply.Enhanced{4, 4, 7}, At: start()}))
	if events, err := s.History(t.Context(), m.ID); err != nil || !events[2].Unknown {
		t.Errorf("a new event: %+v, %v", events, err)
	}
}

// wantOld holds the store of testdata against what was in it; sending is what became of the attempt under way.
func wantOld(t *testing.T, when string, s spool.Reader, sending spool.State) {
	t.Helper()
	list, err := s.List(t.Context(), spool.Filter{})
	must(t, err)
	got := map[string]spool.Record{}
	for _, m := range list {
		name, _, _ := strings.Cut(m.Mailbox.String(), "@")
		got[name] = m
	}
	for name, want := range map[string]spool.State{
		"queued": spool.Queued, "deferred": spool.Deferred, "doubtful": spool.Deferred, "held": spool.Held,
		"sent": spool.Sent, "bounced": spool.Failed, "failed": spool.Failed, "paused": spool.Paused,
		"deleted": spool.Deleted, "active": sending,
	} {
		if m := got[name]; m.State != want || m.Unknown != (name == "doubtful" || name == "held" ||
			name == "active" && sending == spool.Deferred) {
			t.Errorf("%s: %s is %+v, want %s", when, name, m, want)
		}
	}
	if by := got["paused"].PausedBy; by == nil || by.Text != "no such mailbox; make it" {
		t.Errorf("%s: paused by %+v", when, by)
	}
	if failed, err := s.List(t.Context(), spool.Filter{States: []spool.State{spool.Failed}}); err != nil ||
		len(failed) != 2 && sending == spool.Deferred {
		t.Errorf("%s: %d are failed, %v", when, len(failed), err)
	}
	if sending == spool.Sending {
		return // whoever only reads has the history as it was written
	}
	for name, want := range map[string]spool.EventKind{
		"deferred": spool.EventDeferred, "doubtful": spool.EventDeferred, "held": spool.EventHeld,
		"bounced": spool.EventFailed, "failed": spool.EventFailed, "sent": spool.EventSent,
	} {
		events, err := s.History(t.Context(), got[name].ID)
		if err != nil || len(events) != 3 || events[2].Kind != want || events[2].Unknown != (name == "doubtful") ||
			!events[2].At.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: history of %s %+v, %v", when, name, events, err)
		}
	}
	stats, err := s.Stats(t.Context())
	want := spool.Stats{Queued: 1, Deferred: 3, Paused: 1, Held: 1, Failed: 2, Bytes: 140}
	if err != nil || stats != want {
		t.Errorf("%s: stats %+v, %v", when, stats, err)
	}
	if !slices.IsSortedFunc(list, func(a, b spool.Record) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
		t.Errorf("%s: the list is out of order", when)
	}
}

// TestStoreOfVersion2 has mail that knows no turns: it can be read as it is, and Open
// finds out whose each message is.
func TestStoreOfVersion2(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	m := newMessage(t, "box@example.org")
	m.Client = envelope.Client{Name: "erp", Addr: netip.MustParseAddrPort("192.0.2.7:25")}
	accept(t, s, m, nil)
	must(t, s.Close())
	edit(t, path, version3...)
	edit(t, path, "DROP INDEX due", "ALTER TABLE message DROP COLUMN turn",
		"ALTER TABLE message DROP COLUMN local_user", "PRAGMA user_version = 2",
		"CREATE INDEX due ON message (lane, next, last, sender_hash) WHERE state = 0")
	r, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	if list, err := r.List(t.Context(), spool.Filter{}); err != nil || len(list) != 1 {
		t.Errorf("read only: %v, %v", list, err)
	}
	if lanes, err := r.Lanes(t.Context()); err != nil || len(lanes) != 1 || lanes[0].Queued != 1 {
		t.Errorf("lanes, read only: %+v, %v", lanes, err)
	}
	must(t, r.Close())
	for range 2 {
		s = open(t, path)
		erp := []spool.Quota{{Turn: spool.Turn{Client: "erp", Member: "192.0.2.7"}, Limit: 5}}
		got, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: time.Now(), Limit: 5, Turns: erp})
		if err != nil || len(got) != 1 {
			t.Fatalf("claimed %v, %v", got, err)
		}
		must(t, s.Unclaim(t.Context(), m.ID, 1, start()))
		must(t, s.Close())
	}
}

// version3 takes from a store what later versions added.
var version3 = []string{
	"DROP INDEX bounced", "PRAGMA user_version = 3", "DELETE FROM meta WHERE k IN ('key', 'words')",
	"ALTER TABLE message DROP COLUMN automatic", "ALTER TABLE message DROP COLUMN bounces",
	"ALTER TABLE message DROP COLUMN bounces_reported", "ALTER TABLE message DROP COLUMN report_bounces",
	"ALTER TABLE event DROP COLUMN recipient", "ALTER TABLE event DROP COLUMN remote",
	"ALTER TABLE event DROP COLUMN origin", "ALTER TABLE event DROP COLUMN probable",
	version4[2], version4[3], version4[4],
}

// version4 takes from a store what version 5 added.
var version4 = []string{
	"PRAGMA user_version = 4", "DELETE FROM meta WHERE k = 'words'", "ALTER TABLE message DROP COLUMN implied",
	"ALTER TABLE message DROP COLUMN http", "ALTER TABLE message DROP COLUMN duration",
}

// TestStoreOfVersion3 knows no bounces: it can be read as it is, and Open adds what is missing.
func TestStoreOfVersion3(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	m := accept(t, s, newMessage(t, "box@example.org"), nil)
	must(t, s.Close())
	edit(t, path, version3...)
	r, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	for _, f := range []spool.Filter{{}, {Undelivered: true}} {
		if list, err := r.List(t.Context(), f); err != nil || (len(list) == 1) == f.Undelivered {
			t.Errorf("read only: %v, %v", list, err)
		}
	}
	if _, err := r.History(t.Context(), m.ID); err != nil {
		t.Error(err)
	}
	must(t, r.Close())
	for again := range 2 {
		s = open(t, path)
		added, err := s.Bounced(t.Context(), spool.Event{ID: m.ID, At: start(), Kind: spool.EventBounced})
		if err != nil || added != (again == 0) {
			t.Errorf("bounced: %v, %v", added, err)
		}
		if list, err := s.List(t.Context(), spool.Filter{Undelivered: true}); err != nil || len(list) != 1 {
			t.Errorf("undelivered: %v, %v", list, err)
		}
		must(t, s.Close())
	}
}
