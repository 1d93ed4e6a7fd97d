package sqlite

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"graphrelay/relay/spool"
)

// space is what a file system has left.
type space struct {
	octets int64
	inodes int64 // -1 where it does not count them
}

// minInodes is when inodes count as used up. The store needs none to go on,
// but a file system without inodes is about to stop everything else.
const minInodes = 8

// spaceAge is for how long the answer of statfs is believed.
const spaceAge = time.Second

// room decides whether there is room for another message.
//
// A body is written twice, to the log and to the database, before the log can
// be used again; hence half as much again is asked for. What drafts under way
// may still write is reserved, so that two large ones do not fill a disk that
// has room for one.
type room struct {
	path        string
	minFree     int64
	maxMessages int
	statfs      func(path string) (space, error)
	queued      func() int // messages in the queue

	mu       sync.Mutex
	known    space
	knownAt  time.Time
	failed   error
	reserved int64 // octets that drafts may still write
	drafts   int
	full     bool // the ballast is gone, or a write found the disk full
}

func statfs(path string) (space, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		return space{}, err
	}
	sp := space{octets: int64(st.Bavail) * int64(st.Bsize), inodes: -1} //nolint:unconvert // its type differs between systems
	if st.Files > 0 {
		sp.inodes = int64(st.Ffree)
	}
	return sp, nil
}

func withMargin(size int64) int64 { return size + size/2 }

// admit tells whether a message of size octets would be taken.
func (r *room) admit(size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.check(size)
}

// begin is admit that also reserves; end gives back.
func (r *room) begin(size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(size); err != nil {
		return err
	}
	r.drafts++
	r.reserved += size
	return nil
}

func (r *room) end(reserved int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drafts--
	r.reserved -= reserved
}

// wrote gives back what a draft has used up, and extra tells by how much it
// exceeds what it declared, for which there must be room too.
func (r *room) wrote(used, extra int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved -= used
	r.known.octets -= used
	if extra <= 0 {
		return nil
	}
	return r.checkSpace(extra)
}

func (r *room) check(need int64) error {
	if n := r.queued() + r.drafts; r.maxMessages > 0 && n >= r.maxMessages {
		return fmt.Errorf("%w: %d messages are queued; see why they are not sent (graphrelay queue list), or raise queue.max_messages", spool.ErrFull, n)
	}
	return r.checkSpace(need)
}

func (r *room) checkSpace(need int64) error {
	r.refresh()
	promised := withMargin(r.reserved + need)
	switch {
	case r.failed != nil:
		return fmt.Errorf("%w: %s cannot be measured: %w; let the user of the service reach the folder", spool.ErrFull, r.path, r.failed)
	case r.full:
		return fmt.Errorf("%w: the disk below %s was full and has not enough room yet; free space there", spool.ErrFull, r.path)
	case r.known.inodes >= 0 && r.known.inodes < minInodes:
		return fmt.Errorf("%w: %d inodes are left below %s; remove files there", spool.ErrFull, r.known.inodes, r.path)
	case r.known.octets-promised < r.minFree:
		return fmt.Errorf("%w: %d MiB are free below %s, %d MiB are promised to mail under way, %d MiB must stay free; free space, or lower queue.min_free_space",
			spool.ErrFull, r.known.octets>>20, r.path, promised>>20, r.minFree>>20)
	}
	return nil
}

func (r *room) refresh() {
	if !r.knownAt.IsZero() && time.Since(r.knownAt) < spaceAge {
		return
	}
	r.known, r.failed = r.statfs(r.path)
	r.knownAt = time.Now()
}

// exhausted measures anew whether hardly anything is left.
func (r *room) exhausted() bool {
	sp, err := r.statfs(r.path)
	return err == nil && sp.octets < 1<<20
}

func (r *room) setFull(full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = full
	r.knownAt = time.Time{}
}

func (r *room) isFull() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full
}

// allows tells whether octets could be taken and still leave what must stay free.
func (r *room) allows(octets int64) bool {
	sp, err := r.statfs(r.path)
	return err == nil && sp.octets-octets >= r.minFree+1<<20
}
