package disk

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"graphrelay/relay/spool/room"
)

// Free is what a file system has left.
type Free struct {
	Bytes  int64
	Inodes int64 // -1 where it does not count them
}

const (
	// minInodes is when inodes count as used up. The store itself needs none, but
	// a file system without inodes soon stops everything else.
	minInodes = 8
	spaceAge  = time.Second // how long a measurement is used
)

// Space is the room.Disk of a store: what its file system has left.
//
// A body is written twice, to the log and to the database, before the log can be used
// again; hence half as much again is required.
type Space struct {
	Path    string // of the database
	MinFree int64  // bytes that stay free
	// Measure asks the file system below a path; tests replace it.
	Measure func(path string) (Free, error)

	mu      sync.Mutex
	known   Free
	knownAt time.Time
	inside  int64 // bytes that are free inside the database
	failed  error
	full    bool // the ballast is gone, or a write found the disk full
}

// NewSpace measures with statfs.
func NewSpace(path string, minFree int64) *Space {
	return &Space{Path: path, MinFree: minFree, Measure: statfs}
}

func statfs(path string) (Free, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		return Free{}, err
	}
	//nolint:unconvert // the type of Bsize differs between systems
	free := Free{Bytes: int64(st.Bavail) * int64(st.Bsize), Inodes: -1}
	if st.Files > 0 {
		free.Inodes = int64(st.Ffree)
	}
	return free, nil
}

// Check implements room.Disk.
func (s *Space) Check(bytes int64) (short bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	promised := bytes * 3 / 2
	free := s.known.Bytes + s.inside
	if log := promised / 3; s.known.Bytes-log < s.MinFree/2 {
		free = s.known.Bytes // the log of the database cannot use what is free inside it
	}
	switch {
	case s.failed != nil:
		return false, room.Full("Free space of the queue's disk cannot be measured",
			"give the service's user access to the folder of queue.store", s.Path+": "+s.failed.Error())
	case s.full:
		return false, room.Full("Disk of the queue is full", "free space on the disk of queue.store", s.Path)
	case s.known.Inodes >= 0 && s.known.Inodes < minInodes:
		return false, room.Full(fmt.Sprintf("Disk of the queue is full: %d inodes are free", s.known.Inodes),
			"remove files on the disk of queue.store", s.Path)
	case free-promised < s.MinFree:
		return true, room.Full(fmt.Sprintf("Disk of the queue is full: %d MiB are free, and %d MiB must stay free",
			free>>20, s.MinFree>>20), "free space on the disk of queue.store, or lower queue.min_free_space",
			fmt.Sprintf("%s; %d MiB are reserved for mail being received", s.Path, promised>>20))
	}
	return false, nil
}

// Left implements room.Disk.
func (s *Space) Left() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.Bytes + s.inside - s.MinFree
}

// Wrote implements room.Disk; what is free inside the database is used first.
func (s *Space) Wrote(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inside := min(bytes, s.inside)
	s.inside -= inside
	s.known.Bytes -= bytes - inside
}

// SetInside says how many bytes are free inside the database.
func (s *Space) SetInside(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside = bytes
}

func (s *Space) refresh() {
	if !s.knownAt.IsZero() && time.Since(s.knownAt) < spaceAge {
		return
	}
	s.known, s.failed = s.Measure(s.Path)
	s.knownAt = time.Now()
}

// Exhausted measures again whether hardly any space is left.
func (s *Space) Exhausted() bool {
	free, err := s.Measure(s.Path)
	return err == nil && free.Bytes < 1<<20
}

// SetFull says whether the disk was found full.
func (s *Space) SetFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
	s.knownAt = time.Time{}
}

// IsFull returns what SetFull said.
func (s *Space) IsFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// Allows returns whether bytes could be used and still leave what must stay free.
func (s *Space) Allows(bytes int64) bool {
	free, err := s.Measure(s.Path)
	return err == nil && free.Bytes-bytes >= s.MinFree+1<<20
}
