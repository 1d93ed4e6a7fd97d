// Package dsn writes the reports about mail that the relay could not send, or has
// not sent yet: delivery status notifications of RFC 3464 in
// a multipart/report of RFC 6522, with the reason in plain words first.
//
// Promises:
//
//   - A report can be read by people (text/plain) and by programs
//     (message/delivery-status), and carries the header of the message that it
//     is about without its Bcc fields, and nothing of the body.
//   - It cannot start a mail loop: it says Auto-Submitted: auto-replied (RFC
//     3834), and Unwanted names the mail that must not be reported at all.
//   - All of it is ASCII with CRLF and short lines, but for addresses that are
//     not (RFC 6532), whatever the message holds.
//   - To names exactly the recipients of the report, for Graph sends to the
//     addresses of the header.
//
// The package is pure: it knows no clock, no queue and no network. Its errors
// are those of the MIME writer, which a report made from a Record never meets.
package dsn

import (
	"bytes"
	"strings"
	"time"

	gomessage "github.com/emersion/go-message"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Report is what a report says. From, To, Hostname and the fields of the
// message are needed.
type Report struct {
	From      envelope.Address   // whom it comes from
	To        []envelope.Address // who gets it
	Hostname  string             // of the relay
	MessageID string             // of the report, with angle brackets
	Date      time.Time

	Delayed bool      // it warns of a delay; else the message has failed
	Until   time.Time // of a delayed message: when it will fail; zero if never
	Others  int       // further messages of the mailbox that wait
	MaySent bool      // an attempt may have succeeded all the same

	Bounces []Bounce // the message was sent, and came back: what is said of each recipient

	Status      reply.Enhanced
	Text        string // what happened and what to do, in one line
	RequestID   string // of the last attempt, for Microsoft's support
	LastAttempt time.Time

	Original Original
}

// Bounce is what another host said of one recipient.
type Bounce struct {
	Recipient envelope.Address
	Status    reply.Enhanced // zero for none
	Text      string         // its words
	Remote    string         // that host; may be empty
}

// Original is the message that a report is about.
type Original struct {
	ID         envelope.QueueID
	MessageID  string
	Subject    string // for people: decoded
	Recipients []envelope.Address
	Mailbox    envelope.Address
	Accepted   time.Time
	Header     []byte // its header block with CRLF; cut where it is too long
}

// Bytes returns the report, and the length of its header block including the empty line.
func (r Report) Bytes() (report []byte, headerSize int, err error) {
	var b bytes.Buffer
	w, err := gomessage.CreateWriter(&b, r.header())
	if err != nil {
		return nil, 0, err
	}
	for _, p := range r.parts() {
		if err := writePart(w, p); err != nil {
			return nil, 0, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, 0, err
	}
	return b.Bytes(), bytes.Index(b.Bytes(), []byte("\r\n\r\n")) + 4, nil
}

func (r Report) header() gomessage.Header {
	var h gomessage.Header
	// The fields are written in the reverse order of Add.
	h.SetContentType("multipart/report", map[string]string{"report-type": "delivery-status"})
	h.Add("MIME-Version", "1.0")
	h.Add("Auto-Submitted", "auto-replied")
	if id := r.Original.MessageID; isMessageID(id) {
		h.Add("References", id)
		h.Add("In-Reply-To", id)
	}
	h.Add("Message-ID", r.MessageID)
	h.Add("Date", r.Date.Format(mailDate))
	h.SetText("Subject", r.subject())
	h.Add("To", joined(r.To, ", "))
	h.Add("From", "Mail relay <"+r.From.String()+">")
	return h
}

// mailDate is the date-time of RFC 5322.
const mailDate = "Mon, 02 Jan 2006 15:04:05 -0700"

// isMessageID keeps what would break a field out of References.
func isMessageID(s string) bool {
	return len(s) > 2 && len(s) < 500 && s[0] == '<' && strings.IndexByte(s, '>') == len(s)-1 &&
		!strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

func joined(list []envelope.Address, by string) string {
	s := make([]string, len(list))
	for i, a := range list {
		s[i] = a.String()
	}
	return strings.Join(s, by)
}

// part is one of the three.
type part struct {
	mediaType string
	params    map[string]string
	encoding  string // "" for none
	about     string
	body      []byte
}

func (r Report) parts() []part {
	utf8 := map[string]string{"charset": "utf-8"}
	headers := part{mediaType: "text/rfc822-headers", about: "Header of the message", body: r.Original.returned()}
	if !plain(headers.body) {
		headers.params, headers.encoding = utf8, "quoted-printable"
	}
	return []part{
		{
			mediaType: "text/plain", params: utf8, encoding: "quoted-printable", about: "Notification",
			body: []byte(r.words()),
		},
		{mediaType: "message/delivery-status", about: "Delivery report", body: []byte(r.fields())},
		headers,
	}
}

func writePart(w *gomessage.Writer, p part) error {
	var h gomessage.Header
	if p.encoding != "" {
		h.Set("Content-Transfer-Encoding", p.encoding)
	}
	h.Add("Content-Description", p.about)
	h.SetContentType(p.mediaType, p.params)
	pw, err := w.CreatePart(h)
	if err != nil {
		return err
	}
	if _, err := pw.Write(p.body); err != nil {
		return err
	}
	return pw.Close()
}

// plain reports whether b may travel without an encoding (RFC 5322 section 2.1.1).
func plain(b []byte) bool {
	for line := range bytes.SplitSeq(b, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsFunc(line, func(c rune) bool { return c > '~' || c < ' ' && c != '\t' }) {
			return false
		}
	}
	return true
}
