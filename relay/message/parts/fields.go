package parts

import (
	"strings"

	"graphrelay/relay/message"
	"graphrelay/relay/message/address"
	"graphrelay/relay/message/charset"
)

// Importance is how important the sender thinks a message is (RFC 2156).
type Importance int

// The degrees of importance.
const (
	Normal Importance = iota
	Low
	High
)

// Extra is a field whose name begins with X-.
type Extra struct{ Name, Value string }

// Fields are the parts of a header that a mail API without MIME can carry, decoded.
type Fields struct {
	Subject, MessageID, InReplyTo, References string
	From, Sender, ReplyTo, To, Cc, Bcc        []address.Mailbox // without what is not an address
	Importance                                Importance
	ReadReceipt, DeliveryReceipt              bool
	Extra                                     []Extra // in order; of this program's only X-Graphrelay-ID
}

// fields reads the header. It leaves out what is damaged, but for the addresses
// for replies, which are kept as a field where they cannot be read.
func (s *sorter) fields(h *message.Header) {
	label := s.label()
	s.m.Fields = fieldsOf(h, label)
	f := &s.m.Fields
	text := oneLine(h.Get("Reply-To"), label)
	if len(f.ReplyTo) > 0 || text == "" {
		return
	}
	if f.ReplyTo = loosely(h.Get("Reply-To"), label); len(f.ReplyTo) > 0 {
		s.m.Repairs = append(s.m.Repairs, Problem{What: "Reply-To is not a list of addresses and was read as one"})
		return
	}
	f.Extra = append([]Extra{{"X-Graphrelay-Reply-To", text}}, f.Extra...)
	s.m.Repairs = append(s.m.Repairs, Problem{What: "Reply-To has no addresses and was kept as X-Graphrelay-Reply-To"})
}

// loosely reads a list with semicolons, or commas where nothing is between them.
// It gives up where one of its pieces is not one address.
func loosely(list, label string) (all []address.Mailbox) {
	if len(list) > maxPartHeader {
		return nil
	}
	pieces := cutter{s: list, commas: true}
	for one, ok := pieces.next(); ok; one, ok = pieces.next() {
		if strings.TrimSpace(one) == "" {
			continue
		}
		found := address.Mailboxes([]byte(one), label)
		if len(found) != 1 {
			return nil
		}
		all = append(all, found...)
	}
	return all
}

func fieldsOf(h *message.Header, label string) Fields {
	f := Fields{
		Subject:         strings.TrimSpace(oneLine(h.Get("Subject"), label)),
		MessageID:       h.MessageID(),
		InReplyTo:       charset.Clean(h.Get("In-Reply-To"), ' '),
		References:      charset.Clean(h.Get("References"), ' '),
		Importance:      importance(h),
		ReadReceipt:     h.Get("Disposition-Notification-To") != "" || h.Get("X-Confirm-Reading-To") != "",
		DeliveryReceipt: h.Get("Return-Receipt-To") != "",
	}
	lists := map[string]*[]address.Mailbox{
		"from": &f.From, "sender": &f.Sender, "reply-to": &f.ReplyTo, "to": &f.To, "cc": &f.Cc, "bcc": &f.Bcc,
	}
	for name, value := range h.All() {
		lower := strings.ToLower(name)
		if list := lists[lower]; list != nil {
			*list = append(*list, address.Mailboxes(value, label)...)
		}
		ours := strings.HasPrefix(lower, "x-graphrelay-") && lower != "x-graphrelay-id"
		if strings.HasPrefix(lower, "x-") && !ours {
			if text := oneLine(message.Unfold(value), label); text != "" {
				f.Extra = append(f.Extra, Extra{name, text})
			}
		}
	}
	return f
}

func oneLine(s, label string) string { return charset.Clean(charset.DecodeBeside(s, label), ' ') }

// label is the character set that the text names: the best guess for raw 8-bit
// text in the header, and for names of files.
func (s *sorter) label() string {
	if s.text == nil {
		return ""
	}
	return s.text.head.params["charset"]
}

// importance is that of the first field that states it in a known way.
func importance(h *message.Header) Importance {
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
