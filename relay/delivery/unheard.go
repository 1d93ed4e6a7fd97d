package delivery

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// A code that no row of the catalogue names fails one message alone. From so many
// messages on, within so long, it is taken for a fault of what they share.
const (
	unheardMessages = 3
	unheardWithin   = 10 * time.Minute
)

// unheardHold is the status of the holds that begin so.
var unheardHold = reply.Enhanced{4, 0, 0}

// oneRefusal is one message that met a code which nobody has heard of.
type oneRefusal struct {
	id     envelope.QueueID
	client string // "" for the service's own mail
	at     time.Time
}

// unheard remembers such refusals of the last minutes, by mailbox and code.
type unheard struct {
	mu   sync.Mutex
	seen map[[2]string][]oneRefusal
}

// note adds a refusal and returns those that share its mailbox and code.
func (u *unheard) note(mailbox envelope.Address, code string, r oneRefusal) []oneRefusal {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen == nil {
		u.seen = map[[2]string][]oneRefusal{}
	}
	for key, list := range u.seen {
		list = slices.DeleteFunc(list, func(o oneRefusal) bool {
			return o.id == r.id || r.at.Sub(o.at) >= unheardWithin
		})
		if u.seen[key] = list; len(list) == 0 {
			delete(u.seen, key)
		}
	}
	key := [2]string{mailbox.Key(), strings.ToLower(code)}
	u.seen[key] = append(u.seen[key], r)
	return slices.Clone(u.seen[key])
}

// forget drops what is known of a mailbox: a message has passed, and a hold is over.
func (u *unheard) forget(mailbox envelope.Address) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.seen, func(key [2]string, _ []oneRefusal) bool { return key[0] == mailbox.Key() })
}

// inCommon decides what is to be held: the mailbox where messages of two clients,
// or one of the service's own, met the same code, else the turns of the client.
// holds are those in force in the mailbox that the same code began. It is pure.
func inCommon(seen []oneRefusal, holds []spool.Hold) (scope outcome.Scope, ok bool) {
	last := seen[len(seen)-1]
	several := slices.ContainsFunc(seen, func(r oneRefusal) bool { return r.client == "" || r.client != last.client })
	for _, h := range holds {
		several = several || h.Client != last.client
	}
	switch {
	case len(seen) < unheardMessages && len(holds) == 0:
		return outcome.ScopeMessage, false
	case several:
		return outcome.ScopeMailbox, true
	}
	return outcome.ScopeClient, true
}

// shared is the answer to a message, changed where others have met the same code
// that nobody has heard of.
func (d *Delivery) shared(a answer, now time.Time) outcome.Answer {
	ans := a.Answer
	if a.damaged || a.verdict != nil || ans.Code == "" || ans.Outcome != outcome.Bounce ||
		ans.Status != (reply.Enhanced{5, 0, 0}) {
		return ans
	}
	seen := d.unheard.note(a.rec.Mailbox, ans.Code, oneRefusal{a.rec.ID, clientOf(a.rec), now})
	holds := slices.DeleteFunc(d.holds.List(), func(h spool.Hold) bool {
		return !h.Mailbox.Equal(a.rec.Mailbox) || h.Status != unheardHold || !strings.Contains(h.Text, " "+ans.Code)
	})
	scope, ok := inCommon(seen, holds)
	if !ok {
		return ans
	}
	ans.Outcome, ans.Scope, ans.Status = outcome.Hold, scope, unheardHold
	ans.Text = "Microsoft 365 refuses several messages for the same unknown reason"
	ans.Advice = "look up the code; the messages that failed before can be retried with graphrelay queue retry"
	return ans
}

// clientOf is the client whose message it is; "" for reports and test mail.
func clientOf(rec spool.Record) string {
	return rec.Turn().Client
}
