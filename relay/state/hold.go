package state

import (
	"strings"
	"time"

	"graphrelay/relay/text"
)

// Hold pauses an identity, a mailbox, or a From address in a mailbox.
type Hold struct {
	Key       string    `json:"key"`
	Since     time.Time `json:"since"`
	Status    string    `json:"status"`
	Text      string    `json:"text"`
	Probes    int       `json:"probes"`
	NextProbe time.Time `json:"next_probe"`

	// Triggers are what causes a probe before that, or ends the hold of an audit:
	// login, roles, network, credential, reload, release or audit.
	Triggers []string `json:"triggers,omitempty"`
}

// The scopes of holds: the word before the colon of a hold's key.
const (
	ScopeIdentity = "identity"
	ScopeAudit    = "audit" // an identity that an audit stopped
	ScopeMailbox  = "mailbox"
	ScopeSendAs   = "sendas" // a From address in a mailbox
	ScopeClient   = "client" // the mail of one client in a mailbox
	ScopeLarge    = "large"  // what is too large for one request of Graph, in a mailbox
)

// scopeRoute is the scope of the hold of a mailbox that no sender uses.
const scopeRoute = "route"

// Scopes lists all of them.
var Scopes = []string{ScopeIdentity, ScopeAudit, ScopeMailbox, ScopeSendAs, ScopeClient, ScopeLarge}

// Scope is what the hold pauses.
func (h Hold) Scope() string {
	scope, _, _ := strings.Cut(h.Key, ":")
	return scope
}

// Stops says whether the hold pauses a lane as a whole, or only mail from one
// address or client in it.
func (h Hold) Stops(l Lane) (whole bool, from string) {
	scope, of, _ := strings.Cut(h.Key, ":")
	switch scope {
	case ScopeMailbox, scopeRoute:
		return strings.EqualFold(of, l.Mailbox), ""
	case ScopeIdentity, ScopeAudit:
		return of == l.Identity, ""
	case ScopeSendAs:
		if mailbox, address, _ := strings.Cut(of, " from "); strings.EqualFold(mailbox, l.Mailbox) {
			return false, address
		}
	case ScopeClient:
		if mailbox, client, _ := strings.Cut(of, " of "); strings.EqualFold(mailbox, l.Mailbox) {
			return false, "client " + client
		}
	case ScopeLarge:
		if mailbox, _, _ := strings.Cut(of, " above "); strings.EqualFold(mailbox, l.Mailbox) {
			return false, "large mail"
		}
	}
	return false, ""
}

// What says what the hold pauses.
func (h Hold) What() string {
	scope, of := h.names()
	switch scope {
	case ScopeAudit:
		return ScopeIdentity + " " + of
	case ScopeSendAs:
		mailbox, address, _ := strings.Cut(of, " from ")
		return "sender " + address + " in mailbox " + mailbox
	case ScopeClient:
		mailbox, client, _ := strings.Cut(of, " of ")
		return "client " + client + " in mailbox " + mailbox
	case ScopeLarge:
		mailbox, _, _ := strings.Cut(of, " above ")
		return "large mail of mailbox " + mailbox
	case ScopeIdentity:
		return scope + " " + of
	}
	return ScopeMailbox + " " + of
}

// Cause is why the hold pauses it.
func (h Hold) Cause() text.Cause {
	c := text.ReadCause(h.Text)
	if scope, of := h.names(); scope != ScopeIdentity && scope != ScopeAudit {
		mailbox, _, _ := strings.Cut(of, " above ")
		c.Headline = about(c.Headline, mailbox)
	}
	return c
}

// names takes the key apart, for people.
func (h Hold) names() (scope, of string) {
	scope, of, _ = strings.Cut(text.Line(h.Key), ":")
	return scope, of
}

// next says when the hold may end.
func (h Hold) next(now time.Time) string {
	switch {
	case h.Scope() == ScopeAudit:
		return "; sending resumes when an audit passes"
	case h.NextProbe.After(now):
		return "; the next try is at " + h.NextProbe.Local().Format("15:04:05 MST")
	}
	return "; it is being tried again"
}

// AlarmKey is the key of the alarm about a hold. That of an audit is the audit's
// own: it is one fault.
func AlarmKey(hold string) string {
	if _, audited := AuditedIdentity(hold); audited {
		return hold
	}
	return "hold:" + hold
}

// AuditKey is the key of the hold, and of the alarm, that an audit of an identity
// causes.
func AuditKey(identity string) string { return ScopeAudit + ":" + identity }

// AuditedIdentity returns the identity that the hold with this key stops because
// of an audit: only an audit that passes ends it, no probe.
func AuditedIdentity(key string) (identity string, ok bool) {
	return strings.CutPrefix(key, ScopeAudit+":")
}
