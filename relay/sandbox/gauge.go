package sandbox

import (
	"maps"
	"sync"
)

// gauges count requests.
type gauges struct {
	mu       sync.Mutex
	now, max int
	boxes    map[string]*boxGauge
	answers  map[string]map[int]int // endpoint -> status -> count

}

type boxGauge struct{ now, max, total int }

// Stats are the counters since the double was made or reset.
type Stats struct {
	Messages      int                     `json:"messages"`       // recorded
	Octets        int64                   `json:"octets"`         // of the messages recorded
	Concurrent    int                     `json:"concurrent"`     // requests in progress
	MaxConcurrent int                     `json:"max_concurrent"` // the most that ever were
	Mailboxes     map[string]MailboxStats `json:"mailboxes"`      // sendMail, whatever came of it
	// endpoint -> status -> count; dropped connections have no status
	Answers    map[string]map[int]int `json:"answers"`
	Duplicates int                    `json:"duplicates"` // messages whose Message-ID had come before
}

// MailboxStats are the counters of one mailbox.
type MailboxStats struct {
	Requests      int `json:"requests"`
	Concurrent    int `json:"concurrent"`
	MaxConcurrent int `json:"max_concurrent"`
}

func newGauges() *gauges {
	return &gauges{boxes: map[string]*boxGauge{}, answers: map[string]map[int]int{}}
}

// enter counts a request in, and tells how many of its mailbox are in
// progress with it. An empty mailbox is not counted by mailbox.
func (g *gauges) enter(mailbox string) (crowd int, leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.max = max(g.max, g.now)
	if mailbox == "" {
		return 0, func() { g.leave(nil) }
	}
	box := g.boxes[mailbox]
	if box == nil {
		box = &boxGauge{}
		g.boxes[mailbox] = box
	}
	box.now++
	box.total++
	box.max = max(box.max, box.now)
	return box.now, func() { g.leave(box) }
}

func (g *gauges) leave(box *boxGauge) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
	if box != nil {
		box.now--
	}
}

func (g *gauges) answered(endpoint string, status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	byStatus := g.answers[endpoint]
	if byStatus == nil {
		byStatus = map[int]int{}
		g.answers[endpoint] = byStatus
	}
	byStatus[status]++
}

// Stats returns the counters of this moment.
func (d *Double) Stats() Stats {
	s := d.store.stats()
	g := d.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Concurrent, s.MaxConcurrent = g.now, g.max
	s.Mailboxes = make(map[string]MailboxStats, len(g.boxes))
	for name, box := range g.boxes {
		s.Mailboxes[name] = MailboxStats{Requests: box.total, Concurrent: box.now, MaxConcurrent: box.max}
	}
	s.Answers = make(map[string]map[int]int, len(g.answers))
	for endpoint, byStatus := range g.answers {
		s.Answers[endpoint] = maps.Clone(byStatus)
	}
	return s
}

// reset forgets everything but the requests in progress.
func (g *gauges) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max = g.now
	clear(g.answers)
	for name, box := range g.boxes {
		box.total, box.max = 0, box.now
		if box.now == 0 {
			delete(g.boxes, name)
		}
	}
}
