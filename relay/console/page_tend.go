package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/state"
)

// need is what needs attention, with what the console can do about it.
type need struct {
	state.Alarm
	Hold       string // key of the hold that a button tries
	Audit      bool   // by an audit
	TryAll     bool   // a button makes all mail try now
	Href, Link string
}

// needsOf are the reasons why a service is not well. Where a remedy is a command for
// what a page or a button does, it leads there.
func needsOf(h state.Health, holds []state.Hold) (list []need) {
	for _, r := range h.Reasons {
		n := need{Alarm: r}
		for _, hold := range holds {
			if state.AlarmKey(hold.Key) == r.Key {
				n.Hold = hold.Key
				_, n.Audit = state.AuditedIdentity(hold.Key)
			}
		}
		switch kind, of, _ := strings.Cut(r.Key, ":"); kind {
		case "refused":
			n.Href, n.Link = "/refusals?"+url.Values{"q": {of}}.Encode(), "Show its refusals"
			n.Remedy, _, _ = strings.Cut(n.Remedy, "; see also graphrelay")
		case "queue":
			if of == "depth" {
				n.Href, n.Link = "/messages", "Show messages"
				who, _, _ := strings.Cut(n.Remedy, "see graphrelay")
				n.Remedy = who + "select those of a flood, and hold or delete them"
				break
			}
			if of == "log" {
				break // of files in a folder
			}
			n.Href, n.Link = "/messages?state=held", "Show held messages"
			n.Remedy = "read why, then retry, release or delete"
		case "damaged":
			n.Href, n.Link = "/messages?state=damaged", "Show damaged messages"
			n.Remedy = "check the disk, then retry them; restore or delete the rest"
		case "old":
			n.Href, n.Link = "/messages?"+url.Values{"mailbox": {of}}.Encode(), "Show its messages"
			n.Remedy = "read why on their pages"
		case "configuration":
			n.Href, n.Link = "/setup", "Show why"
			n.Remedy = "correct the file, then read it again on the page Setup"
		case "credential", "certificate":
			n.Href, n.Link = "/setup", "Show when it expires"
		case "outage":
			n.TryAll = true
			n.Remedy, _, _ = strings.Cut(n.Remedy, "to try now: graphrelay")
			n.Remedy = strings.TrimSuffix(n.Remedy, "; ")
		}
		list = append(list, n)
	}
	return list
}

// tryHold probes a hold now; that of an audit by an audit.
func (c *Console) tryHold(w http.ResponseWriter, r *http.Request, s *session) {
	key := r.PostFormValue("key")
	if key == "" || !slices.Contains(c.Operator.Probe(key, envelope.Address{}), key) {
		c.fail(w, r, s, http.StatusConflict, "This hold has ended in the meantime.")
		return
	}
	c.did(r, "operator requested a probe of holds", "key", key)
	http.Redirect(w, r, "/?noted=hold", http.StatusSeeOther)
}

// tryAll makes all that waits try now; the mailboxes then show what must still wait.
func (c *Console) tryAll(w http.ResponseWriter, r *http.Request, _ *session) {
	c.Operator.TryAll()
	c.did(r, "operator made all mail try now")
	http.Redirect(w, r, "/?noted=try", http.StatusSeeOther)
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
	"try":    "All mail that waits is being tried now, except where Microsoft has named a later time.",
	"audit":  "The audit has been started. Its result appears here within a minute.",
	"reload": "The configuration has been read again and is in force.",
}

func noted(r *http.Request) string { return notes[r.URL.Query().Get("noted")] }
