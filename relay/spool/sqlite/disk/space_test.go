package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/room"
)

// roomOnDisk is what a store has room for, and the Space that it is on.
type roomOnDisk struct {
	*room.Room
	*Space
}

// newSpace makes room on a disk with 1,000,000 bytes free, of which 400,000 must stay.
func newSpace(queued *int) (*roomOnDisk, *Free) {
	sp := &Free{Bytes: 1_000_000, Inodes: 1000}
	s := &roomOnDisk{Space: NewSpace("/var/lib/graphrelay/queue.db", 400_000)}
	s.Room = room.New(room.Limits{
		MaxMessages: 3, Disk: s.Space,
		Queued: func() int { return *queued },
		Uses:   func(func(string, spool.Use) bool) {},
	})
	s.Measure = func(string) (Free, error) { return *sp, nil }
	return s, sp
}

func TestSpace(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(r *roomOnDisk, sp *Free, queued *int)
		size   int64
		remedy string // "" = admitted
	}{
		{"empty", func(*roomOnDisk, *Free, *int) {}, 400_000, ""},
		{"half as much again is wanted", func(*roomOnDisk, *Free, *int) {}, 400_001, "free space"},
		{"a draft under way", func(r *roomOnDisk, _ *Free, _ *int) { reserve(r, 200_000) }, 200_000, ""},
		{"a draft under way and no more", func(r *roomOnDisk, _ *Free, _ *int) {
			reserve(r, 200_000)
		}, 200_001, "min_free_space"},
		{"a draft that is over", func(r *roomOnDisk, _ *Free, _ *int) {
			reserve(r, 400_000).Leave()
		}, 400_000, ""},
		{"what a draft wrote is used up, not promised", func(r *roomOnDisk, _ *Free, _ *int) {
			reserve(r, 200_000).Wrote(200_000)
		}, 266_666, ""},
		{"two are queued, one is under way", func(r *roomOnDisk, _ *Free, q *int) {
			*q = 2
			reserve(r, 1)
		}, 1, "max_messages"},
		{"two are queued", func(_ *roomOnDisk, _ *Free, q *int) { *q = 2 }, 1, ""},
		{"no inodes", func(_ *roomOnDisk, sp *Free, _ *int) { sp.Inodes = 7 }, 1, "inodes"},
		{"inodes are not counted", func(_ *roomOnDisk, sp *Free, _ *int) { sp.Inodes = -1 }, 1, ""},
		{"no ballast", func(r *roomOnDisk, _ *Free, _ *int) { r.SetFull(true) }, 1, "free space"},
		{"not measurable", func(r *roomOnDisk, _ *Free, _ *int) {
			r.Measure = func(string) (Free, error) { return Free{}, os.ErrPermission }
		}, 1, "give the service"},
	} {
		var queued int
		r, sp := newSpace(&queued)
		c.do(r, sp, &queued)
		err := r.Admit("", c.size)
		refused := errors.Is(err, spool.ErrFull) && strings.Contains(err.Error(), c.remedy)
		if c.remedy == "" && err != nil || c.remedy != "" && !refused {
			t.Errorf("%s: %v, want %q", c.name, err, c.remedy)
		}
		// free space and inodes, sent mail, and access
		*sp, queued, r.Measure = Free{10_000_000, 1000}, 0, func(string) (Free, error) { return *sp, nil }
		r.SetFull(false)
		if err := r.Admit("", c.size); err != nil {
			t.Errorf("%s: afterwards %v", c.name, err)
		}
	}
}

// reserve begins a draft to which so many bytes have come.
func reserve(r *roomOnDisk, bytes int64) *room.Share {
	h, err := r.Enter("", 0, func() {})
	if err != nil {
		panic(err)
	}
	_ = h.Add(bytes)
	return h
}

// TestSpaceBeyondDeclared wants a draft that exceeds what it declared to stop
// when there is no room for the rest.
func TestSpaceBeyondDeclared(t *testing.T) {
	var queued int
	r, _ := newSpace(&queued)
	h, err := r.Enter("", 100_000, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Add(100_000), h.Add(300_000)); err != nil {
		t.Errorf("there was room: %v", err)
	}
	h.Wrote(400_000)
	if err := h.Add(400_000); !errors.Is(err, spool.ErrFull) {
		t.Errorf("there was no room: %v", err)
	}
}

// TestRoomIsReservedByWhatArrives wants clients that announce much and send little to
// keep nothing from others.
func TestRoomIsReservedByWhatArrives(t *testing.T) {
	var queued int
	r, _ := newSpace(&queued)
	r.MaxMessages = 0
	for range 17 {
		h, err := r.Enter("", 390_000, func() {})
		if err != nil {
			t.Fatalf("an announcement kept the room: %v", err)
		}
		if err := h.Add(30); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Admit("", 390_000); err != nil {
		t.Errorf("17 drafts of 30 bytes keep 390 KB from others: %v", err)
	}
}

// TestStalledDraftLosesItsShare wants room and place of a draft that does not move to
// be free for others, and to be checked again when it goes on.
func TestStalledDraftLosesItsShare(t *testing.T) {
	queued, now := 2, time.Now()
	r, _ := newSpace(&queued)
	r.Now = func() time.Time { return now }
	h := reserve(r, 300_000)
	if r.Admit("", 1) == nil {
		t.Fatal("a draft under way takes no place")
	}
	now = now.Add(room.Patience)
	if err := r.Admit("", 400_000); err != nil {
		t.Errorf("a draft that does not move keeps its share: %v", err)
	}
	queued = 3
	if err := h.Add(1); !errors.Is(err, spool.ErrFull) {
		t.Errorf("it goes on with the place of another: %v", err)
	}
	queued = 2
	if err := errors.Join(h.Add(1), h.Add(1)); err != nil {
		t.Errorf("it cannot go on, although there is room: %v", err)
	}
	if r.Admit("", 1) == nil {
		t.Error("a draft that goes on takes no place")
	}
}

// TestRoomOfAStalledDraftGoesToOthers wants what a draft that does not move has on the
// disk to be given up when others need it, unless all of it has arrived.
func TestRoomOfAStalledDraftGoesToOthers(t *testing.T) {
	var queued int
	now := time.Now()
	r, sp := newSpace(&queued)
	r.Now = func() time.Time { return now }
	given := make(chan string, 3)
	begin := func(name string) *room.Share {
		h, err := r.Enter("", 0, func() { given <- name })
		if err = errors.Join(err, h.Add(50_000)); err != nil {
			t.Fatal(err)
		}
		h.Wrote(50_000)
		return h
	}
	stalled, whole := begin("stalled"), begin("whole")
	if err := whole.Complete(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(room.Patience)
	moving := begin("moving")
	sp.Bytes = 410_000
	r.SetFull(false) // measures again
	for range 2 {
		if r.Admit("", 100_000) == nil {
			t.Fatal("there is no room yet")
		}
	}
	if got := <-given; got != "stalled" || len(given) > 0 {
		t.Errorf("given up: %s, and %d more", got, len(given))
	}
	for _, err := range []error{stalled.Add(1), stalled.Complete()} {
		if !errors.Is(err, spool.ErrFull) {
			t.Errorf("the stalled draft goes on: %v", err)
		}
	}
	if err := errors.Join(moving.Add(1), moving.Complete()); err != nil {
		t.Errorf("the moving draft: %v", err)
	}
}

// TestRoomInsideTheDatabase wants what drafts have left free inside the database to
// count for the next ones, as far as the log has room outside it.
func TestRoomInsideTheDatabase(t *testing.T) {
	var queued int
	r, sp := newSpace(&queued)
	sp.Bytes = 420_000
	if r.Admit("", 200_000) == nil {
		t.Fatal("there is no room yet")
	}
	r.SetInside(500_000)
	if err := r.Admit("", 200_000); err != nil {
		t.Errorf("room inside the database: %v", err)
	}
	h := reserve(r, 200_000)
	h.Wrote(200_000)
	if err := r.Admit("", 200_000); err != nil {
		t.Errorf("300 KB are left inside: %v", err)
	}
	if r.Admit("", 250_000) == nil {
		t.Error("what was written is free still")
	}
	r.SetInside(10_000_000)
	if r.Admit("", 700_000) == nil {
		t.Error("the log has no room for it")
	}
}

// TestSpaceMeasuresSeldom wants one statfs for many messages.
func TestSpaceMeasuresSeldom(t *testing.T) {
	var queued, calls int
	r, sp := newSpace(&queued)
	r.Measure = func(string) (Free, error) { calls++; return *sp, nil }
	for range 1000 {
		if err := r.Admit("", 1); err != nil {
			t.Fatal(err)
		}
	}
	if calls > 5 {
		t.Errorf("%d measurements for 1000 messages", calls)
	}
}

// TestBallast wants real blocks behind the ballast.
func TestBallast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db.ballast")
	for _, size := range []int64{1 << 20, 300_000, 0} {
		if err := MakeBallast(path, size); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Errorf("a ballast of %d bytes: %v, %v", size, info, err)
		}
	}
}
