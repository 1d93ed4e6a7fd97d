package console

import (
	"cmp"
	"context"
	"errors"
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

// pageSize bounds the messages on a page.
const pageSize = 50

// shownStates are the choices of the state filter.
func shownStates() []choice {
	list := []choice{{"", "all states"}}
	for _, s := range spool.States() {
		list = append(list, choice{string(s), string(s)})
	}
	return list
}

type choice struct{ Value, Text string }

type list struct {
	Query, State, Mailbox string
	States                []choice
	Bulk                  []action     // for all that match
	Encoded               template.URL // the search as a query
	Rows                  []row
	Next                  string // query of the next page; "" on the last
	First                 string // query of the first page; "" there
	Fault                 untrusted
}

// row is a message as lists and its own page show it.
type row struct {
	ID, State, Class                          string
	Accepted                                  time.Time
	Subject, From, To, Client, Mailbox, Words untrusted
	Recipients                                int
	Size                                      int64
}

func (c *Console) messages(w http.ResponseWriter, r *http.Request, s *session) {
	q := r.URL.Query()
	v := list{
		Query: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Mailbox: q.Get("mailbox"), States: shownStates(),
	}
	id, f, err := filterOf(v.Query, v.State, v.Mailbox, q.Get("after"), c.Now())
	if id != "" {
		http.Redirect(w, r, "/messages/"+string(id), http.StatusSeeOther)
		return
	}
	if err != nil {
		v.Fault = untrusted(err.Error())
	} else if err := c.fill(r.Context(), &v, f); err != nil {
		c.broken(w, r, s, err)
		return
	}
	if len(v.Rows) > 0 {
		v.Bulk, v.Encoded = actionsForAll(v.State), template.URL(strings.TrimPrefix(v.link(""), "/messages?"))
	}
	if q.Get("after") != "" {
		v.First = v.link("")
	}
	c.show(w, r, s, http.StatusOK, "messages", page{Title: "Messages", Active: "messages", Live: true, Body: v})
}

// fill reads one more message than a page shows, to know whether more follow.
func (c *Console) fill(ctx context.Context, v *list, f spool.Filter) error {
	records, err := c.search(ctx, f, pageSize+1)
	if err != nil {
		return err
	}
	if len(records) > pageSize {
		records = records[:pageSize]
		v.Next = v.link(string(records[pageSize-1].ID))
	}
	for _, rec := range records {
		v.Rows = append(v.Rows, rowOf(rec, c.Now()))
	}
	return nil
}

func (v list) link(after string) string {
	q := url.Values{}
	for key, value := range map[string]string{"q": v.Query, "state": v.State, "mailbox": v.Mailbox, "after": after} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return "/messages?" + q.Encode()
}

func rowOf(r spool.Record, now time.Time) row {
	classes := map[spool.State]string{
		spool.Sent: "good", spool.Deferred: "warn", spool.Paused: "bad", spool.Held: "bad", spool.Failed: "bad",
		spool.Damaged: "bad",
	}
	v := row{
		ID: string(r.ID), State: string(r.State), Class: cmp.Or(classes[r.State], "plain"),
		Accepted: r.Accepted, Size: r.Size, Recipients: len(r.Envelope.Recipients), Subject: subject(r.Subject),
		From: untrusted(r.From.String()), Client: untrusted(r.Client.Name), Mailbox: untrusted(r.Mailbox.String()),
		Words: untrusted(explain(r, now)),
	}
	if r.Bounces > 0 && r.State == spool.Sent {
		v.Class = "bad"
	}
	if to := r.Envelope.Recipients; len(to) > 0 {
		v.To = untrusted(to[0].String())
	}
	return v
}

// detail is the page of one message.
type detail struct {
	row
	ReversePath, Everyone, MessageID untrusted
	Helo, Login, Addr                untrusted
	Status, RequestID, Header        untrusted
	Attempts                         int
	Next, Last                       time.Time
	Cut, NoHeader                    bool
	Fates                            []fate // where more is known than that Microsoft accepted it
	History                          []step
	Actions                          []action
	Asked                            *action // on the page that asks
}

// fate is what became of one recipient.
type fate struct {
	At                    time.Time
	Who, Fate, Text, Host untrusted
}

func fatesOf(m spool.Message, history []spool.Event) (list []fate) {
	known := false
	for _, f := range spool.Fates(m, history) {
		word := string(f.Kind)
		known = known || f.Kind != spool.EventSent
		switch {
		case f.Kind == spool.EventSent:
			word, f.Text, f.Remote = "accepted by Microsoft", "", ""
		case f.Probable:
			word = "probably " + word
		}
		who := "not named in the bounce"
		if !f.Recipient.IsZero() {
			who = f.Recipient.String()
		}
		said := strings.TrimSpace(f.Status.Text() + " " + f.Text)
		if f.Kind == spool.EventSent {
			said = ""
		}
		list = append(list, fate{f.At, untrusted(who), untrusted(word), untrusted(said), untrusted(f.Remote)})
	}
	if !known {
		return nil
	}
	return list
}

type step struct {
	At            time.Time
	Words, Status string
	Attempt, HTTP int
	Text, Request untrusted
	Duration      time.Duration
}

func (c *Console) message(w http.ResponseWriter, r *http.Request, s *session) {
	d, ok := c.find(w, r, s)
	if !ok {
		return
	}
	c.show(w, r, s, http.StatusOK, "message", page{Title: "Message " + d.ID, Active: "messages", Live: true, Body: d})
}

// queueID returns the ID in the path, or answers with what is wrong with it.
func (c *Console) queueID(w http.ResponseWriter, r *http.Request, s *session) (envelope.QueueID, bool) {
	id, err := envelope.ParseQueueID(r.PathValue("id"))
	if err != nil {
		c.fail(w, r, s, http.StatusNotFound, "This is not a queue ID: "+err.Error()+".")
	}
	return id, err == nil
}

// find reads the message that the path names, or answers with the reason why not.
func (c *Console) find(w http.ResponseWriter, r *http.Request, s *session) (*detail, bool) {
	id, ok := c.queueID(w, r, s)
	if !ok {
		return nil, false
	}
	d, err := c.detail(r.Context(), id)
	switch {
	case errors.Is(err, spool.ErrNotFound):
		c.fail(w, r, s, http.StatusNotFound, "There is no message "+string(id)+
			": it never existed, or its history is older than queue.history.")
	case err != nil:
		c.broken(w, r, s, err)
	}
	return d, err == nil
}

func (c *Console) detail(ctx context.Context, id envelope.QueueID) (*detail, error) {
	rec, err := c.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	events, err := c.Store.History(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &detail{
		row: rowOf(rec, c.Now()), ReversePath: untrusted("<" + rec.Envelope.ReversePath.String() + ">"),
		Everyone: addresses(rec.Envelope.Recipients), MessageID: untrusted(rec.MessageID),
		Helo: untrusted(rec.Client.Helo), Login: untrusted(rec.Client.Login), Addr: untrusted(rec.Client.String()),
		Attempts: rec.Attempts, Last: rec.LastAttempt, Actions: actionsFor(rec.State),
		Status: untrusted(rec.LastStatus.Text()), RequestID: untrusted(rec.LastRequest),
	}
	if rec.State.Stored() == spool.Queued {
		d.Next = rec.NextAttempt
	}
	d.Fates = fatesOf(rec.Message, events)
	for _, e := range events {
		d.History = append(d.History, step{e.At, eventWords(e), e.Status.Text(), e.Attempt, e.HTTPStatus,
			untrusted(withoutCommand(e.Text)), untrusted(e.RequestID), e.Duration})
	}
	header, cut, err := operator.Header(ctx, c.Store, rec) // the page is shown without one that cannot be read
	d.Header, d.Cut, d.NoHeader = untrusted(strings.TrimRight(header, "\r\n")), cut, err != nil
	return d, nil
}

// action is something that an operator can do to a message.
type action struct {
	Name    operator.Action
	Text    string
	Done    string // what has happened
	Asks    string // the question before it
	AsksAll string
	Danger  bool
}

var (
	retry = action{operator.Retry, "Retry now", "Retried",
		"The message is retried now. If the cause remains it fails again; nothing is lost. Where unknown_outcome is " +
			"lookup, a message that may have been sent already is looked up first.",
		"They are retried now. If the cause remains they fail again; nothing is lost.", false}
	release = action{operator.Release, "Release and retry", "Released",
		"The message returns to the queue and is sent now, even if it may have been sent already.",
		"They are sent now, even those that may have been sent already; holds that pause others are tried now.", false}
	hold = action{operator.HoldIt, "Hold", "Held",
		"The message is kept and not sent until you release it. After queue.max_hold it fails.",
		"They are kept and not sent until you release them. After queue.max_hold they fail.", false}
	remove = action{operator.Delete, "Delete", "Deleted",
		"The message is deleted permanently, and no report is sent. Its history stays.",
		"They are deleted permanently, and no reports are sent. Their history stays.", true}
)

// actionsFor are those that make sense in a state.
func actionsFor(s spool.State) []action {
	return map[spool.State][]action{
		spool.Queued: {retry, hold, remove}, spool.Deferred: {retry, hold, remove},
		spool.Paused: {retry, hold, remove}, spool.Held: {release, retry, remove},
		spool.Failed: {retry, remove}, spool.Damaged: {retry, remove},
	}[s]
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
	id, ok := c.queueID(w, r, s)
	if !ok {
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
