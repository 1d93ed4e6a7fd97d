package disk

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"graphrelay/relay/spool"
)

// Free is what a file system has left.
type Free struct {
	Bytes  int64
	Inodes int64 // -1 where it does not count them
}

// minInodes is when inodes count as used up. The store needs none to go on,
// but a file system without inodes is about to stop everything else.
const minInodes = 8

// spaceAge is for how long the answer of statfs is believed.
const spaceAge = time.Second

// Space decides whether there is room for another message.
//
// A body is written twice, to the log and to the database, before the log can
// be used again; hence half as much again is asked for. What drafts under way
// may still write is reserved, so that two large ones do not fill a disk that
// has room for one.
type Space struct {
	Limits
	// Measure asks the file system below a path; tests replace it.
	Measure func(path string) (Free, error)

	mu       sync.Mutex
	known    Free
	knownAt  time.Time
	failed   error
	reserved int64 // bytes that drafts may still write
	drafts   int
	full     bool // the ballast is gone, or a write found the disk full
}

// Limits say how far a store may fill its file system.
type Limits struct {
	Path        string     // of the database
	MinFree     int64      // bytes that stay free
	MaxMessages int        // 0 = no limit
	Queued      func() int // messages in the queue
}

// NewSpace measures with statfs.
func NewSpace(l Limits) *Space { return &Space{Limits: l, Measure: statfs} }

func statfs(path string) (Free, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		return Free{}, err
	}
	free := Free{Bytes: int64(st.Bavail) * int64(st.Bsize), Inodes: -1} //nolint:unconvert // its type differs between systems
	if st.Files > 0 {
		free.Inodes = int64(st.Ffree)
	}
	return free, nil
}

func withMargin(size int64) int64 { return size + size/2 }

// Admit tells whether a message of size bytes would be taken.
func (s *Space) Admit(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check(size)
}

// Reserve is Admit that also reserves; Release gives back.
func (s *Space) Reserve(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(size); err != nil {
		return err
	}
	s.drafts++
	s.reserved += size
	return nil
}

func (s *Space) Release(reserved int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drafts--
	s.reserved -= reserved
}

// Wrote gives back what a draft has used up, and extra tells by how much it
// exceeds what it declared, for which there must be room too.
func (s *Space) Wrote(used, extra int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= used
	s.known.Bytes -= used
	if extra <= 0 {
		return nil
	}
	return s.checkSpace(extra)
}

func (s *Space) check(need int64) error {
	if n := s.Queued() + s.drafts; s.MaxMessages > 0 && n >= s.MaxMessages {
		return fmt.Errorf("%w: %d messages are queued; see why they are not sent (graphrelay queue list), or raise queue.max_messages", spool.ErrFull, n)
	}
	return s.checkSpace(need)
}

func (s *Space) checkSpace(need int64) error {
	s.refresh()
	promised := withMargin(s.reserved + need)
	switch {
	case s.failed != nil:
		return fmt.Errorf("%w: %s cannot be measured: %w; let the user of the service reach the folder", spool.ErrFull, s.Path, s.failed)
	case s.full:
		return fmt.Errorf("%w: the disk below %s was full and has not enough room yet; free space there", spool.ErrFull, s.Path)
	case s.known.Inodes >= 0 && s.known.Inodes < minInodes:
		return fmt.Errorf("%w: %d inodes are left below %s; remove files there", spool.ErrFull, s.known.Inodes, s.Path)
	case s.known.Bytes-promised < s.MinFree:
		return fmt.Errorf("%w: %d MiB are free below %s, %d MiB are promised to mail under way, %d MiB must stay free; free space, or lower queue.min_free_space",
			spool.ErrFull, s.known.Bytes>>20, s.Path, promised>>20, s.MinFree>>20)
	}
	return nil
}

func (s *Space) refresh() {
	if !s.knownAt.IsZero() && time.Since(s.knownAt) < spaceAge {
		return
	}
	s.known, s.failed = s.Measure(s.Path)
	s.knownAt = time.Now()
}

// Exhausted measures anew whether hardly anything is left.
func (s *Space) Exhausted() bool {
	free, err := s.Measure(s.Path)
	return err == nil && free.Bytes < 1<<20
}

func (s *Space) SetFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
	s.knownAt = time.Time{}
}

func (s *Space) IsFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// Allows tells whether bytes could be taken and still leave what must stay free.
func (s *Space) Allows(bytes int64) bool {
	free, err := s.Measure(s.Path)
	return err == nil && free.Bytes-bytes >= s.MinFree+1<<20
}
