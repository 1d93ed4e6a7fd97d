package console

import (
	"net/http"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/state"
)

// maxClients bounds the clients on their page.
const maxClients = 200

type client struct {
	Name, Addr         foreign
	Accepted, Rejected int
	Bytes              int64
	Last, RefusedAt    time.Time
	Status             string
	Step               string
	Reply, Why         foreign
}

func (c *Console) clients(w http.ResponseWriter, r *http.Request, s *session) {
	seen := c.Seen.Clients()
	var list []client
	for _, v := range seen[:min(len(seen), maxClients)] {
		list = append(list, client{foreign(v.Name), foreign(v.Addr), v.Accepted, v.Rejected, v.Bytes, v.Last, v.RefusedAt, v.Status.Text(), v.Step, foreign(v.Reply), foreign(v.Why)})
	}
	c.show(w, r, s, http.StatusOK, "clients", page{Title: "Clients", Active: "clients", Live: true, Body: list})
}

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
	c.show(w, r, s, http.StatusOK, "setup", page{Title: "Setup", Active: "setup", Body: v})
}

type testForm struct {
	Senders  []foreign
	From, To foreign
}

func (c *Console) testForm(from, to string) testForm {
	f := testForm{From: foreign(from), To: foreign(to)}
	for _, a := range c.Setup().Senders {
		f.Senders = append(f.Senders, foreign(a.String()))
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
		c.show(w, r, s, code, "test", page{Title: "Test mail", Active: "test", Error: foreign(text).String(), Body: c.testForm(r.PostFormValue("from"), r.PostFormValue("to"))})
	}
	if errFrom != nil || errTo != nil {
		again(http.StatusUnprocessableEntity, "Write one address, as in you@example.org, in each field.")
		return
	}
	id, err := c.Operator.TestMail(r.Context(), from, to)
	if err != nil {
		again(http.StatusUnprocessableEntity, "The relay refused the mail: "+err.Error())
		return
	}
	c.Log.Info("console: test mail", "queue_id", string(id), "client_addr", clientAddr(r).String())
	http.Redirect(w, r, "/messages/"+string(id), http.StatusSeeOther)
}
