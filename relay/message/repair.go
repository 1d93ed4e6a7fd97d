package message

import (
	"graphrelay/relay/envelope"
	"graphrelay/relay/message/address"
)

// The functions of this file and of rewrite.go return a Header that differs
// from h in the fields that they name, and only there: every other field keeps
// its bytes and its place. They return h itself if nothing changes. They come
// before Authors and Apply, which judge the result.

// QuoteNames quotes what a device wrote as a display name without quotes, as
// in `From: printer@d.example <printer@d.example>` or `From: UPS: rack 3 <a@b>`, in
// From, Sender, Resent-From and Resent-Sender, and rewrites a name in encoded
// words that hide an address or a comma. The address is not changed: it is the
// only one in the field. A field that would still not have one reading stays as
// it was, and so do all of a message with a DKIM signature, which covers From.
// names are those of the changed fields.
func (h *Header) QuoteNames() (quoted *Header, names []string) {
	if h.signed() {
		return h, nil
	}
	return h.mapped(field.isAuthor, address.MendAuthor)
}

func (h *Header) signed() bool { return len(h.numbers("DKIM-Signature")) > 0 }

// MendLists does the same for the lists in To, Cc and Bcc, whose items may have
// semicolons between them.
func (h *Header) MendLists() (mended *Header, names []string) {
	return h.mapped(field.isRecipient, address.MendList)
}

// NameDaemon gives the From of a report, `MAILER-DAEMON <>`, a local address.
func (h *Header) NameDaemon() (named *Header, names []string) {
	return h.mapped(func(f field) bool { return f.kind == kindFrom }, address.DaemonAuthor)
}

// ExpandAliases replaces local recipients in To, Cc and Bcc, such as root and
// root@localhost, by the full address that alias returns for them; display names
// and comments stay. alias should return one only for those that RCPT named:
// "Smith" in `To: Smith, Ann <a@d.example>` looks like a local recipient too.
func (h *Header) ExpandAliases(alias func(envelope.Address) (envelope.Address, bool)) (*Header, []string) {
	full := func(a envelope.Address) (envelope.Address, bool) {
		if d := a.Domain(); d != "" && d != "localhost" {
			return envelope.Address{}, false
		}
		to, ok := alias(a)
		return to, ok && to.Domain() != "" && CheckRecipient(to) == nil
	}
	return h.mapped(field.isRecipient, func(v []byte) ([]byte, bool) { return address.Replace(v, full) })
}

// isRecipient reports whether a field says who gets the message.
func (f field) isRecipient() bool { return f.kind == kindTo || f.kind == kindCc || f.kind == kindBcc }

// mapped is h with the values of some fields changed wherever change returns
// true.
func (h *Header) mapped(which func(field) bool, change func([]byte) ([]byte, bool)) (mapped *Header, names []string) {
	values := make(map[int][]byte)
	for i, f := range h.fields {
		if !which(f) {
			continue
		}
		if v, ok := change(h.value(f)); ok {
			values[i] = v
			note(&names, string(h.name(f)))
		}
	}
	return h.revised(values, nil), names
}

// newField is a field to add.
type newField struct{ name, value string }

// revised is h with other values, by field number: what is between the colon and
// the last CRLF, or nil to drop the field. more goes to the end, because the
// trace fields of other hosts stay together at the top.
func (h *Header) revised(values map[int][]byte, more []newField) *Header {
	if len(values) == 0 && len(more) == 0 {
		return h
	}
	out := &Header{
		raw:    make([]byte, 0, len(h.raw)+512),
		fields: make([]field, 0, len(h.fields)+len(more)),
		notes:  h.notes,
	}
	for i, f := range h.fields {
		v, changed := values[i]
		if !changed {
			v = h.value(f)
		}
		if v != nil {
			out.push(h.name(f), v)
		}
	}
	for _, f := range more {
		out.push([]byte(f.name), []byte(f.value))
	}
	return out
}

func (h *Header) push(name, value []byte) {
	start := len(h.raw)
	h.raw = append(append(append(append(h.raw, name...), ':'), value...), "\r\n"...)
	h.fields = append(h.fields, field{
		start: int32(start), colon: int32(start + len(name)), end: int32(len(h.raw)),
		kind: kindOf(name),
	})
}
