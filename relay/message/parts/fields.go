package parts

import (
	"strings"

	"graphrelay/relay/message"
	"graphrelay/relay/message/address"
	"graphrelay/relay/message/charset"
)

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
	From, Sender, ReplyTo, To, Cc, Bcc        []address.Mailbox // what is no address is left out
	Importance                                Importance
	ReadReceipt, DeliveryReceipt              bool
	Extra                                     []Extra // in order; not those of this program
}

// fieldsOf reads them. Whatever is damaged is left out.
func fieldsOf(h *message.Header) Fields {
	f := Fields{
		Subject:         strings.TrimSpace(oneLine(h.Get("Subject"))),
		MessageID:       h.MessageID(),
		InReplyTo:       charset.Clean(h.Get("In-Reply-To"), ' '),
		References:      charset.Clean(h.Get("References"), ' '),
		Importance:      importance(h),
		ReadReceipt:     h.Get("Disposition-Notification-To") != "" || h.Get("X-Confirm-Reading-To") != "",
		DeliveryReceipt: h.Get("Return-Receipt-To") != "",
	}
	for name, value := range h.All() {
		f.add(strings.ToLower(name), name, value)
	}
	return f
}

func (f *Fields) add(lower, name string, value []byte) {
	if list := f.list(lower); list != nil {
		*list = append(*list, address.Mailboxes(value)...)
	}
	if strings.HasPrefix(lower, "x-") && !strings.HasPrefix(lower, "x-graphrelay-") {
		if text := oneLine(message.Unfold(value)); text != "" {
			f.Extra = append(f.Extra, Extra{name, text})
		}
	}
}

// list is where the addresses of a field go, nil if it has none.
func (f *Fields) list(lower string) *[]address.Mailbox {
	switch lower {
	case "from":
		return &f.From
	case "sender":
		return &f.Sender
	case "reply-to":
		return &f.ReplyTo
	case "to":
		return &f.To
	case "cc":
		return &f.Cc
	case "bcc":
		return &f.Bcc
	}
	return nil
}

func oneLine(s string) string { return charset.Clean(charset.DecodeWords(s), ' ') }

// importance is that of the first field that says it in a way one can read.
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
