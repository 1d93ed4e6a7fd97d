package hold

import (
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// IdentityKey names the hold of an identity that Graph or Entra refuses.
func IdentityKey(identity string) string { return "identity:" + identity }

// MailboxKey names the hold of a mailbox that Graph refuses. The mailbox is
// written as its Key, so that two spellings share one hold.
func MailboxKey(m envelope.Address) string { return "mailbox:" + m.Key() }

// RouteKey names the hold of a mailbox that the configuration does not have.
func RouteKey(m envelope.Address) string { return "route:" + m.Key() }

// SendAsKey names the hold of a From address that a mailbox may not send as.
func SendAsKey(m, from envelope.Address) string { return "sendas:" + m.Key() + " from " + from.Key() }

// Keys are the holds that an answer to a message may begin or end, the widest first.
func Keys(identity string, r spool.Record) []string {
	keys := []string{IdentityKey(identity), MailboxKey(r.Mailbox), SendAsKey(r.Mailbox, r.From)}
	if r.Client.Name != "" {
		keys = append(keys, spool.ClientKey(r.Mailbox, r.Client.Name))
	}
	return keys
}

// ScopeKey names the hold that an answer with this scope begins.
func ScopeKey(scope outcome.Scope, identity string, r spool.Record) string {
	switch scope {
	case outcome.ScopeIdentity:
		return IdentityKey(identity)
	case outcome.ScopeSendAs:
		return SendAsKey(r.Mailbox, r.From)
	case outcome.ScopeClient:
		return spool.ClientKey(r.Mailbox, r.Client.Name)
	default:
		return MailboxKey(r.Mailbox)
	}
}

// ForLarge is the hold that a refusal of a message with more than above bytes begins
// now, where the way that such messages of the mailbox take is to blame.
func ForLarge(identity string, mailbox envelope.Address, above int64, now time.Time) spool.Hold {
	return spool.Hold{
		Key: spool.LargeKey(mailbox, above), Mailbox: mailbox, Above: above, Identity: identity,
		Since: now, NextProbe: now.Add(ProbeAfter(0)),
	}
}

// ForScope is the hold that a refusal of message r begins now.
func ForScope(scope outcome.Scope, identity string, r spool.Record, now time.Time) spool.Hold {
	h := spool.Hold{
		Key: ScopeKey(scope, identity, r), Identity: identity, Since: now, NextProbe: now.Add(ProbeAfter(0)),
	}
	if scope != outcome.ScopeIdentity {
		h.Mailbox = r.Mailbox
	}
	if scope == outcome.ScopeClient {
		h.Client = r.Client.Name
	}
	if scope == outcome.ScopeSendAs {
		h.From = r.From
	}
	return h
}

// MissingRoute is the hold of a mailbox that the configuration does not name.
func MissingRoute(m envelope.Address, now time.Time) spool.Hold {
	return spool.Hold{
		Key: RouteKey(m), Mailbox: m, Status: reply.Enhanced{4, 3, 5}, Since: now, NextProbe: now,
		Text: "No sender in the configuration uses this mailbox; add it under senders: and reload, " +
			"or delete its messages with graphrelay queue delete",
	}
}

// ForAudit is the hold of an identity that an audit found not restricted. text
// is for the operator and ends with a remedy.
func ForAudit(identity, text string, now time.Time) spool.Hold {
	return spool.Hold{
		Key: state.AuditKey(identity), Identity: identity, Status: reply.Enhanced{4, 7, 1}, Text: text,
		Since: now, NextProbe: now.Add(maxProbeGap),
	}
}
