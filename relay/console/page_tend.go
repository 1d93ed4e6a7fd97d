package console

import (
	"net/http"
	"slices"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/state"
)

// heldScope is a hold on the overview, with the button that tries it.
type heldScope struct {
	state.Hold
	What, Why untrusted
	Audit     bool // only an audit ends it
}

func holdsOf(list []state.Hold) (shown []heldScope) {
	for _, h := range list {
		_, what, _ := strings.Cut(h.Key, ":")
		_, audit := state.AuditedIdentity(h.Key)
		what = scopes[h.Scope()] + " " + what
		shown = append(shown, heldScope{h, untrusted(what), untrusted(sentence(h.Text)), audit})
	}
	return shown
}

// scopes name what a hold stops.
var scopes = map[string]string{
	state.ScopeIdentity: "Identity", state.ScopeAudit: "Identity", state.ScopeMailbox: "Mailbox",
	state.ScopeSendAs: "Mailbox", state.ScopeClient: "Mailbox",
}

// tryHold probes a hold now; that of an audit by an audit.
func (c *Console) tryHold(w http.ResponseWriter, r *http.Request, s *session) {
	key := r.PostFormValue("key")
	if key == "" || !slices.Contains(c.Operator.Probe(key, envelope.Address{}), key) {
		c.fail(w, r, s, http.StatusConflict, "This hold has ended in the meantime.")
		return
	}
	c.did(r, "operator requested a probe of holds", "key", key)
	http.Redirect(w, r, "/?noted=hold#holds", http.StatusSeeOther)
}

// audit proves now that an identity is restricted.
func (c *Console) audit(w http.ResponseWriter, r *http.Request, _ *session) {
	identity := r.PostFormValue("identity")
	c.Audit(identity)
	c.did(r, "operator requested an audit", "identity", identity)
	http.Redirect(w, r, "/setup?noted=audit", http.StatusSeeOther)
}

// reload reads the configuration again.
func (c *Console) reload(w http.ResponseWriter, r *http.Request, s *session) {
	c.did(r, "operator requested a reload")
	if err := c.Reload(r.Context()); err != nil {
		c.fail(w, r, s, http.StatusUnprocessableEntity,
			"The configuration was not loaded, and the previous one stays in force. "+sentence(err.Error()))
		return
	}
	http.Redirect(w, r, "/setup?noted=reload", http.StatusSeeOther)
}

func (c *Console) did(r *http.Request, what string, attrs ...any) {
	c.Log.Info(what, append(attrs, "component", "console", "client_addr", clientAddr(r).String())...)
}

// notes say after a redirect what was begun.
var notes = map[string]string{
	"hold":   "The hold is being tried with one message. It ends if Microsoft accepts that.",
	"audit":  "The audit has been started. Its result appears here within a minute.",
	"reload": "The configuration has been read again and is in force.",
}

func noted(r *http.Request) string { return notes[r.URL.Query().Get("noted")] }
