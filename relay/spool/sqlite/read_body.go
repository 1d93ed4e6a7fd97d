package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// body reads a stored message, one chunk per transaction: an open cursor would
// keep the log from being emptied for as long as a slow network takes. It
// holds one chunk in memory.
type body struct {
	ctx    context.Context //nolint:containedctx // of Open, for the reads that io.Reader gives none
	v      *view
	id     envelope.QueueID
	n      int64
	size   int64
	offset int64
	index  int64 // of the chunk in data
	data   []byte
	closed bool
}

// Open implements Store. A message whose bytes were deleted is ErrNotFound.
func (v *view) Open(ctx context.Context, id envelope.QueueID) (io.ReadSeekCloser, error) {
	r := &body{ctx: ctx, v: v, id: id}
	err := v.readers.With(ctx, func(c *db.Conn) error {
		var known bool
		if r.n, r.size, known = v.openAttempts.number(id); !known {
			b, err := find(c, id)
			if err == nil && b.bodyGone {
				err = spool.NotFound(id)
			}
			if err != nil {
				return err
			}
			r.n, r.size = b.n, b.size
		}
		return r.load(c, 0)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// load reads the chunk of an index and holds it against its checksum.
func (r *body) load(c *db.Conn, index int64) error {
	if index*chunkSize >= r.size {
		return nil
	}
	want := min(r.size-index*chunkSize, chunkSize)
	found := false
	err := c.Query("SELECT crc, data FROM chunk WHERE id = ?", []any{r.n<<chunkBits | index}, func(row *db.Row) error {
		crc, data := row.Int(), row.Bytes()
		if int64(len(data)) != want || checksum(data) != crc {
			return fmt.Errorf("%w: chunk %d of message %s does not match its checksum", spool.ErrDamaged, index, r.id)
		}
		r.data, r.index, found = data, index, true
		return row.Err
	})
	if err != nil || found {
		return err
	}
	return r.missing(c, index)
}

// missing tells a damaged message from one that was finished meanwhile.
func (r *body) missing(c *db.Conn, index int64) error {
	b, err := find(c, r.id)
	if err == nil && b.bodyGone {
		err = spool.NotFound(r.id)
	}
	if err != nil {
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
	index := r.offset / chunkSize
	if r.data == nil || index != r.index {
		r.data = nil
		err := r.v.readers.With(r.ctx, func(c *db.Conn) error { return r.load(c, index) })
		if err != nil {
			return 0, err
		}
	}
	k := copy(p, r.data[r.offset-index*chunkSize:])
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
		return 0, errors.New("spool: seek before the first octet")
	}
	r.offset = offset
	return offset, nil
}

func (r *body) Close() error {
	r.closed, r.data = true, nil
	return nil
}
