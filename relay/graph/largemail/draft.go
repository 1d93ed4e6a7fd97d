package largemail

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/google/uuid"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
)

// Draft is a message as Graph knows it without MIME, for Upload.
type Draft struct {
	ID    envelope.QueueID // marks the draft, so that a later attempt finds what a crash left
	Again bool             // an earlier attempt may have left a draft

	// MayBegin is asked directly before each request but those that clean up; after an error
	// it is not made, and nothing is sent. nil: each may.
	MayBegin func() error

	Subject, MessageID    string // MessageID with angle brackets
	InReplyTo, References string
	From                  Person
	Sender                Person // zero where From sends
	ReplyTo, To, Cc, Bcc  []Person
	Importance            string   // "", "low" or "high"
	ReadReceipt           bool     // asked for
	DeliveryReceipt       bool     // asked for
	Headers               []Header // the first five whose names begin with X- are kept

	HTML        bool // what Body is
	Body        Content
	Attachments []File
}

// Person is an address with the name beside it.
type Person struct {
	Name    string
	Address envelope.Address
}

// Header is a field of the message.
type Header struct{ Name, Value string }

// Content is a piece of a message. Size is exact; Open may be called many
// times, but what it returned before is not read any more then.
type Content struct {
	Size int64
	Open func() io.Reader
}

// File is an attachment.
type File struct {
	Name, Type string // Type is a media type without parameters
	ContentID  string // without angle brackets
	Inline     bool   // the text shows it
	Content    Content
}

const (
	maxHeaders = 5             // of a message : a sixth is refused
	maxJSON    = 4<<20 - 4<<10 // bytes of one request, a little below Graph's 4 MB
	markerID   = "String {7c0d2b4e-3f0c-4a53-9d5c-6a1f0e8b9d21} Name GraphrelayQueueID"
	propertyIn = "String 0x1042" // PidTagInReplyToId
	propertyRe = "String 0x1039" // PidTagInternetReferences
)

// message is the message resource that creates a draft.
type message struct {
	Subject           string            `json:"subject"`
	InternetMessageID string            `json:"internetMessageId,omitempty"`
	From              *graph.Recipient  `json:"from,omitempty"`
	Sender            *graph.Recipient  `json:"sender,omitempty"`
	ReplyTo           []graph.Recipient `json:"replyTo,omitempty"`
	To                []graph.Recipient `json:"toRecipients,omitempty"`
	Cc                []graph.Recipient `json:"ccRecipients,omitempty"`
	Bcc               []graph.Recipient `json:"bccRecipients,omitempty"`
	Importance        string            `json:"importance,omitempty"`
	ReadReceipt       bool              `json:"isReadReceiptRequested,omitempty"`
	DeliveryReceipt   bool              `json:"isDeliveryReceiptRequested,omitempty"`
	Headers           []field           `json:"internetMessageHeaders,omitempty"`
	Properties        []property        `json:"singleValueExtendedProperties"`
	Body              itemBody          `json:"body"`
}

type field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type property struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

type itemBody struct {
	ContentType string `json:"contentType"`
	Content     string `json:"content"`
}

// resource is all of a draft but its text.
func (d *Draft) resource() message {
	m := message{
		Subject: d.Subject, InternetMessageID: d.MessageID, From: recipient(d.From), Sender: recipient(d.Sender),
		ReplyTo: recipients(d.ReplyTo), To: recipients(d.To), Cc: recipients(d.Cc), Bcc: recipients(d.Bcc),
		Importance: d.Importance, ReadReceipt: d.ReadReceipt, DeliveryReceipt: d.DeliveryReceipt,
		Properties: []property{{markerID, string(d.ID)}}, Body: itemBody{ContentType: "text"},
	}
	if d.HTML {
		m.Body.ContentType = "html"
	}
	for _, p := range []property{{propertyIn, d.InReplyTo}, {propertyRe, d.References}} {
		if p.Value != "" {
			m.Properties = append(m.Properties, p)
		}
	}
	for _, h := range d.Headers {
		if len(m.Headers) < maxHeaders && len(h.Name) > 2 && strings.EqualFold(h.Name[:2], "X-") {
			m.Headers = append(m.Headers, field(h))
		}
	}
	return m
}

func recipient(p Person) *graph.Recipient {
	if p.Address.IsZero() {
		return nil
	}
	return &graph.Recipient{EmailAddress: graph.EmailAddress{Address: p.Address.String(), Name: p.Name}}
}

func recipients(list []Person) []graph.Recipient {
	var out []graph.Recipient
	for _, p := range list {
		if r := recipient(p); r != nil {
			out = append(out, *r)
		}
	}
	return out
}

// jsonAround writes v as JSON with the place of one string left open: what
// comes before it and after it. v holds marker there.
func jsonAround(v any, marker string) (before, after []byte, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	before, after, _ = bytes.Cut(text, []byte(marker))
	return before, after, nil
}

// content makes the request that creates the draft, its text streamed. ok is
// false where that would be too long for one request.
func (d *Draft) content() (c *graph.Body, ok bool, err error) {
	m := d.resource()
	m.Body.Content = uuid.NewString()
	before, after, err := jsonAround(m, m.Body.Content)
	if err != nil {
		return nil, false, err
	}
	if d.Body.Size > maxJSON { // escaped it is no shorter
		return nil, false, nil
	}
	size, err := io.Copy(io.Discard, newEscaper(d.Body.Open()))
	if err != nil {
		return nil, false, graph.NotRead(err)
	}
	open := func() (io.ReadCloser, error) {
		body := newEscaper(d.Body.Open())
		return io.NopCloser(io.MultiReader(bytes.NewReader(before), body, bytes.NewReader(after))), nil
	}
	size += int64(len(before)) + int64(len(after))
	return &graph.Body{Type: "application/json", Size: size, Open: open}, size <= maxJSON, nil
}

// withTextAttached moves a text that is too long for one request into a file.
func (d Draft) withTextAttached() Draft {
	f := File{Name: "message.txt", Type: "text/plain", Content: d.Body}
	note := "The text of this message is too long to be shown here and is attached as message.txt.\r\n"
	if d.HTML {
		f.Name, f.Type = "message.html", "text/html"
		note = "<p>The text of this message is too long to be shown here and is attached as message.html.</p>"
	}
	d.Attachments = append([]File{f}, d.Attachments...)
	d.Body = Content{Size: int64(len(note)), Open: func() io.Reader { return strings.NewReader(note) }}
	return d
}

// escaper writes valid UTF-8 as the inside of a JSON string.
type escaper struct {
	in   *bufio.Reader
	rest []byte
	err  error
}

func newEscaper(r io.Reader) *escaper { return &escaper{in: bufio.NewReaderSize(r, 8<<10)} }

func (e *escaper) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(e.rest) > 0 {
			k := copy(p[n:], e.rest)
			e.rest, n = e.rest[k:], n+k
			continue
		}
		var c byte
		if e.err == nil {
			c, e.err = e.in.ReadByte()
		}
		if e.err != nil {
			break
		}
		if c >= ' ' && c != '"' && c != '\\' {
			p[n] = c
			n++
			continue
		}
		e.rest = escapeByte(c)
	}
	if n == 0 && len(p) > 0 {
		return 0, e.err
	}
	return n, nil
}

func escapeByte(c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return []byte{'\\', c}
	case '\n':
		return []byte(`\n`)
	case '\r':
		return []byte(`\r`)
	case '\t':
		return []byte(`\t`)
	}
	return []byte{'\\', 'u', '0', '0', hex[c>>4], hex[c&15]}
}
