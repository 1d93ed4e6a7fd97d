package console

import (
	"errors"
	"net/http"
	"slices"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

// action is something that an operator can do with a message.
type action struct {
	Name   operator.Action
	Text   string
	Asks   string // before it is done
	Danger bool
}

var (
	retry   = action{operator.Retry, "Retry now", "The message is tried at once. Where the cause is not gone, it will fail again; nothing is lost.", false}
	release = action{operator.Retry, "Release and retry", "The message goes back into the queue and is tried at once.", false}
	hold    = action{operator.HoldIt, "Hold", "The message is kept and not sent until you retry it, or until queue.max_hold has passed.", false}
	remove  = action{operator.Delete, "Delete", "The message is deleted for good and reaches nobody; nobody is told. Its history stays.", true}
)

// actionsFor are those that make sense in a state.
func actionsFor(s spool.State) []action {
	switch s {
	case spool.Queued:
		return []action{retry, hold, remove}
	case spool.Held:
		return []action{release, remove}
	case spool.Failed:
		return []action{retry, remove}
	case spool.Damaged:
		return []action{remove}
	}
	return nil
}

// confirm asks before something is done.
func (c *Console) confirm(w http.ResponseWriter, r *http.Request, s *session) {
	d, ok := c.find(w, r, s)
	if !ok {
		return
	}
	i := slices.IndexFunc(d.Actions, func(a action) bool { return string(a.Name) == r.PathValue("action") })
	if i < 0 {
		c.fail(w, r, s, http.StatusConflict, "This cannot be done with the message now: it is "+d.State+".")
		return
	}
	d.Asked = &d.Actions[i]
	c.show(w, r, s, http.StatusOK, "confirm", page{Title: d.Asked.Text, Active: "messages", Body: d})
}

// act does what was confirmed.
func (c *Console) act(w http.ResponseWriter, r *http.Request, s *session) {
	id, err := envelope.ParseQueueID(r.PathValue("id"))
	if err != nil {
		c.fail(w, r, s, http.StatusNotFound, "This is no queue ID: "+err.Error()+".")
		return
	}
	do := operator.Action(r.PathValue("action"))
	if do != operator.Retry && do != operator.HoldIt && do != operator.Delete {
		c.notFound(w, r, s)
		return
	}
	switch err := c.Operator.Do(r.Context(), do, id, byConsole); {
	case errors.Is(err, spool.ErrNotFound):
		c.fail(w, r, s, http.StatusNotFound, "There is no message "+string(id)+" any more.")
	case errors.Is(err, spool.ErrState):
		c.fail(w, r, s, http.StatusConflict, "The message has changed meanwhile, and this cannot be done with it now. Look at it again.")
	case err != nil:
		c.broken(w, r, s, err)
	default:
		c.Log.Info("operator changed a message", "component", "console", "action", string(do), "queue_id", string(id), "client_addr", clientAddr(r).String())
		http.Redirect(w, r, "/messages/"+string(id), http.StatusSeeOther)
	}
}
