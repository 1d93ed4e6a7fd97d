package sandbox

import (
	"slices"
	"time"
)

// Refusal is a request that was not accepted: by the rules of the tenant or by a
// scripted fault.
type Refusal struct {
	At        time.Time `json:"at"`
	Endpoint  string    `json:"endpoint"` // sendMail, token, ...
	Mailbox   string    `json:"mailbox"`  // folded; empty where there is none
	Status    int       `json:"status"`   // of HTTP
	Code      string    `json:"code"`     // of Graph's error, or of Entra's with its AADSTS number
	Message   string    `json:"message"`  // as the client got it
	RequestID string    `json:"request_id"`
	Path      string    `json:"path"`
}

// refusalsKept bounds the refusals that are remembered.
const refusalsKept = 200

func (s *store) refuse(r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	s.refusal = append(s.refusal, r)
	if len(s.refusal) > refusalsKept {
		s.refusal = slices.Delete(s.refusal, 0, len(s.refusal)-refusalsKept)
	}
}

// Refusals lists the newest requests that were not accepted, oldest first, and
// counts all of them since New or Reset.
func (d *Double) Refusals() (newest []Refusal, count int) {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	return slices.Clone(d.store.refusal), d.store.refused
}
