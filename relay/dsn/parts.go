package dsn

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/text"
)

// shownRecipients bounds the list for people; programs find all of them in the
// delivery-status.
const shownRecipients = 10

func (r Report) subject() string {
	what := "Not sent: "
	switch {
	case r.Delayed:
		what = "Delayed: "
	case len(r.Bounces) > 0:
		what = "Not delivered: "
	}
	return what + r.Original.subject()
}

// subject is the subject of the message as people read it.
func (o Original) subject() string { return cmp.Or(oneLine(o.Subject, 150), "(no subject)") }

// words is the part for people.
func (r Report) words() string {
	var b strings.Builder
	say := func(format string, args ...any) {
		b.WriteString(wrap(fmt.Sprintf(format, args...), ""))
		b.WriteString("\r\n")
	}
	fact := func(name, value string) { b.WriteString(wrap(value, fmt.Sprintf("  %-10s ", name+":"))) }
	say("This is an automatic message from the mail relay %s.", r.Hostname)
	switch {
	case r.Delayed:
		say("A message has been waiting for longer than it should. " +
			"Nothing is lost: the relay keeps it and keeps trying.")
	case len(r.Bounces) > 0:
		say("A message was sent, and has been reported as undeliverable to these recipients.")
	default:
		say("A message could not be sent, and the relay will not retry it.")
	}
	fact("Subject", r.Original.subject())
	fact("To", r.recipients())
	fact("Mailbox", r.Original.Mailbox.String())
	fact("Accepted", r.Original.Accepted.UTC().Format(time.RFC1123))
	fact("Queue ID", string(r.Original.ID))
	b.WriteString("\r\n")
	if len(r.Bounces) > 0 {
		r.sayBounces(say)
		return b.String()
	}
	say("The reason (%s), and what to do about it:", r.status())
	b.WriteString(wrap(text.Line(unfold(r.Text)), "  "))
	b.WriteString("\r\n")
	r.sayMore(say)
	say("The header of the message follows.")
	return b.String()
}

func (r Report) sayBounces(say func(string, ...any)) {
	for i, bounce := range r.Bounces {
		if i == shownRecipients {
			say("There are %d more.", len(r.Bounces)-i)
			break
		}
		by := ""
		if bounce.Remote != "" {
			by = text.Line(bounce.Remote) + " said: "
		}
		say("%s (%s): %s%s", bounce.Recipient, bounce.status(), by, text.Line(unfold(bounce.Text)))
	}
	say("Correct the addresses, or ask the recipients' administrators. The report itself lies in the mailbox %s.",
		r.Original.Mailbox)
}

// status is that of a failure, whatever the host said.
func (b Bounce) status() reply.Enhanced {
	s := cmp.Or(b.Status, reply.Enhanced{5, 0, 0})
	s[0] = 5
	return s
}

func (r Report) sayMore(say func(string, ...any)) {
	if r.MaySent {
		say("The outcome of an attempt is unknown, so the recipients may have received the message. "+
			"Check Sent Items of %s before you send it again.", r.Original.Mailbox)
	}
	if r.Delayed && r.Others > 0 {
		say("Other messages of this mailbox wait too: %d.", r.Others)
	}
	if r.Delayed && !r.Until.IsZero() {
		say("If it cannot be sent by %s, it fails.", r.Until.UTC().Format(time.RFC1123))
	}
	if !r.Delayed {
		say("The relay keeps the message for a while. Once the cause is gone, its administrator can send it with: "+
			"graphrelay queue retry %s", r.Original.ID)
	}
}

func (r Report) recipients() string {
	list := r.Original.Recipients
	if len(list) <= shownRecipients {
		return joined(list, ", ")
	}
	return fmt.Sprintf("%s, and %d more", joined(list[:shownRecipients], ", "), len(list)-shownRecipients)
}

// oneLine is foreign text on one line, of about limit bytes at most.
func oneLine(s string, limit int) string { return text.Cut(unfold(s), limit) }

// wrap breaks s into lines of about 72 characters, so that quoted-printable
// seldom breaks them. The first begins with prefix, the others with as many blanks.
func wrap(s, prefix string) string {
	var b strings.Builder
	line, blank := prefix, strings.Repeat(" ", len(prefix))
	for i, word := range strings.Fields(s) {
		switch {
		case i > 0 && len(line)+1+len(word) > 72 && line != blank:
			b.WriteString(strings.TrimRight(line, " ") + "\r\n")
			line = blank + word
		case i > 0:
			line += " " + word
		default:
			line += word
		}
	}
	b.WriteString(strings.TrimRight(line, " ") + "\r\n")
	return b.String()
}

// fields is the part for programs: a group of fields for the message, and one
// for each recipient (RFC 3464 section 2). All recipients share one fate, for
// Graph takes or refuses a message as a whole; bounces name each.
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
	for _, bounce := range r.Bounces {
		b.WriteString("\r\n")
		field("Final-Recipient", typed(bounce.Recipient))
		field("Action", "failed")
		field("Status", bounce.status().String())
		field("Diagnostic-Code", "smtp; "+folded(bounce.Text))
		if bounce.Remote != "" {
			field("Remote-MTA", "dns; "+folded(bounce.Remote))
		}
	}
	if len(r.Bounces) > 0 {
		return b.String()
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

// status is the status of the last outcome with the class that the action demands:
// a message may fail for good although each attempt failed for a temporary reason.
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
