package console

import (
	"net/http"

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
