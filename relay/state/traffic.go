package state

import (
	"math"
	"time"

	"graphrelay/relay/reply"
)

// Traffic counts what happened to messages in some time.
type Traffic struct {
	Accepted int `json:"accepted"`
	Refused  int `json:"refused"`
	Sent     int `json:"sent"`
	Deferred int `json:"deferred"`
	Paused   int `json:"paused"`
	Held     int `json:"held"`
	Failed   int `json:"failed"`
}

// Add adds the counts of another time.
func (t *Traffic) Add(o Traffic) {
	t.Accepted += o.Accepted
	t.Refused += o.Refused
	t.Sent += o.Sent
	t.Deferred += o.Deferred
	t.Paused += o.Paused
	t.Held += o.Held
	t.Failed += o.Failed
}

// Minute is what happened in one minute, or in several that were added up.
type Minute struct {
	Start time.Time
	Known bool // the service ran, at least for a part of it
	Traffic
	Unknown int // attempts whose outcome is unknown
	Waiting int // most messages in the queue

	delays [delayBuckets]uint32 // of sent messages
}

// delayBuckets are powers of two from 1 ms, so up to 12 days.
const delayBuckets = 30

// CountDelay records the time from acceptance to Graph's 202 of a sent message.
func (m *Minute) CountDelay(d time.Duration) {
	m.delays[min(delayBuckets-1, max(0, int(math.Ceil(math.Log2(max(1, float64(d)/float64(time.Millisecond)))))))]++
}

// Add adds the events of another minute; Start stays.
func (m *Minute) Add(o Minute) {
	m.Known = m.Known || o.Known
	m.Traffic.Add(o.Traffic)
	m.Unknown += o.Unknown
	m.Waiting = max(m.Waiting, o.Waiting)
	for i, n := range o.delays {
		m.delays[i] += n
	}
}

// Sum adds up minutes; its Start is that of the first.
func Sum(list []Minute) (all Minute) {
	if len(list) > 0 {
		all.Start = list[0].Start
	}
	for _, m := range list {
		all.Add(m)
	}
	return all
}

// Delay is the time from acceptance to Graph's 202 that a share of the sent
// messages (0.5: half of them) did not exceed; 0 if none was sent.
func (m Minute) Delay(share float64) time.Duration {
	want, sum := share*float64(m.Sent), 0.0
	for i, n := range m.delays {
		if sum += float64(n); n > 0 && sum >= want {
			return time.Millisecond << i
		}
	}
	return 0
}

// Client is who connected to a listener: an entry of clients: from one address.
type Client struct {
	Name, Addr         string // Name is empty for strangers
	Accepted, Refusals int
	Bytes              int64 // of accepted messages
	First, Last        time.Time
	Refused            // the last time
	InVain             InVain
}

// Refused is a refusal that a client received.
type Refused struct {
	RefusedAt time.Time
	Status    reply.Enhanced
	Step      string // of the dialog
	Reply     string // what the client received
	Why       string // for the operator; may be empty
}
