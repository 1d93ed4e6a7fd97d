package state

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The states of Health.Status.
const (
	OK       = "ok"
	Degraded = "degraded" // running, but an operator is needed
	Dead     = "dead"     // not answering
)

// Keys of faults that stop mail at the door.
const (
	keyStore    = "store"
	keyDisk     = "disk"
	keyStopping = "stopping"
)

// keyRefused begins the keys of clients whose mail is refused.
const keyRefused = "refused:"

// keyOutage is the fault that Microsoft does not answer.
const keyOutage = "outage"

// Health is how well the service is, as probes read it.
type Health struct {
	Status  string  `json:"status"`
	Ready   bool    `json:"ready"` // mail is accepted
	Reasons []Alarm `json:"reasons"`
}

// Outline is a Health for everybody who can reach the address of the probes: what
// is wrong in kind and since when, without names, addresses and words of others.
type Outline struct {
	Status  string   `json:"status"`
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons"`
}

// Reason is the kind of some alarms: of their keys what is before the name.
type Reason struct {
	Key     string    `json:"key"`
	Since   time.Time `json:"since"`             // of the oldest
	Warning bool      `json:"warning,omitempty"` // of all of them
}

// Outline leaves out of h what is not for everybody.
func (h Health) Outline() Outline {
	o := Outline{h.Status, h.Ready, []Reason{}}
	for _, a := range h.Reasons {
		key, name, _ := strings.Cut(a.Key, ":")
		if scope, _, _ := strings.Cut(name, ":"); key == "hold" || key == "queue" {
			key += ":" + scope
		}
		i := slices.IndexFunc(o.Reasons, func(r Reason) bool { return r.Key == key })
		if i < 0 {
			o.Reasons = append(o.Reasons, Reason{key, a.Since, a.Warning})
			continue
		}
		r := &o.Reasons[i]
		r.Warning = r.Warning && a.Warning
		if a.Since.Before(r.Since) {
			r.Since = a.Since
		}
	}
	return o
}

// Judge says whether the service is well or degraded, whether it accepts mail, and
// why not: the faults of the snapshot and the alarms that other parts raised, the
// worst first, each once. It is pure.
func Judge(s Snapshot, now time.Time) Health {
	h := Health{Status: OK, Ready: s.Ready(), Reasons: []Alarm{}}
	found := Faults(s, now)
	if s.Stopping {
		found[keyStopping] = Fault{
			Headline: "The service is stopping", Remedy: "start it again: systemctl start graphrelay",
			Meanwhile: "no mail is accepted; what was accepted is kept",
		}
	}
	for _, a := range s.Alarms {
		f, known := found[a.Key]
		if !known {
			f = a.Fault
		}
		f.Since = cmp.Or(f.Since, a.Since)
		found[a.Key] = f
	}
	for key, f := range found {
		f.Since = cmp.Or(f.Since, now)
		h.Reasons = append(h.Reasons, Alarm{key, f})
	}
	slices.SortFunc(h.Reasons, func(a, b Alarm) int {
		return cmp.Or(a.rank()-b.rank(), a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
	})
	if len(h.Reasons) > 0 {
		h.Status = Degraded
	}
	return h
}

// rank orders faults: what stops all mail, what stops an identity, what stops some
// mail, what stops it at a client, and what stops none.
func (a Alarm) rank() int {
	switch {
	case a.Warning && strings.HasPrefix(a.Key, keyRefused):
		return 3
	case a.Warning:
		return 4
	case a.Key == keyStore || a.Key == keyDisk || a.Key == keyStopping:
		return 0
	case a.Key == keyOutage, strings.HasPrefix(a.Key, "hold:"+ScopeIdentity+":"),
		strings.HasPrefix(a.Key, ScopeAudit+":"):
		return 1
	}
	return 2
}

// Summary is the snapshot in one line.
func (s Snapshot) Summary() string {
	line := fmt.Sprintf("%d queued, %d deferred, %d paused, %d sending, %d held, %d failed; %d connections",
		s.Queued, s.Deferred, s.Paused, s.Sending, s.Held, s.Failed, s.Connections)
	switch {
	case s.Unhealthy != nil:
		return "no mail is accepted, the queue is unhealthy; " + line
	case s.Unread != nil:
		return "the queue cannot be read, as it was last: " + line
	case s.Full != nil:
		return "no mail is accepted, the queue is full; " + line
	}
	return line
}
