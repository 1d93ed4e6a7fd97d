package disk

import (
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/text"
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
	// patience is how long a draft to which nothing is added keeps its share.
	patience = 30 * time.Second
	// lookAgain is after how many bytes of a body the share of its client is looked at
	// again: by then others may have mail, or more bodies of the client arrive.
	lookAgain = 1 << 20
)

// Space decides whether there is room for another message.
//
// A body is written twice, to the log and to the database, before the log can be used
// again; hence half as much again is required. Drafts under way reserve room for the
// bytes that have arrived, not for those that clients announce: announcing costs
// nothing, and would keep the room from others.
type Space struct {
	Limits
	// Measure asks the file system below a path; tests replace it, and the clock.
	Measure func(path string) (Free, error)
	Now     func() time.Time

	mu      sync.Mutex
	known   Free
	knownAt time.Time
	inside  int64 // bytes that are free inside the database
	failed  error
	shares  map[*Share]struct{}  // of the drafts under way
	away    map[string]time.Time // when a client was last refused for want of room
	full    bool                 // the ballast is gone, or a write found the disk full
}

// Share is what one draft has of the space.
type Share struct {
	space  *Space
	client string
	size   int64     // that has arrived
	bytes  int64     // of that what is not on the disk yet
	moved  time.Time // when the last of them came
	stored bool      // some are on the disk
	giveUp func()    // removes these
	taken  bool      // by others: the draft is dead
	whole  bool      // all has arrived
}

// Limits are how far a store may fill its file system.
type Limits struct {
	Path        string                       // of the database
	MinFree     int64                        // bytes that stay free
	MaxMessages int                          // 0 = no limit
	Queued      func() int                   // messages in the queue
	Uses        iter.Seq2[string, spool.Use] // what each client has in the queue
}

// NewSpace measures with statfs.
func NewSpace(l Limits) *Space {
	return &Space{Limits: l, Measure: statfs, Now: time.Now,
		shares: map[*Share]struct{}{}, away: map[string]time.Time{}}
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

// Admit returns nil if a message of a client would be accepted, else ErrFull. The
// client "" is the service itself, which no share binds.
func (s *Space) Admit(client string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check(client, size)
}

// Room returns nil if there is room for something small that is not mail, else
// ErrFull.
func (s *Space) Room() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkSpace(0)
}

// Enter begins a draft of about size bytes, if there is room for it now. Leave ends it.
// giveUp is called, once at most and at any time, when others need the room of a draft
// that does not move.
func (s *Space) Enter(client string, size int64, giveUp func()) (*Share, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(client, size); err != nil {
		return nil, err
	}
	h := &Share{space: s, client: client, moved: s.Now(), giveUp: giveUp}
	s.shares[h] = struct{}{}
	return h, nil
}

// Leave ends a draft.
func (h *Share) Leave() {
	h.space.mu.Lock()
	defer h.space.mu.Unlock()
	delete(h.space.shares, h)
}

// Add reserves room for n bytes that have arrived, or returns ErrFull. A draft that
// had lost its share needs a free place in the queue again.
func (h *Share) Add(n int64) error {
	s := h.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.taken {
		return errTaken()
	}
	err := s.checkSpace(n)
	if s.lost(h) {
		err = s.check(h.client, h.bytes+n)
	}
	if err != nil {
		return s.turnAway(h.client, err)
	}
	if h.size/lookAgain != (h.size+n)/lookAgain {
		if err := s.checkDisk(h.client, h.size); err != nil {
			return err
		}
	}
	h.size, h.bytes, h.moved = h.size+n, h.bytes+n, s.Now()
	return nil
}

// Complete ends the arrival of a draft: from now on nobody takes its room. ErrFull, if
// somebody has.
func (h *Share) Complete() error {
	h.space.mu.Lock()
	defer h.space.mu.Unlock()
	if h.taken {
		return errTaken()
	}
	h.whole = true
	return nil
}

func errTaken() error {
	return Full("Message did not move, and others needed its room on the disk of the queue",
		"free space on the disk of queue.store, or find out why the client is so slow", "")
}

// Wrote records that n of the bytes are on the disk now; what is free inside the
// database is used first.
func (h *Share) Wrote(n int64) {
	s := h.space
	s.mu.Lock()
	defer s.mu.Unlock()
	inside := min(n, s.inside)
	h.bytes, h.stored = h.bytes-n, true
	s.inside -= inside
	s.known.Bytes -= n - inside
}

// SetInside says how many bytes are free inside the database.
func (s *Space) SetInside(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside = bytes
}

func (s *Space) lost(h *Share) bool { return !h.whole && s.Now().Sub(h.moved) >= patience }

// reclaim takes the room of drafts that do not move.
func (s *Space) reclaim() {
	for h := range s.shares {
		if s.lost(h) && h.stored && !h.taken {
			h.taken = true
			go h.giveUp()
		}
	}
}

// moving counts the drafts that keep their share, and the bytes that they have reserved.
func (s *Space) moving() (drafts int, bytes int64) {
	for h := range s.shares {
		if !s.lost(h) {
			drafts, bytes = drafts+1, bytes+h.bytes
		}
	}
	return drafts, bytes
}

func (s *Space) check(client string, need int64) error {
	if err := s.checkRoom(need); err != nil {
		return s.turnAway(client, err)
	}
	return s.checkShare(client)
}

// turnAway remembers that a client has mail for which there is no room.
func (s *Space) turnAway(client string, err error) error {
	if client != "" {
		s.away[client] = s.Now()
	}
	return err
}

// checkShare refuses a client that would fill the queue or its disk for the others.
// The room on the disk is what the queue has and what it may still take.
func (s *Space) checkShare(client string) error {
	if client == "" {
		return nil
	}
	has, all := s.uses()
	clients, its := len(has), has[client]
	if spool.Overdrawn(int64(s.MaxMessages), int64(all.Messages), int64(its.Messages), clients) {
		return Full(fmt.Sprintf("Client has its share of the queue: %d messages, and others have mail, too",
			its.Messages),
			"see why they are not sent (graphrelay status), or raise queue.max_messages",
			fmt.Sprintf("%d of %d messages are in the queue, of %d clients", all.Messages, s.MaxMessages, clients))
	}
	return s.checkDisk(client, 0)
}

// checkDisk is checkShare of the disk alone. own is what has arrived of the body that
// asks: whoever has nothing else may finish one message, however large.
func (s *Space) checkDisk(client string, own int64) error {
	if client == "" {
		return nil
	}
	has, all := s.uses()
	clients, its := len(has), has[client].Plus(0, -own)
	if room := all.Bytes + s.known.Bytes + s.inside - s.MinFree; spool.Overdrawn(room, all.Bytes, its.Bytes, clients) {
		return Full(fmt.Sprintf("Client has its share of the queue's disk: %d MiB, and others have mail, too",
			its.Bytes>>20),
			"free space on the disk of queue.store, or lower queue.min_free_space",
			fmt.Sprintf("%d of %d MiB are used by the queue, of %d clients", all.Bytes>>20, room>>20, clients))
	}
	return nil
}

// uses is what each client has in the queue and in drafts, and what all have. It has
// the clients that were lately turned away, too.
func (s *Space) uses() (has map[string]spool.Use, all spool.Use) {
	has = map[string]spool.Use{}
	add := func(client string, u spool.Use) {
		all = all.Plus(u.Messages, u.Bytes)
		if client != "" {
			has[client] = has[client].Plus(u.Messages, u.Bytes)
		}
	}
	for client, u := range s.Uses {
		add(client, u)
	}
	for h := range s.shares {
		if !s.lost(h) {
			add(h.client, spool.Use{Messages: 1, Bytes: h.size})
		}
	}
	for client, at := range s.away {
		if s.Now().Sub(at) >= spool.AwayFor {
			delete(s.away, client)
			continue
		}
		add(client, spool.Use{})
	}
	return has, all
}

func (s *Space) checkRoom(need int64) error {
	drafts, _ := s.moving()
	if n := s.Queued() + drafts; s.MaxMessages > 0 && n >= s.MaxMessages {
		return Full(fmt.Sprintf("Queue is full: it has %d messages, as many as queue.max_messages allows", n),
			"see why they are not sent (graphrelay status), or raise queue.max_messages", "")
	}
	return s.checkSpace(need)
}

func (s *Space) checkSpace(need int64) error {
	s.refresh()
	_, reserved := s.moving()
	promised := (reserved + need) * 3 / 2
	free := s.known.Bytes + s.inside
	if log := promised / 3; s.known.Bytes-log < s.MinFree/2 {
		free = s.known.Bytes // the log of the database cannot use what is free inside it
	}
	switch {
	case s.failed != nil:
		return Full("Free space of the queue's disk cannot be measured",
			"give the service's user access to the folder of queue.store", s.Path+": "+s.failed.Error())
	case s.full:
		return Full("Disk of the queue is full", "free space on the disk of queue.store", s.Path)
	case s.known.Inodes >= 0 && s.known.Inodes < minInodes:
		return Full(fmt.Sprintf("Disk of the queue is full: %d inodes are free", s.known.Inodes),
			"remove files on the disk of queue.store", s.Path)
	case free-promised < s.MinFree:
		s.reclaim()
		return Full(fmt.Sprintf("Disk of the queue is full: %d MiB are free, and %d MiB must stay free",
			free>>20, s.MinFree>>20), "free space on the disk of queue.store, or lower queue.min_free_space",
			fmt.Sprintf("%s; %d MiB are reserved for mail being received", s.Path, promised>>20))
	}
	return nil
}

// Full is an ErrFull with its cause.
func Full(headline, remedy, detail string) error {
	return fmt.Errorf("%w: %w", spool.ErrFull, text.Cause{Headline: headline, Remedy: remedy, Detail: detail})
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
