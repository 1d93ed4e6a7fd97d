package disk

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/room"
)

// sharedSpace is newSpace with room for 20 messages and what each client has.
func sharedSpace() (*roomOnDisk, map[string]spool.Use, *time.Time) {
	uses, now := map[string]spool.Use{}, time.Unix(1_800_000_000, 0)
	queued := 0
	s, _ := newSpace(&queued)
	s.MaxMessages, s.Uses = 20, func(yield func(string, spool.Use) bool) { maps.All(uses)(yield) }
	s.Queued = func() (n int) {
		for _, u := range uses {
			n += u.Messages
		}
		return n
	}
	s.Now = func() time.Time { return now }
	return s, uses, &now
}

type has map[string]spool.Use

func TestOneClientLeavesRoomForTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		uses  has
		cause string // "" = admitted
	}{
		"alone":          {has{"a": {Messages: 18}}, ""},
		"with reports":   {has{"a": {Messages: 14}, "": {Messages: 4}}, ""},
		"half":           {has{"a": {Messages: 9}, "b": {Messages: 1}}, ""},
		"its share":      {has{"a": {Messages: 10}, "b": {Messages: 1}}, "share of the queue: 10"},
		"less":           {has{"a": {Messages: 8}, "b": {Messages: 10}}, ""},
		"large, alone":   {has{"a": {Messages: 1, Bytes: 5_000_000}}, ""},
		"large":          {has{"a": {Messages: 2, Bytes: 5_000_000}, "b": {Messages: 9}}, "disk: 4 MiB"},
		"small by large": {has{"a": {Messages: 2, Bytes: 9}, "b": {Messages: 2, Bytes: 5_000_000}}, ""},
		"half the disk":  {has{"a": {Messages: 2, Bytes: 599_000}, "b": {Messages: 1, Bytes: 900}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, uses, _ := sharedSpace()
			maps.Copy(uses, c.uses)
			err := s.Admit("a", 1)
			if c.cause == "" && err != nil || c.cause != "" && (!errors.Is(err, spool.ErrFull) ||
				!strings.Contains(err.Error(), c.cause)) {
				t.Errorf("got %v; want %q", err, c.cause)
			}
			if _, entered := s.Enter("a", 1, func() {}); (entered == nil) != (err == nil) {
				t.Errorf("MAIL gets %v, its message %v", err, entered)
			}
			if err := s.Admit("", 1); err != nil {
				t.Errorf("the service's own mail: %v", err)
			}
			if err := s.Admit("c", 1); err != nil {
				t.Errorf("a client without mail: %v", err)
			}
		})
	}
}

func TestMailUnderWayCountsForItsClient(t *testing.T) {
	s, uses, _ := sharedSpace()
	uses["a"], uses["b"] = spool.Use{Messages: 9}, spool.Use{Messages: 1}
	draft, err := s.Enter("a", 1, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Admit("a", 1); !errors.Is(err, spool.ErrFull) {
		t.Errorf("with a message under way: %v", err)
	}
	draft.Leave()
	if err := s.Admit("a", 1); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// A client that begins many bodies while there is room does not fill the disk for the
// others with them, but for the last that it finishes; one alone it may always finish.
func TestBodiesUnderWayDoNotFillTheDisk(t *testing.T) {
	s, uses, _ := sharedSpace()
	s.known = Free{Bytes: 100 << 20, Inodes: -1}
	s.Measure = func(string) (Free, error) { return s.known, nil } // which follows what is written
	uses["b"] = spool.Use{Messages: 1, Bytes: 1 << 20}
	var drafts []*room.Share
	for range 8 {
		d, err := s.Enter("a", 0, func() {})
		if err != nil {
			t.Fatal(err)
		}
		drafts = append(drafts, d)
	}
	refused, sizes, used := 0, make([]int64, len(drafts)), int64(1<<20)
	for range 20 << 20 / 4096 {
		for i, d := range drafts {
			if d == nil {
				continue
			}
			if err := d.Add(4096); err != nil {
				if !errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), "share of the queue's disk") {
					t.Fatal(err)
				}
				d.Leave()
				s.SetInside(s.inside + sizes[i]) // what was on the disk is removed
				used -= sizes[i]
				drafts[i] = nil
				refused++
				continue
			}
			sizes[i], used = sizes[i]+4096, used+4096
			d.Wrote(4096)
		}
	}
	if refused == 0 || refused == len(drafts) || used > 72<<20 {
		t.Errorf("%d of %d bodies are refused, and %d MiB are used", refused, len(drafts), used>>20)
	}
	big, err := s.Enter("c", 0, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if err := big.Add(1 << 20); err != nil {
			t.Fatalf("its only message: %v", err)
		}
		big.Wrote(1 << 20)
	}
}

func TestWhoWasTurnedAwayHasMailForAnHour(t *testing.T) {
	s, uses, now := sharedSpace()
	uses["a"] = spool.Use{Messages: 20}
	if err := s.Admit("b", 1); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("a full queue: %v", err)
	}
	uses["a"] = spool.Use{Messages: 19}
	if err := s.Admit("a", 1); !errors.Is(err, spool.ErrFull) {
		t.Errorf("the place is taken by who filled the queue: %v", err)
	}
	if err := s.Admit("b", 1); err != nil {
		t.Errorf("the place is refused to who waits: %v", err)
	}
	*now = now.Add(spool.AwayFor)
	if err := s.Admit("a", 1); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}
