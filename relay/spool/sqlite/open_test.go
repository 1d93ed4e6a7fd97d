package sqlite

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/sqlite/file"
	"graphrelay/relay/spool/tables"
)

// tryOpen opens a store that may be refused.
func tryOpen(t *testing.T, o Options) error {
	t.Helper()
	o.BallastSize = -1
	s, err := Open(t.Context(), o)
	if err == nil {
		err = s.Close()
	}
	return err
}

func edit(t *testing.T, path string, statements ...string) {
	t.Helper()
	c, err := file.Dial(path, commonParams)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if err := c.Run(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// edited spoils a store by a statement.
func edited(statement string) func(*testing.T, string) {
	return func(t *testing.T, path string) { edit(t, path, statement) }
}

// TestOpenRefuses lists what keeps a store from being opened. Each error
// says what to do.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(t *testing.T, path string)
		is     error
		remedy string
	}{
		{"newer schema", edited("PRAGMA user_version = 6"), spool.ErrSchema, "install the newer graphrelay"},
		{"no schema version", edited("PRAGMA user_version = 0"), nil, "restore it from a backup"},
		{"another program's database", edited("PRAGMA application_id = 7"), nil, "name another file"},
		{
			"a sandbox's store", edited("UPDATE meta SET v = 'sandbox' WHERE k = 'mark'"),
			spool.ErrSandbox, "name another file",
		},
		{"no database at all", func(t *testing.T, p string) {
			write(t, p, bytes.Repeat([]byte("text "), 2000))
		}, nil, ".recover"},
		{"readable by others", func(t *testing.T, p string) { chmod(t, p, 0o644) }, nil, "chmod 0640"},
		{"writable by the group", func(t *testing.T, p string) { chmod(t, p, 0o660) }, nil, "chmod 0640"},
		{"folder writable by others", func(t *testing.T, p string) {
			chmod(t, filepath.Dir(p), 0o777)
		}, nil, "chmod 0750"},
		{"folder missing", func(t *testing.T, p string) { must(t, os.RemoveAll(filepath.Dir(p))) }, nil, "install -d"},
		{"a folder instead of a file", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, os.Mkdir(p, 0o700))
		}, nil, "not a plain file"},
		{"a link instead of a file", func(t *testing.T, p string) {
			must(t, os.Rename(p, p+"2"))
			must(t, os.Symlink(p+"2", p))
		}, nil, "not a plain file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sub", "queue.db")
			must(t, os.Mkdir(filepath.Dir(path), 0o750))
			must(t, tryOpen(t, Options{Path: path}))
			c.spoil(t, path)
			err := tryOpen(t, Options{Path: path})
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("opened with %v, want %v and %q", err, c.is, c.remedy)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	must(t, os.WriteFile(path, b, 0o640))
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	must(t, os.Chmod(path, mode))
}

// TestSandboxMark wants each kind of store refused by the other kind of relay.
func TestSandboxMark(t *testing.T) {
	path := newPath(t)
	must(t, tryOpen(t, Options{Path: path, MarkSandbox: true}))
	must(t, tryOpen(t, Options{Path: path, MarkSandbox: true}))
	if err := tryOpen(t, Options{Path: path}); !errors.Is(err, spool.ErrSandbox) {
		t.Errorf("a real relay opened a sandbox's store: %v", err)
	}
}

func TestOneDaemonPerStore(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	err := tryOpen(t, Options{Path: path})
	if !errors.Is(err, spool.ErrLocked) || !strings.Contains(err.Error(), "stop that process") {
		t.Errorf("a second daemon: %v", err)
	}
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("a reader beside a daemon: %v", err)
	}
	accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	must(t, s.Close())
	must(t, tryOpen(t, Options{Path: path}))
}

// TestFileModes holds every file of the store against the modes that keep
// mail from other users.
func TestFileModes(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	for _, suffix := range []string{"", "-wal", "-shm", disk.LockSuffix, disk.BallastSuffix} {
		info, err := os.Stat(path + suffix)
		must(t, err)
		if info.Mode().Perm()&^0o640 != 0 {
			t.Errorf("queue.db%s has mode %04o", suffix, info.Mode().Perm())
		}
	}
}

// TestStoreOfAnOlderProgram has a store without the column and the table that were
// added since: it can be read as it is, and Open adds them.
func TestStoreOfAnOlderProgram(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	old := accept(t, s, newMessage(t, "box@example.org"), nil).ID
	must(t, s.Close())
	edit(t, path, version3...)
	edit(t, path, "ALTER TABLE message DROP COLUMN unreported", "ALTER TABLE event DROP COLUMN unknown",
		"DROP TABLE refusal", "PRAGMA user_version = 1", "DROP INDEX due", "ALTER TABLE message DROP COLUMN turn",
		"ALTER TABLE message DROP COLUMN local_user",
		"CREATE INDEX due ON message (lane, next, last, sender_hash) WHERE state = 0")
	r, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	rec, err := r.Get(t.Context(), old)
	if err != nil || rec.ID != old || rec.Envelope.Unreported != nil {
		t.Errorf("read only: %+v, %v", rec, err)
	}
	if list, err := r.List(t.Context(), spool.Filter{}); err != nil || len(list) != 1 {
		t.Errorf("list, read only: %+v, %v", list, err)
	}
	if list, err := r.Refusals(t.Context(), spool.RefusalFilter{}); err != nil || len(list) != 0 {
		t.Errorf("refusals, read only: %+v, %v", list, err)
	}
	must(t, r.Close())
	for range 2 {
		s = open(t, path)
		if rec, err = s.Get(t.Context(), old); err != nil || rec.Envelope.Unreported != nil {
			t.Errorf("after Open: %+v, %v", rec, err)
		}
		refused := spool.Refusal{RefusalKey: spool.RefusalKey{Client: "erp"}, Count: 1}
		if _, err := s.AddRefusals(t.Context(), []spool.Refusal{refused}); err != nil {
			t.Error(err)
		}
		accept(t, s, newMessage(t, "box@example.org"), nil)
		must(t, s.Close())
	}
}

// TestReadOnly looks at a stopped store, twice at once, and changes nothing.
func TestReadOnly(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	body := bytes.Repeat([]byte("0123456789"), 60_000)
	m := accept(t, s, newMessage(t, "box@example.org"), body)
	if _, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: start()}); err != nil {
		t.Fatal(err)
	}
	must(t, s.Close())
	for range 2 {
		r, err := OpenReadOnly(t.Context(), path)
		must(t, err)
		defer r.Close()
		record, err := r.Get(t.Context(), m.ID)
		if err != nil || record.State != spool.Sending || record.Crashes != 0 {
			t.Errorf("record %+v, %v", record, err)
		}
		reader, err := r.Open(t.Context(), m.ID)
		must(t, err)
		if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, body) {
			t.Errorf("body of %d bytes, %v", len(got), err)
		}
		lanes, err := r.Lanes(t.Context())
		if err != nil || len(lanes) != 1 || lanes[0].Sending != 1 {
			t.Errorf("lanes %+v, %v", lanes, err)
		}
	}
	if err := tryOpen(t, Options{Path: path}); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("a daemon beside a reader: %v", err)
	}
	if _, err := OpenReadOnly(t.Context(), filepath.Join(t.TempDir(), "none.db")); err == nil {
		t.Error("opened a store that is not there")
	}
}

// TestDamagedBody changes, cuts and removes chunks. Reading finds it, in front
// of what is whole, and the message can be marked.
func TestDamagedBody(t *testing.T) {
	for name, damage := range map[string]string{
		"one byte": "UPDATE chunk SET data = CAST(substr(data, 1, 99) || x'00' || substr(data, 101) AS BLOB) " +
			"WHERE id & 65535 = 1",
		"cut short":     "UPDATE chunk SET data = substr(data, 1, 1000) WHERE id & 65535 = 1",
		"chunk missing": "DELETE FROM chunk WHERE id & 65535 = 1",
		"not a blob":    "UPDATE chunk SET data = 5 WHERE id & 65535 = 1",
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := open(t, path)
			body := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
			m := accept(t, s, newMessage(t, "box@example.org"), body)
			must(t, s.Close())
			edit(t, path, damage)
			s = open(t, path)
			r, err := s.Open(t.Context(), m.ID)
			must(t, err)
			got, err := io.ReadAll(r)
			if !errors.Is(err, spool.ErrDamaged) || !bytes.Equal(got, body[:tables.ChunkSize]) {
				t.Fatalf("read %d bytes and %v", len(got), err)
			}
			must(t, s.Move(t.Context(), m.ID, spool.Damaged, time.Time{}, err.Error(), start()))
			stats, _ := s.Stats(t.Context())
			if stats.Damaged != 1 || stats.Queued != 0 {
				t.Errorf("stats %+v", stats)
			}
		})
	}
}

// TestDamagedOnDisk flips bytes in the file itself, below SQLite.
func TestDamagedOnDisk(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	body := bytes.Repeat([]byte("needle in the haystack "), 20_000)
	m := accept(t, s, newMessage(t, "box@example.org"), body)
	other := accept(t, s, newMessage(t, "box@example.org"), []byte("other"))
	must(t, s.Close())
	file, err := os.ReadFile(path)
	must(t, err)
	at := bytes.LastIndex(file, []byte("needle in the haystack"))
	file[at] ^= 1
	write(t, path, file)
	s = open(t, path)
	r, err := s.Open(t.Context(), m.ID)
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, spool.ErrDamaged) {
		t.Errorf("read a changed body: %v", err)
	}
	if string(readAll(t, s, other.ID)) != "other" {
		t.Error("the other message suffered")
	}
}

// TestDamagedRow spoils one page of the table of messages: what it held fails,
// and so do entries of the pages beside it that outgrow them, for these cannot
// be balanced against it. The store continues.
func TestDamagedRow(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	var all []spool.Message
	for range 200 {
		all = append(all, accept(t, s, newMessage(t, "box@example.org"), []byte("body")))
	}
	must(t, s.Close())
	edit(t, path, "PRAGMA journal_mode = DELETE")
	spoilPage(t, path, []byte(all[100].ID))
	s = open(t, path)
	unreadable, damaged := 0, 0
	for _, m := range all {
		if _, err := s.Get(t.Context(), m.ID); err != nil {
			unreadable++
		}
		err := s.Move(t.Context(), m.ID, spool.Held, time.Time{}, "look", start())
		switch {
		case errors.Is(err, spool.ErrDamaged):
			damaged++
		case err != nil:
			t.Fatal(err)
		}
	}
	if unreadable == 0 || unreadable > 20 || damaged > 50 {
		t.Errorf("of 200 messages %d cannot be read and %d not be changed", unreadable, damaged)
	}
	must(t, s.Health())
	accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
}

// spoilPage overwrites the header of the last page that holds a text: that of
// the table's leaf, for the index comes earlier in the cells.
func spoilPage(t *testing.T, path string, text []byte) {
	t.Helper()
	const page = 4096
	file, err := os.ReadFile(path)
	must(t, err)
	for at := 0; at+page <= len(file); at += page {
		if file[at] == 0x0d && bytes.Contains(file[at:at+page], text) {
			file[at] = 0xff
			write(t, path, file)
			return
		}
	}
	t.Fatal("no leaf holds the message")
}

// TestTruncatedWAL cuts the log as a crash may leave it: whole transactions
// stay, the torn one goes.
func TestTruncatedWAL(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	first := accept(t, s, newMessage(t, "box@example.org"), []byte("first"))
	info, err := os.Stat(path + "-wal")
	must(t, err)
	accept(t, s, newMessage(t, "box@example.org"), []byte("second"))
	copyTo := newPath(t)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		must(t, err)
		if suffix == "-wal" {
			b = b[:info.Size()+5000]
		}
		write(t, copyTo+suffix, b)
	}
	wantOnly(t, open(t, copyTo), first.ID)
}

// TestClampNext repairs the times that a wrong clock left behind.
func TestClampNext(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	must(t, s.Move(t.Context(), m.ID, spool.Queued, start().AddDate(20, 0, 0), "clock", start()))
	must(t, s.Close())
	s, err := Open(t.Context(), Options{Path: path, BallastSize: -1, MaxDelay: time.Hour, Now: start})
	must(t, err)
	defer s.Close()
	if r, err := s.Get(t.Context(), m.ID); err != nil || !r.NextAttempt.Equal(start()) {
		t.Errorf("due %v, %v", r.NextAttempt, err)
	}
	must(t, s.Sweep(t.Context(), start().Add(-2*time.Hour), time.Hour, time.Hour))
	if r, err := s.Get(t.Context(), m.ID); err != nil || !r.NextAttempt.Equal(start().Add(-2*time.Hour)) {
		t.Errorf("due %v, %v", r.NextAttempt, err)
	}
}

// TestClockSetBack wants mail whose next attempt a clock planned that was set back to be
// due at once, and what the present clock planned to wait.
func TestClockSetBack(t *testing.T) {
	var ahead, asked atomic.Int64
	now := func() time.Time {
		asked.Add(1)
		return start().Add(time.Duration(ahead.Load()))
	}
	ahead.Store(int64(40 * time.Minute))
	s := open(t, newPath(t), func(s *Store) { s.Options.Now, s.Options.MaxDelay = now, time.Hour })
	deferred := func() envelope.QueueID {
		m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
		if _, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: now(), Limit: 9}); err != nil {
			t.Fatal(err)
		}
		must(t, s.Settle(t.Context(), spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Deferred, At: now(),
			NextAttempt: now().Add(time.Minute)}))
		return m.ID
	}
	next := func(id envelope.QueueID) time.Time {
		r, err := s.Get(t.Context(), id)
		must(t, err)
		return r.NextAttempt
	}
	before := deferred()
	seen := asked.Load()
	eventually(t, "a tick that has seen the time", func() bool { return asked.Load() > seen+1 })
	ahead.Store(0)
	eventually(t, "a message that is due", func() bool { return next(before).Equal(start()) })
	after := deferred()
	must(t, s.Sweep(t.Context(), start(), time.Hour, time.Hour))
	if !next(after).Equal(start().Add(time.Minute)) {
		t.Errorf("what was planned by the present clock is due at %v", next(after))
	}
}
