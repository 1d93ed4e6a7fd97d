package bounce

import (
	"bufio"
	"io"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-message/textproto"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/text"
)

// status reads a message/delivery-status: groups of fields, the first about the message,
// each other one about a recipient.
func (p *parser) status(r io.Reader) {
	b := bufio.NewReader(r)
	for len(p.Recipients) < maxRecipients {
		h, err := textproto.ReadHeader(b)
		group := fieldsOf(h)
		if to, ok := recipient(group); ok {
			p.Recipients = append(p.Recipients, to)
		}
		for _, f := range group {
			switch strings.ToLower(f.Name) {
			case "x-graphrelay-queue-id":
				p.Own = true
			case "x-original-message-id":
				p.key(messageIDs(f.Value)...)
			}
		}
		if _, ended := b.Peek(1); err != nil || ended != nil {
			return
		}
	}
}

// recipient reads a group; false if it is about none.
func recipient(group []Field) (to Recipient, ok bool) {
	var action string
	for _, f := range group {
		switch strings.ToLower(f.Name) {
		case "original-recipient", "final-recipient":
			ok = true
			a := addressOf(f.Value)
			switch {
			case a.IsZero() || slices.ContainsFunc(to.Addresses, a.Equal):
			case strings.EqualFold(f.Name, "original-recipient"):
				to.Addresses = append([]envelope.Address{a}, to.Addresses...)
			default:
				to.Addresses = append(to.Addresses, a)
			}
		case "action":
			action, _, _ = strings.Cut(strings.ToLower(f.Value)+" ", " ")
		case "status":
			to.Status = statusIn(f.Value)
		case "diagnostic-code":
			to.Diagnostic = text.Foreign(afterType(f.Value), maxText)
		case "remote-mta":
			to.Remote = text.Foreign(afterType(f.Value), 255)
		case "last-attempt-date":
			to.At = timeOf(f.Value)
		}
	}
	if to.Status == (reply.Enhanced{}) || to.Status[1] == 0 && to.Status[2] == 0 {
		if better := statusIn(to.Diagnostic); better != (reply.Enhanced{}) {
			to.Status = better
		}
	}
	to.Action = actionOf(action, to.Status)
	return to, ok
}

// actionOf is what the field says or, where it says nothing, the class of the status.
func actionOf(word string, status reply.Enhanced) Action {
	switch {
	case word == "failed", word == "delayed":
		return Action(word)
	case word == "delivered", word == "relayed", word == "expanded", word == "" && status[0] == 2:
		return Done
	case status[0] == 4:
		return Delayed
	}
	return Failed
}

// maxField is how many bytes of a field are looked at.
const maxField = 1000

// addressOf reads `rfc822; user@example.org`; zero for another type, or what is no address.
func addressOf(value string) envelope.Address {
	kind, rest, typed := strings.Cut(value, ";")
	if kind = strings.ToLower(strings.TrimSpace(kind)); !typed {
		kind, rest = "rfc822", value
	}
	if kind != "rfc822" && kind != "utf-8" || len(rest) > maxField {
		return envelope.Address{}
	}
	rest = strings.Trim(rest, " \t\r\n<>")
	if kind == "utf-8" {
		rest = escaped.ReplaceAllStringFunc(rest, func(s string) string {
			n, err := strconv.ParseUint(s[3:len(s)-1], 16, 21)
			if err != nil {
				return s
			}
			return string(rune(n))
		})
	}
	a, _ := envelope.ParseAddress(rest) // zero with an error
	return a
}

// escaped is a character in an address of the type utf-8 (RFC 6533 section 3).
var escaped = regexp.MustCompile(`\\x\{[0-9A-Fa-f]{1,6}\}`)

// afterType is what follows the type of a field: `smtp; 550 no such user`.
func afterType(value string) string {
	if kind, rest, ok := strings.Cut(value, ";"); ok && !strings.ContainsAny(strings.TrimSpace(kind), " \t") {
		value = rest
	}
	return strings.TrimSpace(value)
}

var enhanced = regexp.MustCompile(`(?:^|[^0-9.])([245])\.([0-9]{1,3})\.([0-9]{1,3})(?:[^0-9.]|\.?$|\. )`)

// statusIn is the first enhanced status code in a text.
func statusIn(s string) (e reply.Enhanced) {
	m := enhanced.FindStringSubmatch(s[:min(len(s), maxField)])
	for i := range e {
		if m != nil {
			e[i], _ = strconv.Atoi(m[i+1]) // three digits
		}
	}
	return e
}

func timeOf(value string) time.Time {
	if len(value) > 100 {
		return time.Time{}
	}
	at, _ := mail.ParseDate(strings.TrimSpace(value)) // zero with an error
	return at.UTC()
}
