package console

import (
	"net/http"
	"time"

	"graphrelay/relay/envelope"
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
		list = append(list, client{
			v, untrusted(v.Name), untrusted(v.Addr), v.Status.Text(), untrusted(v.Reply), untrusted(v.Why),
		})
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
