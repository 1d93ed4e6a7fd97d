package monitor

import (
	"encoding/json"
	"net/http"
)

// The states of Health.Status.
const (
	OK       = "ok"
	Degraded = "degraded" // it runs, and an operator is needed
	Dead     = "dead"     // it does not answer
)

// Health is the answer to a probe.
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

// Judge tells degraded from well, and whether mail is accepted. It is pure.
func Judge(s Snapshot) Health {
	h := Health{Status: OK, Ready: true, Reasons: []Reason{}}
	unready := func(key, text string) {
		h.Ready = false
		h.Reasons = append(h.Reasons, Reason{key, text})
	}
	switch {
	case s.Unhealthy != nil:
		unready("store", s.Unhealthy.Error())
	case s.Full != nil:
		unready("disk", s.Full.Error())
	}
	if s.Stopping {
		unready("stopping", "the service is stopping; start it again")
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

// health asks for a snapshot and judges it.
func (m *Monitor) health(r *http.Request) Health {
	ctx, cancel := contextFor(r)
	defer cancel()
	s, err := m.cfg.Snapshot(ctx)
	if err != nil {
		return Health{Status: Dead, Reasons: []Reason{{"snapshot", "the store does not answer: " + err.Error() + "; look at the log, and restart the service if it does not recover"}}}
	}
	return Judge(s)
}

func answerHealth(w http.ResponseWriter, h Health, well bool) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h)
}
