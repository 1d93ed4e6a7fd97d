package console

import (
	"errors"
	"net/http"
	"slices"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

// action is something that an operator can do to a message.
type action struct {
	Name   operator.Action
	Text   string
	Asks   string // the question before it
	Danger bool
}

var (
	retry = action{operator.Retry, "Retry now",
		"The message is retried now. If the cause remains it fails again; nothing is lost. Where unknown_outcome is " +
			"lookup, a message that may have been sent already is looked up first.", false}
	release = action{operator.Release, "Release and retry",
		"The message returns to the queue and is sent now, even if it may have been sent already.", false}
	hold = action{operator.HoldIt, "Hold",
		"The message is kept and not sent until you retry it. After queue.max_hold it fails.", false}
	remove = action{operator.Delete, "Delete",
		"The message is deleted permanently, and no report is sent. Its history stays.", true}
)

// actionsFor are those that make sense in a state.
func actionsFor(s spool.State) []action {
	switch s {
	case spool.Queued:
		return []action{retry, hold, remove}
	case spool.Held:
		return []action{release, retry, remove}
	case spool.Failed:
		return []action{retry, remove}
	case spool.Damaged:
		return []action{remove}
	}
	return nil
}

// confirm asks for confirmation of an action.
func (c *Console) confirm(w http.ResponseWriter, r *http.Request, s *session) {
	d, ok := c.find(w, r, s)
	if !ok {
		return
	}
	i := slices.IndexFunc(d.Actions, func(a action) bool { return string(a.Name) == r.PathValue("action") })
	if i < 0 {
		c.fail(w, r, s, http.StatusConflict, "This is not possible now: the message is "+d.State+".")
		return
	}
	d.Asked = &d.Actions[i]
	c.show(w, r, s, http.StatusOK, "confirm", page{Title: d.Asked.Text, Active: "messages", Body: d})
}

// act carries out a confirmed action.
func (c *Console) act(w http.ResponseWriter, r *http.Request, s *session) {
	id, err := envelope.ParseQueueID(r.PathValue("id"))
	if err != nil {
		c.fail(w, r, s, http.StatusNotFound, "This is not a queue ID: "+err.Error()+".")
		return
	}
	do := operator.Action(r.PathValue("action"))
	if !do.Known() {
		c.notFound(w, r, s)
		return
	}
	switch err := c.Operator.Do(r.Context(), do, id, byConsole); {
	case errors.Is(err, spool.ErrNotFound):
		c.fail(w, r, s, http.StatusNotFound, "Message "+string(id)+" no longer exists.")
	case errors.Is(err, spool.ErrState):
		c.fail(w, r, s, http.StatusConflict,
			"The message has changed in the meantime, and this is no longer possible. Reload its page.")
	case err != nil:
		c.broken(w, r, s, err)
	default:
		c.Log.Info("operator changed a message", "component", "console", "action", string(do),
			"queue_id", string(id), "client_addr", clientAddr(r).String())
		http.Redirect(w, r, "/messages/"+string(id), http.StatusSeeOther)
	}
}
