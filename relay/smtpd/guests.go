package smtpd

import (
	"net/netip"
	"slices"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// maxGuests is how many guests may come from one place.
const maxGuests = 20

// guest is a connection that must log in before it may send.
type guest struct {
	c     *conn
	known bool // somebody has lately logged in from its place
	place guestPlace
	timer *time.Timer
	asked bool // to leave
}

// guestPlace is what one peer has to itself.
type guestPlace struct {
	network netip.Prefix
	user    string // of a unix socket
}

// seat enters a connection that the handler has judged. If there are too many, the
// oldest guest makes room, strangers first; where there is none, the refusal is that
// of c.
func (r *registry) seat(c *conn, s Standing) *reply.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s != Client {
		r.invite(c, s)
	}
	if len(r.open)-r.parting <= r.max {
		return nil
	}
	oldest := r.oldest(func(g *guest) bool { return g.c != c && !g.known })
	if oldest == nil && s != Stranger {
		oldest = r.oldest(func(g *guest) bool { return g.c != c })
	}
	if oldest == nil {
		r.refused++
		return errManyConnections
	}
	r.dismiss(oldest, errManyGuests.Becausef("all of smtp.max_connections are taken; "+
		"find out who opens so many, or raise that number"))
	return nil
}

// invite enters c among the guests.
func (r *registry) invite(c *conn, s Standing) {
	g := &guest{c: c, known: s == Known, place: guestPlace{envelope.NetworkOf(c.peer.Addr.Addr()), c.peer.User}}
	near := func(o *guest) bool { return o.place == g.place }
	stranger := func(o *guest) bool { return !o.known }
	half := max(1, r.max/2)
	switch {
	case r.count(near) >= maxGuests:
		r.dismiss(r.oldest(near), errManyGuests.Becausef("%d connections from there have not logged in; "+
			"find out who opens them, or add the network to networks of a client", maxGuests))
	case !g.known && r.count(stranger) >= half:
		r.dismiss(r.oldest(stranger), errManyGuests.Becausef("%d connections in all have not logged in, "+
			"which is half of smtp.max_connections; find out who opens them, or raise that number", half))
	}
	r.guests = append(r.guests, g)
	c.guest = g
	g.timer = time.AfterFunc(c.cfg.GuestTimeout, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.dismiss(g, errIdle.Becausef("it had not logged in after %s; set a user name and a password in the client, "+
			"or add its address to networks of a client", c.cfg.GuestTimeout))
	})
}

func (r *registry) count(which func(*guest) bool) (n int) {
	for _, g := range r.guests {
		if which(g) {
			n++
		}
	}
	return n
}

// oldest is the guest that came first, or nil.
func (r *registry) oldest(which func(*guest) bool) *guest {
	if i := slices.IndexFunc(r.guests, which); i >= 0 {
		return r.guests[i]
	}
	return nil
}

// dismiss asks a guest to leave; one that does not is cut off.
func (r *registry) dismiss(g *guest, e *reply.Error) {
	if !slices.Contains(r.guests, g) {
		return
	}
	r.drop(g)
	g.asked = true
	r.parting++
	g.c.part(e)
	g.c.cancel()
	g.timer = time.AfterFunc(farewell, g.c.kill)
}

// drop takes g off the list, and returns whether it was asked to leave.
func (r *registry) drop(g *guest) (asked bool) {
	g.timer.Stop()
	r.guests = slices.DeleteFunc(r.guests, func(o *guest) bool { return o == g })
	return g.asked
}

// promote makes a client of a guest.
func (r *registry) promote(c *conn) {
	if c.guest == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.guest.asked {
		r.drop(c.guest)
		c.guest = nil
	}
}
