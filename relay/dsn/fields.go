package dsn

import (
	"cmp"
	"fmt"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// fields is the part for programs: a group of fields for the message, and one
// for each recipient (RFC 3464 section 2). All recipients share one fate, for
// Graph takes or refuses a message as a whole.
func (r Report) fields() string {
	var b strings.Builder
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }

	field("Reporting-MTA", "dns; "+r.Hostname)
	field("Arrival-Date", r.Original.Accepted.UTC().Format(mailDate))
	field("X-Graphrelay-Queue-ID", string(r.Original.ID))
	action := "failed"
	if r.Delayed {
		action = "delayed"
	}
	for _, to := range r.Original.Recipients {
		b.WriteString("\r\n")
		field("Final-Recipient", typed(to))
		field("Action", action)
		field("Status", r.status().String())
		field("Diagnostic-Code", "X-Graph; "+folded(r.Text))
		if !r.LastAttempt.IsZero() {
			field("Last-Attempt-Date", r.LastAttempt.UTC().Format(mailDate))
		}
		if r.RequestID != "" {
			field("Final-Log-ID", folded(r.RequestID))
		}
		if r.Delayed && !r.Until.IsZero() {
			field("Will-Retry-Until", r.Until.UTC().Format(mailDate))
		}
	}
	return b.String()
}

// status is the status of the last outcome with the class that the action
// demands: a message may fail for good although each attempt failed for a
// temporary reason.
func (r Report) status() reply.Enhanced {
	s := cmp.Or(r.Status, reply.Enhanced{4, 4, 7}) // delivery time expired
	s[0] = 5
	if r.Delayed {
		s[0] = 4
	}
	return s
}

// typed writes an address with its type; one that is not ASCII as RFC 6533
// section 3 has it for a part that is.
func typed(a envelope.Address) string {
	if a.ASCII() {
		return "rfc822; " + a.String()
	}
	var b strings.Builder
	b.WriteString("utf-8; ")
	for _, c := range a.String() {
		if c > '~' || c <= ' ' || c == '\\' || c == '+' || c == '=' {
			fmt.Fprintf(&b, `\x{%X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// folded is a text in ASCII on lines that are short enough.
func folded(s string) string {
	s = strings.Map(func(c rune) rune {
		if c > '~' {
			return '?'
		}
		return c
	}, oneLine(s, 900))
	lines := strings.Split(strings.TrimRight(wrap(s, ""), "\r\n"), "\r\n")
	return strings.Join(lines, "\r\n ")
}
