package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

const (
	pageSize  = 50
	maxHeader = 64 << 10 // bytes of a header block that are shown
)

// shownStates are the choices of the state filter.
var shownStates = []choice{
	{"", "all states"}, {"waiting", "waiting"}, {"held", "held"}, {"sent", "sent"}, {"failed", "failed"},
	{"damaged", "damaged"}, {"deleted", "deleted"},
}

type choice struct{ Value, Text string }

type list struct {
	Query, State, Mailbox string
	States                []choice
	Rows                  []row
	Next                  string // query of the next page; "" on the last
	First                 string // query of the first page; "" there
	Fault                 untrusted
}

// row is a message as lists and its own page show it.
type row struct {
	ID         string
	State      string
	Class      string
	Accepted   time.Time
	Subject    untrusted
	From       untrusted
	To         untrusted
	Recipients int
	Client     untrusted
	Mailbox    untrusted
	Size       int64
	Words      untrusted
}

func (c *Console) messages(w http.ResponseWriter, r *http.Request, s *session) {
	q := r.URL.Query()
	v := list{
		Query: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Mailbox: q.Get("mailbox"), States: shownStates,
	}
	if id, err := envelope.ParseQueueID(v.Query); err == nil {
		http.Redirect(w, r, "/messages/"+string(id), http.StatusSeeOther)
		return
	}
	filters, err := filtersOf(v.Query, v.State, v.Mailbox, q.Get("after"))
	if err != nil {
		v.Fault = untrusted(err.Error())
	} else if err := c.fill(r.Context(), &v, filters); err != nil {
		c.broken(w, r, s, err)
		return
	}
	if q.Get("after") != "" {
		v.First = v.link("")
	}
	c.show(w, r, s, http.StatusOK, "messages", page{Title: "Messages", Active: "messages", Live: true, Body: v})
}

// fill reads one more message than a page shows, to know whether more follow.
func (c *Console) fill(ctx context.Context, v *list, filters []spool.Filter) error {
	records, err := c.search(ctx, filters, pageSize+1)
	if err != nil {
		return err
	}
	holds, err := c.Store.Holds(ctx)
	if err != nil {
		return err
	}
	if len(records) > pageSize {
		records = records[:pageSize]
		v.Next = v.link(string(records[pageSize-1].ID))
	}
	for _, rec := range records {
		v.Rows = append(v.Rows, rowOf(rec, holds, c.Now()))
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

func rowOf(r spool.Record, holds []spool.Hold, now time.Time) row {
	v := row{
		ID: string(r.ID), State: string(r.State), Class: classOf(r.State), Accepted: r.Accepted, Size: r.Size,
		Subject: subject(r.Subject), From: untrusted(r.From.String()), Recipients: len(r.Envelope.Recipients),
		Client: untrusted(r.Client.Name), Mailbox: untrusted(r.Mailbox.String()),
		Words: untrusted(explain(r, holds, now)),
	}
	if to := r.Envelope.Recipients; len(to) > 0 {
		v.To = untrusted(to[0].String())
	}
	if r.State == spool.Queued {
		for _, h := range holds {
			if operator.Stops(h, r.Mailbox, r.From) && h.Covers(r.Message) {
				v.State, v.Class = "on hold", "bad"
			}
		}
		if v.Class == "plain" && r.Attempts > 0 {
			v.State, v.Class = "deferred", "warn"
		}
	}
	return v
}

func classOf(s spool.State) string {
	switch s {
	case spool.Sent:
		return "good"
	case spool.Held, spool.Failed, spool.Bounced, spool.Damaged:
		return "bad"
	}
	return "plain"
}

// detail is the page of one message.
type detail struct {
	row
	ReversePath, Everyone, MessageID untrusted
	Helo, Login, Addr                untrusted
	Attempts                         int
	Next, Last                       time.Time
	Status, RequestID                untrusted
	Header                           untrusted
	Cut, NoHeader                    bool
	History                          []step
	Actions                          []action
	Asked                            *action // on the page that asks
}

type step struct {
	At       time.Time
	Words    string
	Attempt  int
	Status   string
	HTTP     int
	Text     untrusted
	Request  untrusted
	Duration time.Duration
}

func (c *Console) message(w http.ResponseWriter, r *http.Request, s *session) {
	d, ok := c.find(w, r, s)
	if !ok {
		return
	}
	c.show(w, r, s, http.StatusOK, "message", page{Title: "Message " + d.ID, Active: "messages", Live: true, Body: d})
}

// find reads the message that the path names, or answers with the reason why not.
func (c *Console) find(w http.ResponseWriter, r *http.Request, s *session) (*detail, bool) {
	id, err := envelope.ParseQueueID(r.PathValue("id"))
	if err != nil {
		c.fail(w, r, s, http.StatusNotFound, "This is not a queue ID: "+err.Error()+".")
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
	holds, err := c.Store.Holds(ctx)
	if err != nil {
		return nil, err
	}
	events, err := c.Store.History(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &detail{
		row: rowOf(rec, holds, c.Now()), ReversePath: untrusted("<" + rec.Envelope.ReversePath.String() + ">"),
		Everyone: addresses(rec.Envelope.Recipients), MessageID: untrusted(rec.MessageID),
		Helo: untrusted(rec.Client.Helo), Login: untrusted(rec.Client.Login), Addr: untrusted(rec.Client.String()),
		Attempts: rec.Attempts, Last: rec.LastAttempt, Actions: actionsFor(rec.State),
		Status: untrusted(rec.LastStatus.Text()), RequestID: untrusted(rec.LastRequest),
	}
	if rec.State == spool.Queued {
		d.Next = rec.NextAttempt
	}
	for _, e := range events {
		d.History = append(d.History, step{
			e.At, eventWords(e.Kind), e.Attempt, e.Status.Text(), e.HTTPStatus,
			untrusted(e.Text), untrusted(e.RequestID), e.Duration,
		})
	}
	d.Header, d.Cut, err = c.header(ctx, rec)
	d.NoHeader = err != nil
	return d, nil
}

var errNoHeader = errors.New("the stored message has been deleted")

// header reads the header block; the page is shown without one that cannot be read.
func (c *Console) header(ctx context.Context, r spool.Record) (untrusted, bool, error) {
	if r.BodyGone {
		return "", false, errNoHeader
	}
	f, err := c.Store.Open(ctx, r.ID)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, min(r.HeaderSize, maxHeader)))
	return untrusted(strings.TrimRight(string(b), "\r\n")), r.HeaderSize > maxHeader, err
}
