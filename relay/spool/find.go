package spool

import (
	"net/netip"
	"slices"
	"strings"

	"graphrelay/relay/envelope"
)

// Alternatives are the filters that together select what Find asks for: an IP address is
// meant as a whole; an address is that of a recipient or a sender, or a Message-ID;
// whatever else is part of something. It is pure.
func (f Filter) Alternatives() []Filter {
	text := strings.TrimSpace(f.Find)
	if f.Find = ""; text == "" {
		return []Filter{f}
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		f.ClientIP = ip.Unmap()
		return []Filter{f}
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">")
	recipient, sender, id := f, f, f
	id.MessageID = "<" + bare + ">"
	a, err := envelope.ParseAddress(bare)
	switch {
	case err == nil:
		recipient.Recipient, sender.Sender = a, a
		return []Filter{recipient, sender, id}
	case bare != text:
		return []Filter{id}
	}
	f.Part = text
	return []Filter{f}
}

// found returns whether a message is what Find, Part and the parts of addresses ask for.
func (f Filter) found(r Record) bool {
	e := r.Envelope
	if f.RecipientPart != "" && !slices.ContainsFunc(e.Recipients, partOf(f.RecipientPart)) ||
		f.SenderPart != "" && !slices.ContainsFunc([]envelope.Address{r.From, e.ReversePath}, partOf(f.SenderPart)) {
		return false
	}
	if f.Find != "" {
		return slices.ContainsFunc(f.Alternatives(), func(one Filter) bool { return one.Matches(r) })
	}
	return f.Part == "" || slices.ContainsFunc(e.Recipients, partOf(f.Part)) || slices.ContainsFunc(
		[]string{r.From.String(), e.ReversePath.String(), r.Subject, r.MessageID, r.Client.Name},
		func(s string) bool { return contains(s, f.Part) })
}

func partOf(part string) func(envelope.Address) bool {
	return func(a envelope.Address) bool { return contains(a.String(), part) }
}

// contains returns whether a part is in a text, in upper or lower case.
func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
