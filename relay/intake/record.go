package intake

import (
	"slices"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
)

// maxDomains is how many domains of one refused message are recorded.
const maxDomains = 5

// Refused implements smtpd.Handler.
func (in *Intake) Refused(p smtpd.Peer, s smtpd.Session, e *reply.Error) {
	if own, ok := s.(*session); ok {
		own.record(e)
		return
	}
	(&session{in: in, peer: p}).record(e)
}

// record hands over what is kept of a refusal. Whoever is no client, and may be
// anybody, has only an address and a reason.
func (s *session) record(e *reply.Error) {
	k := spool.RefusalKey{Addr: s.peer.Addr.Addr(), Code: e.Code, Status: e.Enhanced, Reason: e.Reason().Cause}
	domains := []string{""}
	if s.client.Name != "" {
		k.Client, k.Login = s.client.Name, s.client.Login
		if s.tx != nil {
			k.Sender, domains = s.tx.author, s.tx.domains()
			if k.Sender.IsZero() {
				k.Sender = s.tx.from.Path
			}
		}
	}
	s.in.OnRefusal(k, domains)
}

// domains are those of the recipients that a refusal concerns, each once; one that
// is empty, where there is none.
func (t *transaction) domains() (list []string) {
	for _, to := range t.about {
		if d := to.Domain(); !slices.Contains(list, d) && len(list) < maxDomains {
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		list = []string{""}
	}
	return list
}
