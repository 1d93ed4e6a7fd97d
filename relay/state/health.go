package state

import "fmt"

// The states of Health.Status.
const (
	OK       = "ok"
	Degraded = "degraded" // running, but an operator is needed
	Dead     = "dead"     // not answering
)

// Health is how well the service is, as probes read it.
type Health struct {
	Status  string   `json:"status"`
	Ready   bool     `json:"ready"` // mail is accepted
	Reasons []Reason `json:"reasons"`
}

// Reason is why a service is not well, and what to do.
type Reason struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

// Judge says whether the service is well or degraded, and whether it accepts
// mail. It is pure.
func Judge(s Snapshot) Health {
	h := Health{Status: OK, Ready: s.Refusal() == nil && !s.Stopping, Reasons: []Reason{}}
	switch {
	case s.Unhealthy != nil:
		h.Reasons = append(h.Reasons, Reason{keyStore, s.Unhealthy.Error()})
	case s.Full != nil:
		h.Reasons = append(h.Reasons, Reason{keyDisk, s.Full.Error()})
	}
	if s.Stopping {
		h.Reasons = append(h.Reasons, Reason{"stopping", "the service is stopping; start it again"})
	}
	for _, a := range s.Alarms {
		if len(h.Reasons) == 0 || h.Reasons[0].Key != a.Key {
			h.Reasons = append(h.Reasons, Reason{a.Key, a.Text})
		}
	}
	if len(h.Reasons) > 0 {
		h.Status = Degraded
	}
	return h
}

// Summary is the snapshot in one line.
func (s Snapshot) Summary() string {
	line := fmt.Sprintf("%d queued, %d deferred, %d paused, %d sending, %d held, %d failed; %d connections",
		s.Queued, s.Deferred, s.Paused, s.Sending, s.Held, s.Failed, s.Connections)
	switch {
	case s.Unhealthy != nil:
		return "no mail is accepted, the queue is unhealthy; " + line
	case s.Full != nil:
		return "no mail is accepted, the queue is full; " + line
	}
	return line
}
