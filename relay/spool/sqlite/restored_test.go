package sqlite

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/tables"
)

// A store is what was last seen, or has gone back.
func TestWentBack(t *testing.T) {
	for _, c := range []struct {
		own, last seen
		want      bool
	}{
		{seen{}, seen{}, false},               // new, or an older program's
		{seen{"a", 7}, seen{"a", 7}, false},   // an orderly stop
		{seen{"a", 8}, seen{"a", 7}, false},   // the program died before it could remember
		{seen{"a", 6}, seen{"a", 7}, true},    // an older copy
		{seen{"b", 9}, seen{"a", 7}, true},    // another store
		{seen{"a", 7}, seen{}, true},          // a copy on a host that never saw it
		{seen{}, seen{"a", 7}, true},          // a copy of before there was a count
		{seen{"b", 9}, seen{"", 7}, true},     // nonsense was remembered
		{seen{"a", 70}, seen{"a", 700}, true}, // numbers, not texts
	} {
		if got := c.own.wentBack(c.last); got != c.want {
			t.Errorf("%+v after %+v: %v", c.own, c.last, got)
		}
	}
}

// site is a store with messages and a copy of it that was made before they were sent.
type site struct {
	path, copy string
	ids        []spool.Message
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// backedUp makes a store with three messages queued, one of them tried, and copies it.
func backedUp(t *testing.T) *site {
	t.Helper()
	x := &site{path: newPath(t)}
	x.copy = x.path + "-copy"
	s := open(t, x.path)
	for range 3 {
		x.ids = append(x.ids, accept(t, s, newMessage(t, "box@example.org"), []byte("body")))
	}
	x.attempt(t, s, x.ids[0], spool.Queued)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, x.path, x.copy)
	return x
}

func (x *site) attempt(t *testing.T, s *Store, m spool.Message, to spool.State) {
	t.Helper()
	got, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: start().Add(time.Hour), Limit: 1})
	if err != nil || len(got) != 1 {
		t.Fatalf("%v: claimed %v", err, got)
	}
	o := spool.Settlement{ID: got[0].ID, Attempt: got[0].Attempts, State: to, At: start(), NextAttempt: start()}
	if err := s.Settle(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// restore puts the copy in place.
func (x *site) restore(t *testing.T) *Store {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(x.path + suffix)
	}
	copyFile(t, x.copy, x.path)
	return open(t, x.path)
}

// wants checks how many messages a store still holds because it went back.
func wants(t *testing.T, s *Store, restored, queued int) {
	t.Helper()
	got, err := s.Stats(t.Context())
	if err != nil || got.Restored != restored || got.Held != restored || got.Queued+got.Deferred != queued ||
		got.RestoredAt.IsZero() != (restored == 0) {
		t.Errorf("%v: %+v, want %d held and %d waiting", err, got, restored, queued)
	}
}

// A copy that is put back sends nothing by itself, and new mail as ever; what is
// decided stays decided over further starts.
func TestARestoredCopyHoldsItsMail(t *testing.T) {
	x := backedUp(t)
	s := open(t, x.path)
	for _, m := range x.ids {
		x.attempt(t, s, m, spool.Sent)
	}
	wants(t, s, 0, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = x.restore(t)
	wants(t, s, 3, 0)
	r, err := s.Get(t.Context(), x.ids[1].ID)
	if err != nil || r.State != spool.Held || !r.Unknown || r.LastText != tables.RestoredText {
		t.Errorf("%v: %+v", err, r)
	}
	accept(t, s, newMessage(t, "box@example.org"), []byte("new"))
	wants(t, s, 3, 1)
	if err := s.Move(t.Context(), x.ids[0].ID, spool.Queued, start(), "released", start()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, x.path)
	wants(t, s, 2, 2)
	for _, m := range x.ids[1:] {
		if err := s.Delete(t.Context(), m.ID, "deleted", start()); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, s, 0, 2)
}

// What happened after the copy counts also if the program was killed, but for the
// last minute, and if all of the store's folder is put back.
func TestARestoredCopyIsKnownAfterACrash(t *testing.T) {
	x := backedUp(t)
	if err := os.Mkdir(filepath.Dir(x.path)+"-seen", 0o750); err != nil {
		t.Fatal(err)
	}
	copyFile(t, x.path+disk.SeenSuffix, x.copy+disk.SeenSuffix)
	s := open(t, x.path)
	copyFile(t, x.path, x.copy) // the start is counted in the log, which is not copied
	s.host.countChanges()       // nothing changed
	before := s.host.own
	x.attempt(t, s, x.ids[0], spool.Sent)
	s.host.countChanges()
	if s.host.own.count != before.count+1 {
		t.Errorf("counted %+v after %+v", s.host.own, before)
	}
	if text, err := disk.ReadSeen(x.path); err != nil || text != s.host.own.String() {
		t.Errorf("%v: remembered %q, not %q", err, text, s.host.own)
	}
	s.host.countChanges()
	if s.host.own.count != before.count+1 {
		t.Error("counted although nothing changed")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, x.copy+disk.SeenSuffix, x.path+disk.SeenSuffix)
	wants(t, x.restore(t), 3, 0)
}

// Starts and stops, a crash, a move with what was remembered, and the store of an
// older program hold nothing; a move without it does.
func TestAStoreThatDidNotGoBack(t *testing.T) {
	x := backedUp(t)
	s := open(t, x.path)
	wants(t, s, 0, 3)
	crashed := newPath(t)
	for _, suffix := range []string{"", "-wal", disk.SeenSuffix} {
		copyFile(t, x.path+suffix, crashed+suffix)
	}
	wants(t, open(t, crashed), 0, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	moved, alone := newPath(t), newPath(t)
	copyFile(t, x.path, moved)
	copyFile(t, x.path+disk.SeenSuffix, moved+disk.SeenSuffix)
	wants(t, open(t, moved), 0, 3)
	copyFile(t, x.path, alone)
	wants(t, open(t, alone), 3, 0)

	old := newPath(t)
	copyFile(t, x.path, old)
	edit(t, old, "DELETE FROM meta WHERE k IN ('incarnation', 'count')")
	s = open(t, old)
	wants(t, s, 0, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wants(t, open(t, old), 0, 3)
}
