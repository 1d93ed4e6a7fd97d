package sqlite

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/spool"
)

// newRoom makes a room with 1,000,000 octets free, of which 400,000 must stay.
func newRoom(queued *int) (*room, *space) {
	sp := &space{octets: 1_000_000, inodes: 1000}
	return &room{
		path: "/var/lib/graphrelay/queue.db", minFree: 400_000, maxMessages: 3,
		statfs: func(string) (space, error) { return *sp, nil },
		queued: func() int { return *queued },
	}, sp
}

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(r *room, sp *space, queued *int)
		size   int64
		remedy string // "" = admitted
	}{
		{"empty", func(*room, *space, *int) {}, 400_000, ""},
		{"half as much again is wanted", func(*room, *space, *int) {}, 400_001, "free space"},
		{"a draft under way", func(r *room, _ *space, _ *int) { _ = r.begin(200_000) }, 200_000, ""},
		{"a draft under way and no more", func(r *room, _ *space, _ *int) { _ = r.begin(200_000) }, 200_001, "min_free_space"},
		{"a draft that is over", func(r *room, _ *space, _ *int) { _ = r.begin(400_000); r.end(400_000) }, 400_000, ""},
		{"what a draft wrote is used up, not promised", func(r *room, _ *space, _ *int) {
			_ = r.begin(200_000)
			_ = r.wrote(200_000, 0)
		}, 266_666, ""},
		{"two are queued, one is under way", func(r *room, _ *space, q *int) { *q = 2; _ = r.begin(1) }, 1, "max_messages"},
		{"two are queued", func(_ *room, _ *space, q *int) { *q = 2 }, 1, ""},
		{"no inodes", func(_ *room, sp *space, _ *int) { sp.inodes = 7 }, 1, "inodes"},
		{"inodes are not counted", func(_ *room, sp *space, _ *int) { sp.inodes = -1 }, 1, ""},
		{"no ballast", func(r *room, _ *space, _ *int) { r.setFull(true) }, 1, "free space"},
		{"not measurable", func(r *room, _ *space, _ *int) {
			r.statfs = func(string) (space, error) { return space{}, os.ErrPermission }
		}, 1, "let the user"},
	} {
		var queued int
		r, sp := newRoom(&queued)
		c.do(r, sp, &queued)
		err := r.admit(c.size)
		if c.remedy == "" && err != nil || c.remedy != "" && (!errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), c.remedy)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.remedy)
		}
	}
}

// TestRoomBeyondDeclared wants a draft that exceeds what it declared to stop
// when there is no room for the rest.
func TestRoomBeyondDeclared(t *testing.T) {
	var queued int
	r, _ := newRoom(&queued)
	if err := r.begin(100_000); err != nil {
		t.Fatal(err)
	}
	if err := r.wrote(100_000, 300_000); err != nil {
		t.Errorf("there was room: %v", err)
	}
	if err := r.wrote(0, 400_000); !errors.Is(err, spool.ErrFull) {
		t.Errorf("there was no room: %v", err)
	}
}

// TestRoomMeasuresSeldom wants one statfs for many messages.
func TestRoomMeasuresSeldom(t *testing.T) {
	var queued, calls int
	r, sp := newRoom(&queued)
	r.statfs = func(string) (space, error) { calls++; return *sp, nil }
	for range 1000 {
		if err := r.admit(1); err != nil {
			t.Fatal(err)
		}
	}
	if calls > 5 {
		t.Errorf("%d measurements for 1000 messages", calls)
	}
}

func TestMaxMessages(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: newPath(t), MaxMessages: 2, BallastSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	if err := s.Admit(1); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Admit of a third: %v", err)
	}
	if err := tryAccept(s, newMessage(t, "box@example.org"), []byte("body")); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Begin of a third: %v", err)
	}
	if err := s.Move(t.Context(), first.ID, spool.Failed, time.Time{}, "no more", start()); err != nil {
		t.Fatal(err)
	}
	accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
}

// TestBallast wants real blocks behind the ballast.
func TestBallast(t *testing.T) {
	path := newPath(t)
	for _, size := range []int64{1 << 20, 300_000, 0} {
		if err := makeBallast(path, size); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Errorf("a ballast of %d octets: %v, %v", size, info, err)
		}
	}
}
