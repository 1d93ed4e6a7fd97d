package tables

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/room"
)

// ChunkSize is the length of every chunk of a body but the last. It belongs to
// the schema: stored bodies are cut this way.
const ChunkSize = 256 << 10

// chunkBits leaves a message 2^16 chunks, 16 GiB. The key of a chunk is the
// number of its message and its place in the body, so that one B-tree, filled
// from left to right, holds all bodies.
const chunkBits = 16

// inline is the longest last chunk whose message is committed among the small changes. A
// longer one waits with the other chunks, so that many at once do not delay the small changes.
const inline = 32 << 10

// draft implements spool.Draft. Full chunks go into the database under a number
// that no message has yet; the last chunk goes with the message.
type draft struct {
	s       *Store
	n       int64
	buf     []byte
	share   *room.Share
	size    int64 // bytes written
	stored  int64 // bytes in the database
	flushed bool  // or tried: the database may have a part of it
	err     error // of a write; the draft is dead
	over    bool
	attempt time.Time // when the first begins; zero: it is not recorded in the commit

	attempted bool // it was
}

// Begin implements spool.Intake.
func (s *Store) Begin(ctx context.Context, client string, size int64) (spool.Draft, error) {
	if err := errors.Join(ctx.Err(), s.Sick()); err != nil {
		return nil, err
	}
	size = max(size, 0)
	n, err := s.nextNumber(ctx)
	if err != nil {
		return nil, err
	}
	share, err := s.Room.Enter(client, size, func() { s.discard(n) })
	if err != nil {
		return nil, err
	}
	// What a client announces costs it nothing, so it gets little memory for that.
	return &draft{s: s, n: n, share: share, buf: make([]byte, 0, min(size, inline))}, nil
}

// Admit implements spool.Intake.
func (s *Store) Admit(client string, size int64) error {
	if err := s.Sick(); err != nil {
		return err
	}
	return s.Room.Admit(client, max(size, 0))
}

// Health implements spool.Store.
func (s *Store) Health() error { return s.Admit("", 0) }

// Write waits until a full chunk is in the database, so that a client cannot send faster than
// the disk writes. A chunk is written when more bytes follow: the last one belongs to Commit.
func (d *draft) Write(p []byte) (int, error) {
	if d.over {
		return 0, spool.ErrDraftOver
	}
	written := 0
	for len(p) > 0 && d.err == nil {
		if len(d.buf) == ChunkSize {
			d.err = d.flush()
			continue
		}
		k := min(len(p), ChunkSize-len(d.buf))
		if d.err = d.share.Add(int64(k)); d.err != nil {
			break
		}
		d.buf = append(d.buf, p[:k]...)
		p, written, d.size = p[k:], written+k, d.size+int64(k)
	}
	return written, d.err
}

// flush stores a chunk in a transaction of its own.
func (d *draft) flush() error {
	if d.stored/ChunkSize >= 1<<chunkBits-1 {
		return fmt.Errorf("spool: a message of more than %d GiB cannot be stored", ChunkSize<<chunkBits>>30)
	}
	d.flushed = true
	d.share.Wrote(int64(len(d.buf)))
	crc := checksum(d.buf)
	err := d.s.big(context.Background(), func(t *Tx) error {
		t.bodyBytes += int64(len(d.buf))
		if err := t.Run("INSERT INTO draft VALUES (?) ON CONFLICT DO NOTHING", d.n); err != nil {
			return err
		}
		return insertChunk(t.Conn, d.n, d.stored/ChunkSize, crc, d.buf)
	})
	if err != nil {
		return err
	}
	d.stored += int64(len(d.buf))
	d.buf = d.buf[:0]
	return nil
}

func (d *draft) Attempt(at time.Time) { d.attempt = at }

func (d *draft) Attempted() bool { return d.attempted }

func (d *draft) Commit(ctx context.Context, m spool.Message) error {
	if d.over {
		return spool.ErrDraftOver
	}
	err := d.err
	if err == nil {
		err = spool.CheckMessage(&m)
	}
	if err == nil && d.s.Room.Disk.IsFull() {
		err = d.s.Room.Admit("", 0)
	}
	if err == nil {
		err = d.share.Complete()
	}
	if err == nil {
		m.Size = d.size
		err = d.insert(ctx, m)
	}
	if d.attempted = d.attempted && err == nil; d.attempted {
		d.s.open.note(stored{Record: spool.Record{Message: m}, n: d.n})
	}
	d.end(err != nil)
	return err
}

func (d *draft) insert(ctx context.Context, m spool.Message) error {
	if m.Accepted.IsZero() {
		m.Accepted = d.s.Options.Now()
	}
	in, crc := d.s.smalls, checksum(d.buf)
	if len(d.buf) > inline {
		in = d.s.bigs
	}
	return d.s.submit(ctx, in, &change{apply: func(t *Tx) error {
		attempt, err := d.first(t, &m)
		if err != nil {
			return err
		}
		t.bodyBytes += int64(len(d.buf))
		if err := settleReport(t.Conn, &m); err != nil {
			return err
		}
		state, err := insertMessage(t, d.n, &m, attempt)
		if db.Is(err, db.Constraint) {
			err = fmt.Errorf("spool: message %s exists already: %w", m.ID, err)
		}
		if err != nil {
			return err
		}
		t.accepted = append(t.accepted, m.ID)
		if d.attempted {
			t.attempts = append(t.attempts, recordedAttempt{n: d.n, attempt: 1})
		}
		t.shifts = append(t.shifts, shift{
			lane: m.Mailbox.Key(), turn: turnCode(m.Turn()), client: m.Turn().Client, size: m.Size,
			from: none, to: state,
		})
		if len(d.buf) > 0 {
			if err := insertChunk(t.Conn, d.n, d.stored/ChunkSize, crc, d.buf); err != nil {
				return err
			}
		}
		if d.stored == 0 {
			return nil
		}
		return t.Run("DELETE FROM draft WHERE n = ?", d.n)
	}})
}

// first is when the first attempt begins, if this node still sends the mail of the mailbox.
func (d *draft) first(t *Tx, m *spool.Message) (at time.Time, err error) {
	if d.attempted = false; d.attempt.IsZero() {
		return at, nil
	}
	if d.attempted, err = d.s.own(t, m.Mailbox.Key()); d.attempted {
		at = d.attempt
	}
	return at, err
}

func (d *draft) Abort() {
	if !d.over {
		d.end(true)
	}
}

// end gives up the share of the space, and the stored chunks of a draft that did not become a message.
func (d *draft) end(discard bool) {
	d.over, d.buf = true, nil
	d.share.Leave()
	if discard && d.flushed {
		d.s.discard(d.n)
	}
}

// checksum is CRC-32C, for which processors have an instruction.
func checksum(b []byte) int64 { return int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))) }

func insertChunk(c *db.Conn, n, index, crc int64, data []byte) error {
	return c.Run("INSERT INTO chunk VALUES (?, ?, ?)", n<<chunkBits|index, crc, data)
}

// discard removes the chunks of an ended draft when there is time.
func (s *Store) discard(n int64) {
	s.mu.Lock()
	s.orphans = append(s.orphans, n)
	s.mu.Unlock()
	s.Wake()
}

// reap removes a few chunks of abandoned drafts. Open finds those of a crash; no
// message refers to them, so there is no hurry.
func (s *Store) reap() {
	s.mu.Lock()
	if len(s.orphans) == 0 {
		s.mu.Unlock()
		return
	}
	n := s.orphans[0]
	s.mu.Unlock()
	var gone bool
	batch := []*change{{done: make(chan struct{}), apply: func(t *Tx) (err error) {
		t.freed = true
		gone, err = reapSome(t.Conn, n)
		return err
	}}}
	s.commit(batch)
	if gone && batch[0].err == nil || batch[0].err != nil && s.Sick() == nil {
		s.mu.Lock()
		s.orphans = s.orphans[1:] // after an error the next start finds it again
		s.mu.Unlock()
	}
	s.Wake()
}

func reapSome(c *db.Conn, n int64) (gone bool, err error) {
	deleted, err := c.Exec("DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE id >= ? AND id < ? LIMIT ?)",
		n<<chunkBits, (n+1)<<chunkBits, int64(maxBigs))
	if err != nil || deleted == maxBigs {
		return false, err
	}
	return true, c.Run("DELETE FROM draft WHERE n = ?", n)
}
