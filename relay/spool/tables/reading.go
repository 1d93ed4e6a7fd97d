package tables

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// Reader is the reading side of a store: a spool.Reader, and more.
type Reader struct {
	Readers *db.Pool
	Sparse  int64 // see search; tests lower it
	tally   *tally
	open    *openAttempts
	decided atomic.Bool // nothing is held any more because the store went back
}

// NewReader reads with the connections of a pool. It has no counts until Count.
func NewReader(readers *db.Pool) *Reader {
	return &Reader{Readers: readers, Sparse: defaultSparse, tally: newTally()}
}

// Count counts what nobody changes.
func (v *Reader) Count(c *db.Conn) (err error) {
	v.tally, err = countAll(c)
	return err
}

// Get implements spool.Reader.
func (v *Reader) Get(ctx context.Context, id envelope.QueueID) (spool.Record, error) {
	return db.Read(ctx, v.Readers, func(c *db.Conn) (spool.Record, error) {
		found, err := readRecords(c, "SELECT "+recordColumns+" FROM message WHERE id = ?", string(id))
		if err != nil {
			return spool.Record{}, err
		}
		if len(found) == 0 {
			return spool.Record{}, spool.NotFound(id)
		}
		holds, err := readHolds(c)
		return spool.Shown(found[0].Record, holds), err
	})
}

// History implements spool.Reader.
func (v *Reader) History(ctx context.Context, id envelope.QueueID) ([]spool.Event, error) {
	return db.Read(ctx, v.Readers, func(c *db.Conn) ([]spool.Event, error) {
		return history(c, id)
	})
}

// openAttempts remembers which rows hold the messages whose attempt is open, as each
// is opened and settled soon after it was claimed: the look-up by queue ID was a sixth
// of the processor time of a drain. It is a short cut only. A number is never used
// twice by one process, and the row is checked as ever. A nil openAttempts knows none.
type openAttempts struct {
	mu   sync.Mutex
	byID map[envelope.QueueID]place
}

type place struct{ n, size int64 }

func newOpenAttempts() *openAttempts { return &openAttempts{byID: map[envelope.QueueID]place{}} }

func (o *openAttempts) note(m stored) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byID[m.ID] = place{m.n, m.Size}
}

func (o *openAttempts) forget(id envelope.QueueID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byID, id)
}

func (o *openAttempts) place(id envelope.QueueID) (p place, ok bool) {
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		p, ok = o.byID[id]
	}
	return p, ok
}

// body reads a stored message, one chunk per transaction: an open cursor would keep the log
// from being emptied for as long as a slow network needs. It holds one chunk in memory.
type body struct {
	ctx context.Context //nolint:containedctx // of Open: io.Reader passes none
	v   *Reader
	id  envelope.QueueID
	place
	offset int64
	index  int64 // of the chunk in data
	data   []byte
	closed bool
}

// Open implements spool.Reader. A message whose bytes were deleted is ErrNotFound.
func (v *Reader) Open(ctx context.Context, id envelope.QueueID) (io.ReadSeekCloser, error) {
	r := &body{ctx: ctx, v: v, id: id}
	err := v.read(ctx, func(c *db.Conn) error {
		known := false
		if r.place, known = v.open.place(id); !known {
			b, err := findBody(c, id)
			if err != nil {
				return err
			}
			r.place = place{b.n, b.size}
		}
		return r.load(c, 0)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// findBody is find for a message whose bytes were not deleted.
func findBody(c *db.Conn, id envelope.QueueID) (brief, error) {
	b, err := find(c, id)
	if err == nil && b.bodyGone {
		err = spool.NotFound(id)
	}
	return b, err
}

// load reads the chunk of an index and verifies its checksum.
func (r *body) load(c *db.Conn, index int64) error {
	if index*ChunkSize >= r.size {
		return nil
	}
	want := min(r.size-index*ChunkSize, ChunkSize)
	found, crc, data := false, int64(0), []byte(nil)
	err := c.Query("SELECT crc, data FROM chunk WHERE id = ?", []any{r.n<<chunkBits | index}, func(row *db.Row) error {
		found, crc, data = true, row.Int(), row.Bytes()
		return row.Err
	})
	switch {
	case err != nil: // of a read that failed nothing is judged
		return err
	case !found:
		return r.missing(c, index)
	case int64(len(data)) != want || checksum(data) != crc:
		return fmt.Errorf("%w: chunk %d of message %s does not match its checksum", spool.ErrDamaged, index, r.id)
	}
	r.data, r.index = data, index
	return nil
}

// read is with a connection, and once more with another where the first finds damage
// or fails: what a disk gives once it need not give twice.
func (v *Reader) read(ctx context.Context, do func(*db.Conn) error) error {
	err := v.Readers.With(ctx, do)
	if _, failed := db.KindOf(err); failed || errors.Is(err, spool.ErrDamaged) {
		err = v.Readers.Anew(ctx, do)
	}
	return err
}

// missing distinguishes a damaged message from one that was finished meanwhile.
func (r *body) missing(c *db.Conn, index int64) error {
	if _, err := findBody(c, r.id); err != nil {
		return err
	}
	return fmt.Errorf("%w: chunk %d of message %s is missing", spool.ErrDamaged, index, r.id)
}

func (r *body) Read(p []byte) (int, error) {
	if r.closed {
		return 0, spool.ErrBodyClosed
	}
	if r.offset >= r.size {
		return 0, io.EOF
	}
	index := r.offset / ChunkSize
	if r.data == nil || index != r.index {
		r.data = nil
		err := r.v.read(r.ctx, func(c *db.Conn) error { return r.load(c, index) })
		if err != nil {
			return 0, err
		}
	}
	k := copy(p, r.data[r.offset-index*ChunkSize:])
	r.offset += int64(k)
	return k, nil
}

func (r *body) Seek(offset int64, whence int) (int64, error) {
	switch {
	case r.closed:
		return 0, spool.ErrBodyClosed
	case whence == io.SeekCurrent:
		offset += r.offset
	case whence == io.SeekEnd:
		offset += r.size
	case whence != io.SeekStart:
		return 0, fmt.Errorf("spool: seek from %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("spool: seek before the first byte")
	}
	r.offset = offset
	return offset, nil
}

func (r *body) Close() error {
	r.closed, r.data = true, nil
	return nil
}

// Export writes the message of a row, with its envelope as header fields before it. It looks
// nothing up in an index, and reads whatever is whole.
func Export(c *db.Conn, n int64, w io.Writer) error {
	found, err := readRecords(c, "SELECT "+recordColumns+" FROM message WHERE n = ?", n)
	if err != nil || len(found) == 0 {
		return errors.Join(err, errors.New("its row"))
	}
	m := found[0]
	if m.BodyGone || !hasBody(stateCode(m.State)) {
		return fmt.Errorf("it was %s", m.State)
	}
	_, err = fmt.Fprintf(w, "X-Envelope-From: <%s>\r\n", m.Envelope.ReversePath)
	for _, to := range m.Envelope.Recipients {
		_, toErr := fmt.Fprintf(w, "X-Envelope-To: <%s>\r\n", to)
		err = errors.Join(err, toErr)
	}
	r := &body{id: m.ID, place: place{n, m.Size}}
	for index := int64(0); err == nil && index*ChunkSize < m.Size; index++ {
		if err = r.load(c, index); err == nil {
			_, err = w.Write(r.data)
		}
	}
	return err
}
