package message

import (
	"bytes"
	"strings"
	"unicode"

	"graphrelay/relay/envelope"
)

// Mailbox is an address with the name beside it.
type Mailbox struct {
	Name    string // decoded; empty if there is none
	Address envelope.Address
}

// Importance is what the sender thinks of a message (RFC 2156).
type Importance int

// The degrees of importance.
const (
	Normal Importance = iota
	Low
	High
)

// Extra is a field whose name begins with X-.
type Extra struct{ Name, Value string }

// Fields are what of a header a mail API without MIME can carry, decoded.
type Fields struct {
	Subject, MessageID, InReplyTo, References string
	From, Sender, ReplyTo, To, Cc, Bcc        []Mailbox // what is no address is left out
	Importance                                Importance
	ReadReceipt, DeliveryReceipt              bool
	Extra                                     []Extra // in order; not those of this program
}

// Fields reads them. Whatever is damaged is left out.
func (h *Header) Fields() Fields {
	f := Fields{
		Subject: readable(decodeWords(h.Get("Subject"))), MessageID: h.MessageID(),
		InReplyTo: oneLine(h.Get("In-Reply-To")), References: oneLine(h.Get("References")),
		ReadReceipt:     h.Get("Disposition-Notification-To") != "" || h.Get("X-Confirm-Reading-To") != "",
		DeliveryReceipt: h.Get("Return-Receipt-To") != "",
		Importance:      h.importance(),
	}
	for _, one := range h.fields {
		switch one.kind {
		case kindFrom:
			f.From = append(f.From, mailboxes(h.value(one))...)
		case kindSender:
			f.Sender = append(f.Sender, mailboxes(h.value(one))...)
		case kindTo:
			f.To = append(f.To, mailboxes(h.value(one))...)
		case kindCc:
			f.Cc = append(f.Cc, mailboxes(h.value(one))...)
		case kindBcc:
			f.Bcc = append(f.Bcc, mailboxes(h.value(one))...)
		case kindOther:
			f.other(string(h.name(one)), h.value(one))
		}
	}
	return f
}

// other takes Reply-To and the X- fields.
func (f *Fields) other(name string, value []byte) {
	if strings.EqualFold(name, "Reply-To") {
		f.ReplyTo = append(f.ReplyTo, mailboxes(value)...)
	}
	if text := oneLine(decodeWords(unfold(value))); hasPrefixFold([]byte(name), "X-") && text != "" {
		f.Extra = append(f.Extra, Extra{name, text})
	}
}

// importance is that of the first field that says it in a way one can read.
func (h *Header) importance() Importance {
	for _, name := range []string{"Importance", "X-MSMail-Priority", "Priority", "X-Priority"} {
		switch strings.ToLower(firstWord(h.Get(name))) {
		case "high", "urgent", "1", "2":
			return High
		case "low", "non-urgent", "4", "5":
			return Low
		}
	}
	return Normal
}

// mailboxes reads an address list with its names. Where Authors and Apply
// would have refused it there is nothing to read.
func mailboxes(value []byte) []Mailbox {
	l, err := parseList(value)
	if err != nil {
		return nil
	}
	var all []Mailbox
	for _, b := range l.boxes {
		if !b.addr.IsZero() && b.addr.Domain() != "" {
			all = append(all, Mailbox{nameBeside(&l, b), b.addr})
		}
	}
	return all
}

// nameBeside is what stands before the angle bracket, or else in the comment
// after the address.
func nameBeside(l *list, b box) string {
	if name := decodePhrase(string(l.phrase(b))); name != "" {
		return name
	}
	return readable(decodeWords(l.remark(b)))
}

// phrase is the display name as written, with the comments in it; empty without
// an angle bracket.
func (l *list) phrase(b box) []byte { return trimBlank(l.value[b.lo:max(b.lo, b.angle)]) }

// remark is the first comment behind the address, where old programs write the
// name, without its parentheses and escapes.
func (l *list) remark(b box) string {
	p := parser{list: list{value: bytes.TrimPrefix(trimLeft(l.value[b.text:b.hi]), []byte{'>'})}}
	p.blank()
	lo := p.i + 1
	if !p.at('(') || p.comment() != nil {
		return ""
	}
	var text []byte
	for inner := p.value[lo : p.i-1]; len(inner) > 0; inner = inner[1:] {
		if inner[0] == '\\' {
			inner = inner[1:]
		}
		text = append(text, inner[0])
	}
	return string(text)
}

// decodePhrase joins words, quoted or not, and leaves comments out.
func decodePhrase(s string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0 || c == '"' || c == '\r' || c == '\n':
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return readable(decodeWords(strings.TrimSpace(b.String())))
}

// readable is text for a field: one line of valid UTF-8 without control
// characters.
func readable(s string) string { return strings.TrimSpace(oneLine(s)) }

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
