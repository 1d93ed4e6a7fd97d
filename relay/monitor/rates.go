package monitor

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/state"
)

// The last hour of a client, in spans. A span counts separately what came from one
// address to the same recipients: a device in a loop says the same again and again,
// a batch says it to everybody. maxLoops bounds the memory; whoever has more than a
// share of 1/maxLoops of a span is among those that are counted.
const (
	spanTime  = 5 * time.Minute
	spanCount = int64(time.Hour / spanTime)
	maxLoops  = 32
)

type span struct {
	number int64 // of its time
	total  int
	loops  map[loop]int
}

type loop struct {
	addr string
	to   uint64
}

// rates counts the messages of clients, by label.
type rates struct {
	mu      sync.Mutex
	clients map[string]*[spanCount]span
}

// count adds a message that was accepted.
func (r *rates) count(now time.Time, client string, l loop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients == nil {
		r.clients = map[string]*[spanCount]span{}
	}
	if r.clients[client] == nil {
		r.clients[client] = new([spanCount]span)
	}
	number := now.Unix() / int64(spanTime/time.Second)
	s := &r.clients[client][number%spanCount]
	if s.number != number {
		*s = span{number: number, loops: map[loop]int{}}
	}
	s.total++
	if s.loops[l] > 0 || len(s.loops) < maxLoops {
		s.loops[l]++
		return
	}
	for other := range s.loops { // Misra and Gries: what is rare makes room
		if s.loops[other]--; s.loops[other] == 0 {
			delete(s.loops, other)
		}
	}
}

// lastHour returns what the clients sent, the busiest first.
func (r *rates) lastHour(now time.Time) (list []state.ClientHour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := now.Unix()/int64(spanTime/time.Second) - spanCount + 1
	for client, spans := range r.clients {
		h, loops := state.ClientHour{Client: client}, map[loop]int{}
		for _, s := range spans {
			if s.number < first {
				continue
			}
			h.Messages += s.total
			for l, n := range s.loops {
				loops[l] += n
			}
		}
		for l, n := range loops {
			if n > h.Same || n == h.Same && l.addr < h.Addr {
				h.Same, h.Addr = n, l.addr
			}
		}
		if h.Messages > 0 {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b state.ClientHour) int {
		return cmp.Or(b.Messages-a.Messages, cmp.Compare(a.Client, b.Client))
	})
	return list
}

// LastHour is what each client sent in the last hour, the busiest first.
func (m *Monitor) LastHour() []state.ClientHour { return m.rates.lastHour(m.cfg.Now()) }
