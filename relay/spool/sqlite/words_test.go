package sqlite

import (
	"fmt"
	"os"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/tables"
)

// wordsEach is how many words a message of acceptTo has: its sender, client and the client's
// address, Message-ID, two recipients.
const wordsEach = 6

// acceptTo stores a message to one recipient of its own.
func acceptTo(t *testing.T, s *Store, i int) spool.Message {
	t.Helper()
	m := newMessage(t, mailboxOf(i%2))
	m.ID = envelope.NewQueueID(start().Add(time.Duration(i) * time.Second))
	m.Envelope.Recipients = []envelope.Address{recipientOf(t, i), address(t, "all@example.org")}
	return accept(t, s, m, nil)
}

func recipientOf(t *testing.T, i int) envelope.Address {
	return address(t, fmt.Sprintf("to%d@example.org", i))
}

// watermark is up to which number messages have words.
func watermark(t *testing.T, s *Store) int64 {
	t.Helper()
	var n int64
	must(t, s.Readers.With(t.Context(), func(c *db.Conn) (err error) {
		n, err = c.Number("SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'words'")
		return err
	}))
	return n
}

// wantFound searches for each message by its recipient, and for all, a few a page, in every way that there is.
func wantFound(t *testing.T, when string, v *tables.Reader, want []spool.Message) {
	t.Helper()
	for _, v.Sparse = range []int64{0, v.Sparse} {
		for _, f := range []spool.Filter{{}, {Newest: true}, {States: []spool.State{spool.Queued}}} {
			wantPages(t, when, v, f, want)
			for i := 0; i < len(want); i += 17 {
				m := want[i]
				f.Recipient = m.Envelope.Recipients[0]
				if got, err := v.List(t.Context(), f); err != nil || len(got) != 1 || got[0].ID != m.ID {
					t.Fatalf("%s: message %d is found %d times, %v", when, i, len(got), err)
				}
			}
		}
	}
}

func wantPages(t *testing.T, when string, v *tables.Reader, f spool.Filter, want []spool.Message) {
	t.Helper()
	f.Recipient, f.Limit = address(t, "all@example.org"), 35
	for i := 0; i < len(want); i += f.Limit {
		page, err := v.List(t.Context(), f)
		if err != nil || len(page) != min(f.Limit, len(want)-i) {
			t.Fatalf("%s: %d messages behind %d of %d, %v", when, len(page), i, len(want), err)
		}
		for k, m := range page {
			at := i + k
			if f.Newest {
				at = len(want) - 1 - at
			}
			if m.ID != want[at].ID {
				t.Fatalf("%s: message %d is in place of %d", when, i+k, at)
			}
		}
		f.After = page[len(page)-1].ID
	}
}

// Words are written for many messages at once, and a search finds each message before
// and after that, after a crash, after a start, and in a store that is only read.
func TestSearchFindsWhatHasNoWordsYet(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	var all []spool.Message
	for i := range tables.WordDelay + tables.WordBatch - 1 {
		all = append(all, acceptTo(t, s, i))
	}
	if n := count(t, s, "word"); n != 0 {
		t.Errorf("%d words are written too early", n)
	}
	wantFound(t, "no words", s.Reader, all)
	for range tables.WordBatch / 2 {
		all = append(all, acceptTo(t, s, len(all)))
	}
	if n := count(t, s, "word"); n != tables.WordBatch*wordsEach {
		t.Errorf("%d words, want those of %d messages", n, tables.WordBatch)
	}
	wantFound(t, "some words", s.Reader, all)

	crashed := newPath(t) // what a kill leaves: the files as they are
	for _, suffix := range []string{"", "-wal", disk.LockSuffix, disk.SeenSuffix} {
		b, err := os.ReadFile(path + suffix)
		must(t, err)
		write(t, crashed+suffix, b)
	}
	again := open(t, crashed)
	wantFound(t, "crashed", again.Reader, all)
	for range tables.WordBatch {
		all = append(all, acceptTo(t, again, len(all)))
	}
	if watermark(t, again) != 2*tables.WordBatch {
		t.Errorf("the watermark is at %d", watermark(t, again))
	}
	wantFound(t, "continued", again.Reader, all)
	must(t, again.Close())
	r, err := OpenReadOnly(t.Context(), crashed)
	must(t, err)
	defer r.Close()
	wantFound(t, "read only", r.Reader, all)
}

// What is received for long may be committed after the watermark has passed it, and a
// message of which nothing is left of that number may have come before.
func TestWordsOfWhatComesLate(t *testing.T) {
	s := open(t, newPath(t))
	late, err := s.Begin(t.Context(), "", 0)
	must(t, err)
	var all []spool.Message
	for i := range 2*tables.WordDelay + tables.WordBatch {
		all = append(all, acceptTo(t, s, i))
	}
	m := newMessage(t, mailboxOf(0))
	m.ID = envelope.NewQueueID(start().Add(-time.Second))
	m.Envelope.Recipients = []envelope.Address{address(t, "late@example.org"), address(t, "all@example.org")}
	must(t, late.Commit(t.Context(), m))
	if watermark(t, s) == 0 || count(t, s, "word") != watermark(t, s)*wordsEach {
		t.Errorf("%d words up to %d", count(t, s, "word"), watermark(t, s))
	}
	wantFound(t, "late", s.Reader, append([]spool.Message{m}, all...))
}

// What was deleted leaves no words, whether it had them or not, and what comes after a
// start is found, though its number may be one that was used before.
func TestWordsAfterSweeping(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	for i := range tables.WordBatch + 2*tables.WordDelay {
		m := acceptTo(t, s, i)
		must(t, s.Delete(t.Context(), m.ID, "test", start()))
	}
	must(t, s.Sweep(t.Context(), start().Add(time.Hour), time.Minute, time.Minute))
	if words, left := count(t, s, "word"), count(t, s, "message"); words+left != 0 || watermark(t, s) == 0 {
		t.Errorf("%d words and %d messages are left, watermark %d", words, left, watermark(t, s))
	}
	must(t, s.Close())
	s = open(t, path)
	var all []spool.Message
	for i := range 10 {
		all = append(all, acceptTo(t, s, i))
	}
	wantFound(t, "swept", s.Reader, all)
	for i := range 2 * tables.WordBatch {
		all = append(all, acceptTo(t, s, 10+i))
	}
	wantFound(t, "swept, and more", s.Reader, all)
}

// A store of version 4 has all its words, and no watermark.
func TestStoreOfVersion4(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	var all []spool.Message
	for i := range 10 {
		all = append(all, acceptTo(t, s, i))
	}
	must(t, s.Change(t.Context(), false, func(t *tables.Tx) error { return t.WriteWords(10) }))
	must(t, s.Close())
	edit(t, path, version4...)
	r, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	wantFound(t, "read only", r.Reader, all)
	must(t, r.Close())
	s = open(t, path)
	if watermark(t, s) != 10 {
		t.Errorf("the watermark is at %d", watermark(t, s))
	}
	for i := range 2 * tables.WordBatch {
		all = append(all, acceptTo(t, s, 10+i))
	}
	wantFound(t, "migrated", s.Reader, all)
}

// Of messages to many, each commit writes the words of some.
func TestWordsOfMessagesToMany(t *testing.T) {
	s := open(t, newPath(t))
	for i := range tables.WordBatch + tables.WordDelay {
		m := newMessage(t, mailboxOf(0))
		m.ID = envelope.NewQueueID(start().Add(time.Duration(i) * time.Second))
		for k := range 98 {
			m.Envelope.Recipients = append(m.Envelope.Recipients, address(t, fmt.Sprintf("to%d@example.org", k)))
		}
		accept(t, s, m, nil)
	}
	if watermark(t, s) != tables.WordLimit/100 {
		t.Errorf("the watermark is at %d after one step", watermark(t, s))
	}
	for i := range tables.WordLimit / 100 {
		acceptTo(t, s, 1000+i)
	}
	if watermark(t, s) != 2*tables.WordLimit/100 {
		t.Errorf("the watermark is at %d after two steps", watermark(t, s))
	}
}

// A row that is damaged does not keep the others from their words.
func TestWordsBesideADamagedRow(t *testing.T) {
	s := open(t, newPath(t))
	first := acceptTo(t, s, 0)
	must(t, s.Change(t.Context(), false, func(t *tables.Tx) error {
		return t.Run("UPDATE message SET sender = 'no address', state = 5 WHERE id = ?", string(first.ID))
	}))
	for i := range 2*tables.WordBatch + tables.WordDelay {
		acceptTo(t, s, 1+i)
	}
	if watermark(t, s) < 2*tables.WordBatch-1 {
		t.Errorf("the watermark is at %d", watermark(t, s))
	}
	if got, err := s.List(t.Context(), spool.Filter{Recipient: recipientOf(t, 9)}); err != nil || len(got) != 1 {
		t.Errorf("%d found, %v", len(got), err)
	}
}
