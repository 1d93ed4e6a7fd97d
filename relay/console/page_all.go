package console

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

// changeTime bounds how long the answer to a change of many messages may take.
const changeTime = 15 * time.Minute

// all is a change of all messages that a search finds: the page that asks for it, and
// the page that says what was done.
type all struct {
	Asked    action
	Count    operator.Counted
	Search   untrusted    // in words
	Query    template.URL // of the messages page
	Progress *operator.Progress
	Errors   []untrusted
}

// actionsForAll are those that a search can be followed by.
func actionsForAll(state string) []action {
	if state == "" {
		return []action{retry, hold, release, remove}
	}
	states, _ := spool.ParseStates(state)
	for _, s := range states {
		if list := actionsFor(s); list != nil {
			return list
		}
	}
	return nil
}

// confirmAll asks before a change of all messages that a search finds, and says how
// many they are.
func (c *Console) confirmAll(w http.ResponseWriter, r *http.Request, s *session) {
	v, change, ok := c.changeOfAll(w, r, s)
	if !ok {
		return
	}
	var err error
	if v.Count, err = c.Operator.Count(r.Context(), change); err != nil {
		c.broken(w, r, s, err)
		return
	}
	c.show(w, r, s, http.StatusOK, "confirm_all", page{Title: v.Asked.Text, Active: "messages", Body: v})
}

// actAll makes the change to what was counted; what came later is left out.
func (c *Console) actAll(w http.ResponseWriter, r *http.Request, s *session) {
	v, change, ok := c.changeOfAll(w, r, s)
	if !ok {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(changeTime))
	ctx := context.WithoutCancel(r.Context()) // it is finished whoever waits for it
	err := c.Operator.Change(ctx, change, func(p operator.Progress) error { v.Progress = &p; return nil })
	if err != nil {
		c.broken(w, r, s, err)
		return
	}
	for _, text := range v.Progress.Errors {
		v.Errors = append(v.Errors, untrusted(text))
	}
	c.Log.Info("operator changed messages", "component", "console", "action", string(change.Action),
		"changed", v.Progress.Changed, "skipped", v.Progress.Skipped, "client_addr", clientAddr(r).String())
	c.show(w, r, s, http.StatusOK, "confirm_all", page{Title: v.Asked.Text, Active: "messages", Body: v})
}

// changeOfAll reads what the query asks for, or answers with what is wrong with it.
func (c *Console) changeOfAll(
	w http.ResponseWriter, r *http.Request, s *session,
) (v all, _ operator.Change, ok bool) {
	q := r.URL.Query()
	list := actionsForAll(q.Get("state"))
	i := slices.IndexFunc(list, func(a action) bool { return string(a.Name) == r.PathValue("action") })
	id, f, err := filterOf(q.Get("q"), q.Get("state"), q.Get("mailbox"), "", c.Now())
	if err != nil || i < 0 {
		c.fail(w, r, s, http.StatusNotFound, "This cannot be done to the messages of this search.")
		return v, operator.Change{}, false
	}
	until, err := time.Parse(time.RFC3339Nano, r.PostFormValue("until"))
	if err != nil {
		until = c.Now()
	}
	v = all{Asked: list[i], Search: untrusted(inWords(q)), Query: template.URL(q.Encode())}
	change, err := c.selected(r.Context(), list[i].Name, id, f, until)
	if err != nil {
		c.broken(w, r, s, err)
	}
	return v, change, err == nil
}

// selected is the change of all that a search selects, up to a time.
func (c *Console) selected(
	ctx context.Context, do operator.Action, id envelope.QueueID, f spool.Filter, until time.Time,
) (operator.Change, error) {
	change := operator.Change{Action: do, By: byConsole}
	if id != "" { // it selects this one alone
		change.IDs = []envelope.QueueID{id}
		return change, nil
	}
	if f.Newest = false; len(f.States) == 0 {
		f.States = do.States()
	}
	if f.Until.IsZero() || f.Until.After(until) {
		f.Until = until
	}
	var err error
	change.Filter, err = c.widen(ctx, f)
	return change, err
}

// inWords is a search as a person would say it.
func inWords(q url.Values) string {
	words := "all messages"
	if state := q.Get("state"); state != "" {
		words = "all " + state + " messages"
	}
	if mailbox := q.Get("mailbox"); mailbox != "" {
		words += " of mailbox " + mailbox
	}
	if text := strings.TrimSpace(q.Get("q")); text != "" {
		words += " found for “" + text + "”"
	}
	return words
}
