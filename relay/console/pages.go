package console

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// maxClients bounds the clients on their page.
const maxClients = 200

// client is a state.Client with its texts made safe to show.
type client struct {
	state.Client
	Name, Addr untrusted
	Status     string
	Reply, Why untrusted
}

func (c *Console) clients(w http.ResponseWriter, r *http.Request, s *session) {
	seen := c.Seen.Clients()
	var list []client
	for _, v := range seen[:min(len(seen), maxClients)] {
		list = append(list, clientOf(v))
	}
	c.show(w, r, s, http.StatusOK, "clients", page{Title: "Clients", Active: "clients", Live: true, Body: list})
}

func clientOf(v state.Client) client {
	return client{v, untrusted(v.Name), untrusted(v.Addr), v.Status.Text(), untrusted(v.Reply), untrusted(v.Why)}
}

// clientView is the page of one client: an entry of clients: with its addresses.
type clientView struct {
	Name                  untrusted
	Query                 template.URL // of its messages
	Accepted, Refused     int
	Bytes                 int64
	Addrs                 []client
	Rows                  []row
	Refusals              []refusal
	Waiting, Held, Failed string // how many; "1,000+" for more than a page
}

func (c *Console) client(w http.ResponseWriter, r *http.Request, s *session) {
	name := r.PathValue("name")
	v := clientView{Name: untrusted(name), Query: template.URL(url.Values{"q": {name}}.Encode())}
	for _, seen := range c.Seen.Clients() {
		if seen.Name == name {
			v.Addrs = append(v.Addrs, clientOf(seen))
			v.Accepted, v.Refused, v.Bytes = v.Accepted+seen.Accepted, v.Refused+seen.Refusals, v.Bytes+seen.Bytes
		}
	}
	records, err := c.Store.List(r.Context(), spool.Filter{Client: name, Newest: true, Limit: maxOfClient})
	for _, rec := range records {
		v.Rows = append(v.Rows, rowOf(rec, c.Now()))
	}
	refused, refusedErr := c.refusalsOf(r.Context(), spool.RefusalFilter{Client: name, Limit: maxOfClient})
	v.Refusals, err = refused, cmp.Or(err, refusedErr)
	for _, count := range []struct {
		n      *string
		states []spool.State
	}{
		{&v.Waiting, append(spool.Waiting(), spool.Sending)}, {&v.Held, []spool.State{spool.Held}},
		{&v.Failed, []spool.State{spool.Failed}},
	} {
		f := spool.Filter{Client: name, States: count.states, Limit: spool.MaxPage}
		page, countErr := c.Store.List(r.Context(), f)
		err = cmp.Or(err, countErr)
		if *count.n = grouped(len(page)); len(page) == spool.MaxPage {
			*count.n += "+"
		}
	}
	if err != nil {
		c.broken(w, r, s, err)
		return
	}
	c.show(w, r, s, http.StatusOK, "client", page{Title: "Client " + v.Name.String(), Active: "clients", Body: v})
}

// maxOfClient bounds the messages on the page of a client.
const maxOfClient = 20

type setupView struct {
	Setup
	state.Snapshot
	AuditOf map[string]state.Audit // by identity
	Soon    time.Time              // what expires before it needs attention
}

func (c *Console) setup(w http.ResponseWriter, r *http.Request, s *session) {
	snap, err := c.Snapshot(r.Context())
	if err != nil {
		c.broken(w, r, s, err)
		return
	}
	v := setupView{Setup: c.Setup(), Snapshot: snap, AuditOf: map[string]state.Audit{}, Soon: c.Now().AddDate(0, 0, 21)}
	for _, a := range snap.Audits {
		v.AuditOf[a.Identity] = a
	}
	c.show(w, r, s, http.StatusOK, "setup", page{Title: "Setup", Active: "setup", Note: noted(r), Body: v})
}

type testForm struct {
	Senders  []untrusted
	From, To untrusted
}

func (c *Console) testForm(from, to string) testForm {
	f := testForm{From: untrusted(from), To: untrusted(to)}
	for _, a := range c.Setup().Senders {
		f.Senders = append(f.Senders, untrusted(a.String()))
	}
	return f
}

func (c *Console) testPage(w http.ResponseWriter, r *http.Request, s *session) {
	c.show(w, r, s, http.StatusOK, "test", page{Title: "Test mail", Active: "test", Body: c.testForm("", "")})
}

func (c *Console) sendTest(w http.ResponseWriter, r *http.Request, s *session) {
	from, errFrom := envelope.ParseAddress(r.PostFormValue("from"))
	to, errTo := envelope.ParseAddress(r.PostFormValue("to"))
	again := func(code int, text string) {
		c.show(w, r, s, code, "test", page{
			Title: "Test mail", Active: "test", Error: untrusted(text).String(),
			Body: c.testForm(r.PostFormValue("from"), r.PostFormValue("to")),
		})
	}
	if errFrom != nil || errTo != nil {
		again(http.StatusUnprocessableEntity, "Enter one address in each field, such as you@example.org.")
		return
	}
	id, err := c.Operator.TestMail(r.Context(), from, to)
	if err != nil {
		again(http.StatusUnprocessableEntity, "The relay refused the mail: "+err.Error())
		return
	}
	c.Log.Info("sent a test mail", "component", "console",
		"queue_id", string(id), "client_addr", clientAddr(r).String())
	http.Redirect(w, r, "/messages/"+string(id), http.StatusSeeOther)
}
