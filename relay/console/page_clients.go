package console

import (
	"net/http"
	"time"
)

// maxClients bounds the clients on their page.
const maxClients = 200

type client struct {
	Name, Addr         untrusted
	Accepted, Rejected int
	Bytes              int64
	Last, RefusedAt    time.Time
	Status             string
	Step               string
	Reply, Why         untrusted
}

func (c *Console) clients(w http.ResponseWriter, r *http.Request, s *session) {
	seen := c.Seen.Clients()
	var list []client
	for _, v := range seen[:min(len(seen), maxClients)] {
		list = append(list, client{untrusted(v.Name), untrusted(v.Addr), v.Accepted, v.Rejected, v.Bytes, v.Last, v.RefusedAt, v.Status.Text(), v.Step, untrusted(v.Reply), untrusted(v.Why)})
	}
	c.show(w, r, s, http.StatusOK, "clients", page{Title: "Clients", Active: "clients", Live: true, Body: list})
}
