package spool

import (
	"math/rand/v2"
	"testing"
)

func TestOverdrawn(t *testing.T) {
	for name, c := range map[string]struct {
		room, used, its int64
		clients         int
		want            bool
	}{
		"alone":                      {20, 19, 19, 1, false},
		"half is used":               {20, 10, 10, 2, false},
		"more than half, its share":  {20, 11, 10, 2, true},
		"more than half, less":       {20, 19, 9, 2, false},
		"a third":                    {20, 11, 6, 3, true},
		"nothing of its own":         {20, 20, 0, 2, false},
		"more clients than messages": {2, 2, 0, 3, false},
		"no bound":                   {0, 11, 10, 2, false},
	} {
		if got := Overdrawn(c.room, c.used, c.its, c.clients); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Whoever comes in whatever order, a client with less than its share is refused only
// where there is no room, and no client goes beyond its share once another has mail
// and half of the room is used.
func TestSharesLeaveRoomForEachClient(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 13))
		clients, room := 2+r.IntN(5), int64(10+r.IntN(100))
		its, used := make([]int64, clients), int64(clients)
		for i := range its {
			its[i] = 1
		}
		for range 500 {
			i := r.IntN(clients) * r.IntN(2) // the first one floods
			over := Overdrawn(room, used, its[i], clients)
			switch share := room / int64(clients); {
			case over && its[i] < share:
				t.Fatalf("seed %d: a client with %d of its share of %d is refused", seed, its[i], share)
			case over || used == room:
				continue
			case used > room/2 && its[i] >= max(share, 1):
				t.Fatalf("seed %d: a client with %d goes beyond its share of %d", seed, its[i], share)
			}
			its[i], used = its[i]+1, used+1
		}
	}
}
