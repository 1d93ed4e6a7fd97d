package message

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Apply returns the header block to send, with the empty line that ends it. Every
// field that is not named here keeps its bytes and its place.
//
//   - Received comes first, then X-Graphrelay-ID, then Date and Message-ID if the message has none or
//     only empty ones, then Bcc if there was none.
//   - To and Cc keep their addresses that are in the envelope, with display names
//     and folds. If one is removed, the original field follows as X-Graphrelay-To
//     or -Cc. A field without any entry left is dropped. Repeated fields are
//     merged into the first.
//   - A To or Cc with no single reading is renamed X-Graphrelay-To or -Cc as a
//     whole: its recipients get the message blind.
//   - In From, Sender, Resent-From and Resent-Sender a domain in letters beyond
//     ASCII is written in A-labels: Exchange compares them with its mailboxes.
//   - Bcc is replaced by one that names the recipients that To and Cc do not, or
//     dropped if there are none.
//   - Resent-To and Resent-Cc become X-Graphrelay-Resent-To and -Cc; Resent-Bcc,
//     Apparently-To, X-Graphrelay fields of the client and those that speak for
//     Exchange are dropped.
//
// With RejectExtra, a To, Cc or Bcc that names others than the envelope, or has
// no single reading, is refused with 550 5.6.0. A recipient that CheckRecipient
// refuses is refused here too. Any other error is the caller's fault: a recipient
// without a domain, or none at all.
func (h *Header) Apply(e Edits) ([]byte, Report, error) {
	p := plan{h: h, signed: h.signed(), extra: e.Extra}
	if err := p.wanted(e.Recipients); err != nil {
		return nil, Report{}, err
	}
	if err := p.reconcile(); err != nil {
		return nil, Report{}, err
	}
	p.id(e.ID)
	p.trace(kindDate, "Date", func() string { return dateField(e) })
	p.trace(kindMessageID, "Message-ID", func() string { return e.MessageID })
	p.bcc()
	p.others()
	p.asciiAuthors()
	return p.assemble(e.Received), p.report, nil
}

// CheckRecipient refuses, 550 5.1.3, an address that cannot be written into a
// header so that all readers see the same one: a quoted local part with
// separators in it, or one that looks like a part of an encoded word. It is for RCPT;
// Apply checks again.
func CheckRecipient(a envelope.Address) error {
	if strings.ContainsAny(a.Local(), `@,;:<>()[]\"`) || strings.Contains(a.Local(), "=?") ||
		strings.Contains(a.Local(), "?=") {
		return reply.New(550, reply.Enhanced{5, 1, 3},
			"Recipient address has a local part that mail headers cannot carry safely")
	}
	return nil
}

// plan collects what becomes of each field before anything is written.
type plan struct {
	h      *Header
	signed bool // with DKIM
	extra  ExtraRecipients
	report Report

	rcpts   []envelope.Address // the envelope, without repetitions
	covered []bool             // which of them To or Cc names
	index   map[string]int     // by Key

	changes map[int][]byte // field number: what replaces it; empty drops it
	top     []byte         // fields that are added
}

func (p *plan) wanted(rcpts []envelope.Address) error {
	if len(rcpts) == 0 {
		return errors.New("message: no recipients")
	}
	p.index = make(map[string]int, len(rcpts))
	p.rcpts = make([]envelope.Address, 0, len(rcpts))
	for _, a := range rcpts {
		if a.Domain() == "" {
			return errors.New("message: recipient " + a.String() + " has no domain")
		}
		if err := CheckRecipient(a); err != nil {
			return err
		}
		k := a.Key()
		if _, again := p.index[k]; !again {
			p.index[k] = len(p.rcpts)
			p.rcpts = append(p.rcpts, a)
		}
	}
	p.covered = make([]bool, len(p.rcpts))
	return nil
}

func (p *plan) reconcile() error {
	if err := p.toCc("To"); err != nil {
		return err
	}
	if err := p.toCc("Cc"); err != nil {
		return err
	}
	return p.checkBcc()
}

func (p *plan) change(i int, text []byte) {
	if p.changes == nil {
		p.changes = make(map[int][]byte, 4)
	}
	p.changes[i] = text
}

func (p *plan) added(name string) { note(&p.report.Added, name) }

// note keeps a list for the log short, whatever the header: no repetitions and
// at most maxReport entries.
func note(list *[]string, s string) {
	if len(*list) < maxReport && !slices.Contains(*list, s) {
		*list = append(*list, s)
	}
}

// trace adds a field that every message should have. Empty ones do not count
// and would be a second field of that name, so it drops them.
func (p *plan) trace(k kind, name string, value func() string) {
	for _, f := range p.h.fields {
		if f.kind == k && len(trimBlank(p.h.value(f))) > 0 {
			return
		}
	}
	v := value()
	if v == "" {
		return
	}
	for i, f := range p.h.fields {
		if f.kind == k {
			p.change(i, nil)
		}
	}
	p.top = append(append(append(append(p.top, name...), ": "...), v...), "\r\n"...)
	p.added(name)
}

// id adds the field by which a bounce finds its message.
func (p *plan) id(value string) {
	if value != "" {
		p.top = append(p.top, ourPrefix+"ID: "+value+"\r\n"...)
		p.added(ourPrefix + "ID")
	}
}

func dateField(e Edits) string {
	if e.Date.IsZero() {
		return ""
	}
	return e.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700")
}

// others disarms fields that might add recipients, and fields by which a client
// pretends to be us or Exchange.
func (p *plan) others() {
	for i, f := range p.h.fields {
		switch f.kind {
		case kindResentTo:
			p.rename(i, "Resent-To")
		case kindResentCc:
			p.rename(i, "Resent-Cc")
		case kindResentBcc, kindApparentlyTo:
			p.change(i, nil)
		case kindOurs:
			p.change(i, nil)
			note(&p.report.Ours, string(p.h.name(f)))
		case kindExchange:
			p.change(i, nil)
			note(&p.report.Exchange, string(p.h.name(f)))
		default:
			continue
		}
		note(&p.report.Dropped, string(p.h.name(f)))
	}
}

// rename keeps field i readable under a name that no mail system acts on.
func (p *plan) rename(i int, name string) {
	p.change(i, p.kept(i, name))
	p.added(ourPrefix + name)
}

// kept is field i under our name, its value byte for byte.
func (p *plan) kept(i int, name string) []byte {
	f := p.h.fields[i]
	return bytes.Join([][]byte{[]byte(ourPrefix + name + ":"), p.h.value(f), []byte("\r\n")}, nil)
}

func (p *plan) assemble(received string) []byte {
	h := p.h
	size := len(received) + len(p.top) + len(h.raw) + 2
	for _, c := range p.changes {
		size += len(c)
	}
	out := make([]byte, 0, size)
	out = append(append(out, received...), p.top...)
	from := 0
	for i, f := range h.fields {
		if text, changed := p.changes[i]; changed {
			out = append(append(out, h.raw[from:f.start]...), text...)
			from = int(f.end)
		}
	}
	return append(append(out, h.raw[from:]...), "\r\n"...)
}
