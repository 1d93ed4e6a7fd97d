package console

import (
	"net/http"

	"graphrelay/relay/envelope"
)

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
