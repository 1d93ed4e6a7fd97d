// Package room decides whether a queue has room for another message, and that no client takes
// the room of the others. It counts what is in the queue and the drafts under way. What the disk
// of the queue has left it asks its Disk; without one, only the number of messages is limited.
package room

import (
	"fmt"
	"iter"
	"math"
	"sync"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

const (
	// Patience is how long a draft to which nothing is added keeps its share.
	Patience = 30 * time.Second
	// lookAgain is after how many bytes of a body the share of its client is looked at
	// again: by then others may have mail, or more bodies of the client arrive.
	lookAgain = 1 << 20
)

// Room decides whether there is room for another message. Drafts under way reserve room
// for the bytes that have arrived, not for those that clients announce: announcing costs
// nothing, and would keep the room from others.
type Room struct {
	Limits
	Now func() time.Time // tests replace it

	mu     sync.Mutex
	shares map[*Share]struct{}  // of the drafts under way
	away   map[string]time.Time // when a client was last refused for want of room
}

// Disk is what a queue is on, if that is this machine's. Its methods are called while the
// Room is locked.
type Disk interface {
	// Check returns nil if so many bytes could be written, else ErrFull. short means
	// that it would help if drafts that do not move gave up what they have.
	Check(bytes int64) (short bool, err error)
	// Left is how many bytes of mail the disk could take besides what it has.
	Left() int64
	// Wrote records that so many bytes of mail are on the disk now.
	Wrote(bytes int64)
	// IsFull returns whether a write found the disk full, and none is sure to succeed since.
	IsFull() bool
}

// endless is the Disk of a queue that is on none of this machine's.
type endless struct{}

func (endless) Check(int64) (bool, error) { return false, nil }
func (endless) Left() int64               { return math.MaxInt64 / 2 }
func (endless) Wrote(int64)               {}
func (endless) IsFull() bool              { return false }

// Share is what one draft has of the room.
type Share struct {
	room   *Room
	client string
	size   int64     // that has arrived
	bytes  int64     // of that what is not on the disk yet
	moved  time.Time // when the last of them came
	stored bool      // some are on the disk
	giveUp func()    // removes these
	taken  bool      // by others: the draft is dead
	whole  bool      // all has arrived
}

// Limits are how far a queue may be filled.
type Limits struct {
	MaxMessages int                          // 0 = no limit
	Queued      func() int                   // messages in the queue
	Uses        iter.Seq2[string, spool.Use] // what each client has in the queue
	Disk        Disk                         // nil = none of this machine
}

// New makes the room of a queue.
func New(l Limits) *Room {
	if l.Disk == nil {
		l.Disk = endless{}
	}
	return &Room{Limits: l, Now: time.Now, shares: map[*Share]struct{}{}, away: map[string]time.Time{}}
}

// Admit returns nil if a message of a client would be accepted, else ErrFull. The
// client "" is the service itself, which no share binds.
func (r *Room) Admit(client string, size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.check(client, size)
}

// Small returns nil if there is room for something small that is not mail, else
// ErrFull.
func (r *Room) Small() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.checkSpace(0)
}

// Enter begins a draft of about size bytes, if there is room for it now. Leave ends it.
// giveUp is called, once at most and at any time, when others need the room of a draft
// that does not move.
func (r *Room) Enter(client string, size int64, giveUp func()) (*Share, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(client, size); err != nil {
		return nil, err
	}
	h := &Share{room: r, client: client, moved: r.Now(), giveUp: giveUp}
	r.shares[h] = struct{}{}
	return h, nil
}

// Leave ends a draft.
func (h *Share) Leave() {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	delete(h.room.shares, h)
}

// Add reserves room for n bytes that have arrived, or returns ErrFull. A draft that
// had lost its share needs a free place in the queue again.
func (h *Share) Add(n int64) error {
	r := h.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.taken {
		return errTaken()
	}
	err := r.checkSpace(n)
	if r.lost(h) {
		err = r.check(h.client, h.bytes+n)
	}
	if err != nil {
		return r.turnAway(h.client, err)
	}
	if h.size/lookAgain != (h.size+n)/lookAgain {
		if err := r.checkDisk(h.client, h.size); err != nil {
			return err
		}
	}
	h.size, h.bytes, h.moved = h.size+n, h.bytes+n, r.Now()
	return nil
}

// Complete ends the arrival of a draft: from now on nobody takes its room. ErrFull, if
// somebody has.
func (h *Share) Complete() error {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
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

// Wrote records that n of the bytes are on the disk now.
func (h *Share) Wrote(n int64) {
	r := h.room
	r.mu.Lock()
	defer r.mu.Unlock()
	h.bytes, h.stored = h.bytes-n, true
	r.Disk.Wrote(n)
}

func (r *Room) lost(h *Share) bool { return !h.whole && r.Now().Sub(h.moved) >= Patience }

// reclaim takes the room of drafts that do not move.
func (r *Room) reclaim() {
	for h := range r.shares {
		if r.lost(h) && h.stored && !h.taken {
			h.taken = true
			go h.giveUp()
		}
	}
}

// moving counts the drafts that keep their share, and the bytes that they have reserved.
func (r *Room) moving() (drafts int, bytes int64) {
	for h := range r.shares {
		if !r.lost(h) {
			drafts, bytes = drafts+1, bytes+h.bytes
		}
	}
	return drafts, bytes
}

func (r *Room) check(client string, need int64) error {
	if err := r.checkRoom(need); err != nil {
		return r.turnAway(client, err)
	}
	return r.checkShare(client)
}

// turnAway remembers that a client has mail for which there is no room.
func (r *Room) turnAway(client string, err error) error {
	if client != "" {
		r.away[client] = r.Now()
	}
	return err
}

// checkShare refuses a client that would fill the queue or its disk for the others.
// The room on the disk is what the queue has and what it may still take.
func (r *Room) checkShare(client string) error {
	if client == "" {
		return nil
	}
	has, all := r.uses()
	clients, its := len(has), has[client]
	if spool.Overdrawn(int64(r.MaxMessages), int64(all.Messages), int64(its.Messages), clients) {
		return Full(fmt.Sprintf("Client has its share of the queue: %d messages, and others have mail, too",
			its.Messages),
			"see why they are not sent (graphrelay status), or raise queue.max_messages",
			fmt.Sprintf("%d of %d messages are in the queue, of %d clients", all.Messages, r.MaxMessages, clients))
	}
	return r.checkDisk(client, 0)
}

// checkDisk is checkShare of the disk alone. own is what has arrived of the body that
// asks: whoever has nothing else may finish one message, however large.
func (r *Room) checkDisk(client string, own int64) error {
	if client == "" {
		return nil
	}
	has, all := r.uses()
	clients, its := len(has), has[client].Plus(0, -own)
	if room := all.Bytes + r.Disk.Left(); spool.Overdrawn(room, all.Bytes, its.Bytes, clients) {
		return Full(fmt.Sprintf("Client has its share of the queue's disk: %d MiB, and others have mail, too",
			its.Bytes>>20),
			"free space on the disk of queue.store, or lower queue.min_free_space",
			fmt.Sprintf("%d of %d MiB are used by the queue, of %d clients", all.Bytes>>20, room>>20, clients))
	}
	return nil
}

// uses is what each client has in the queue and in drafts, and what all have. It has
// the clients that were lately turned away, too.
func (r *Room) uses() (has map[string]spool.Use, all spool.Use) {
	has = map[string]spool.Use{}
	add := func(client string, u spool.Use) {
		all = all.Plus(u.Messages, u.Bytes)
		if client != "" {
			has[client] = has[client].Plus(u.Messages, u.Bytes)
		}
	}
	for client, u := range r.Uses {
		add(client, u)
	}
	for h := range r.shares {
		if !r.lost(h) {
			add(h.client, spool.Use{Messages: 1, Bytes: h.size})
		}
	}
	for client, at := range r.away {
		if r.Now().Sub(at) >= spool.AwayFor {
			delete(r.away, client)
			continue
		}
		add(client, spool.Use{})
	}
	return has, all
}

func (r *Room) checkRoom(need int64) error {
	drafts, _ := r.moving()
	if n := r.Queued() + drafts; r.MaxMessages > 0 && n >= r.MaxMessages {
		return Full(fmt.Sprintf("Queue is full: it has %d messages, as many as queue.max_messages allows", n),
			"see why they are not sent (graphrelay status), or raise queue.max_messages", "")
	}
	return r.checkSpace(need)
}

func (r *Room) checkSpace(need int64) error {
	_, reserved := r.moving()
	short, err := r.Disk.Check(reserved + need)
	if short {
		r.reclaim()
	}
	return err
}

// Full is an ErrFull with its cause.
func Full(headline, remedy, detail string) error {
	return fmt.Errorf("%w: %w", spool.ErrFull, text.Cause{Headline: headline, Remedy: remedy, Detail: detail})
}
