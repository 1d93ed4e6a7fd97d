package message

import (
	"strings"

	"graphrelay/relay/reply"
)

// Bounds on the hops of a message: RFC 5321 section 6.3 asks for at least 100 if
// nothing else is counted, but a relay of last resort on a local network that
// sees thirty hops, or itself again and again, is in a loop.
const (
	maxHops = 30
	maxOwn  = 3
)

// Hops counts the Received fields, and those of them that a graphrelay of this
// host name wrote: "by HOSTNAME (graphrelay)". The name alone would also count
// a mail server on the same host, which may well pass a message several times.
func (h *Header) Hops(hostname string) (all, own int) {
	mark := " by " + strings.ToLower(hostname) + " (graphrelay) "
	for _, f := range h.fields {
		if !equalFold(h.name(f), "Received") {
			continue
		}
		all++
		words := strings.Fields(string(h.value(f)))
		if strings.Contains(" "+strings.ToLower(strings.Join(words, " "))+" ", mark) {
			own++
		}
	}
	return all, own
}

// CheckLoop refuses, 554 5.4.6, a message with more than 30 Received fields, or
// one that was here three times.
func (h *Header) CheckLoop(hostname string) error {
	all, own := h.Hops(hostname)
	if all <= maxHops && own < maxOwn {
		return nil
	}
	return reply.New(554, reply.Enhanced{5, 4, 6}, "Too many hops, this message is in a mail loop").
		Becausef("header has %d Received fields, %d of them of this relay; they show who sends mail back here, "+
			"such as a connector or a forwarding rule", all, own)
}
