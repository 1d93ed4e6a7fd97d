package bounce

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	gomessage "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // of the parts for people
	"github.com/emersion/go-message/textproto"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// MaxSize is how much of a report is read: the delivery status comes before the message
// that is returned, and of that only the header counts.
const MaxSize = 1 << 20

const (
	maxDepth      = 3 // a report in the multipart of a gateway that adds a footer
	maxParts      = 50
	maxHeader     = 64 << 10 // of the message that is returned
	maxStatus     = 512 << 10
	maxWords      = 128 << 10 // of the part for people
	maxRecipients = 1000
	maxText       = 500
)

// errNested is returned for parts that lead to nothing.
var errNested = errors.New("bounce: its parts are too many or nested too deep")

// ErrOther is returned for a message that is no report of delivery.
var ErrOther = errors.New("bounce: not a report of delivery")

// Report is what a report of delivery says.
type Report struct {
	Kind       Kind
	MessageIDs []string // of the message that it is about: In-Reply-To first; with brackets
	IDs        []string // what IDField of the message that it is about says
	Own        bool     // a graphrelay wrote it, about mail that it did not send
	Recipients []Recipient
}

// Empty reports whether nothing in it leads to a message.
func (r Report) Empty() bool { return len(r.MessageIDs)+len(r.IDs)+len(r.Recipients) == 0 }

// Recipient is what a report says of one of them.
type Recipient struct {
	Addresses  []envelope.Address // the original one first, then the one that was tried; perhaps none
	Action     Action
	Status     reply.Enhanced // zero for none
	Diagnostic string         // words of the host that refused it, on one line
	Remote     string         // that host
	At         time.Time      // of the last attempt; zero if unknown
}

// Action is what became of it (RFC 3464 section 2.3.3).
type Action string

// The actions that matter.
const (
	Failed  Action = "failed"
	Delayed Action = "delayed"
	Done    Action = "delivered" // or relayed, or expanded
)

// OfHeader is all that the header alone says.
func OfHeader(header []Field) Report {
	r := Report{Kind: Judge(header)}
	for _, f := range header {
		switch strings.ToLower(f.Name) {
		case "in-reply-to":
			r.key(messageIDs(f.Value)...)
		case "x-failed-recipients":
			for address := range strings.SplitSeq(f.Value[:min(len(f.Value), maxField)], ",") {
				if a := addressOf(address); !a.IsZero() {
					r.Recipients = append(r.Recipients, Recipient{Addresses: []envelope.Address{a}, Action: Failed})
				}
			}
		}
	}
	return r
}

// Read reads a report whole. It returns ErrOther for what is none, and another error
// where nothing can be made of it; what is damaged or cut is read as far as it goes.
func Read(r io.Reader) (Report, error) {
	top, err := gomessage.ReadWithOptions(io.LimitReader(r, MaxSize), &gomessage.ReadOptions{MaxHeaderBytes: 256 << 10})
	if top == nil {
		return Report{}, fmt.Errorf("bounce: %w", err)
	}
	report := OfHeader(fieldsOf(top.Header.Header))
	if report.Kind == Other {
		return Report{}, ErrOther
	}
	report.Recipients = nil // the parts say more
	p := parser{Report: &report}
	p.walk(top, 1)
	if len(report.Recipients) == 0 {
		report.Recipients = OfHeader(fieldsOf(top.Header.Header)).Recipients
	}
	if p.more && report.Empty() {
		return Report{}, errNested
	}
	return report, nil
}

func fieldsOf(h textproto.Header) (list []Field) {
	for f := h.Fields(); f.Next(); {
		list = append(list, Field{f.Key(), f.Value()})
	}
	return list
}

// key adds Message-IDs to look for.
func (r *Report) key(ids ...string) {
	for _, id := range ids {
		if len(r.MessageIDs) < maxKeys && !slices.Contains(r.MessageIDs, id) {
			r.MessageIDs = append(r.MessageIDs, id)
		}
	}
}

func (r *Report) id(value string) {
	if value = strings.TrimSpace(value); len(value) == 32 && len(r.IDs) < maxKeys && !slices.Contains(r.IDs, value) {
		r.IDs = append(r.IDs, value)
	}
}

// parser goes through the parts.
type parser struct {
	*Report
	parts int
	more  bool // than are looked at
}

func (p *parser) walk(e *gomessage.Entity, depth int) {
	if p.parts++; p.parts > maxParts {
		p.more = true
		return
	}
	kind, _, _ := e.Header.ContentType()
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		p.status(io.LimitReader(e.Body, maxStatus))
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers":
		p.original(io.LimitReader(e.Body, maxHeader))
	case "text/plain", "text/html":
		p.words(io.LimitReader(e.Body, maxWords))
	default:
		parts := e.MultipartReader()
		p.more = p.more || parts != nil && depth >= maxDepth
		for parts != nil && depth < maxDepth && p.parts <= maxParts {
			part, err := parts.NextPart()
			if part == nil || err != nil && !gomessage.IsUnknownCharset(err) && !gomessage.IsUnknownEncoding(err) {
				return
			}
			p.walk(part, depth+1)
		}
	}
}

// original reads the header of the message that is returned.
func (p *parser) original(r io.Reader) {
	h, _ := textproto.ReadHeader(bufio.NewReader(r)) // as far as it goes
	for _, f := range fieldsOf(h) {
		switch strings.ToLower(f.Name) {
		case "message-id":
			p.key(messageIDs(f.Value)...)
		case "x-graphrelay-id":
			p.id(f.Value)
		}
	}
}

// quoted are the fields by which a report without a copy of the header names its
// message, among the words for people: "Original message headers:", in any language.
var quoted = regexp.MustCompile(`(?im)^[ \t]*(message-id|x-graphrelay-id):[ \t]*(?:<|&lt;)?([^\s<>&;]{3,200})`)

func (p *parser) words(r io.Reader) {
	text, _ := io.ReadAll(r)
	for _, m := range quoted.FindAllSubmatch(text, maxKeys) {
		if strings.EqualFold(string(m[1]), "message-id") {
			p.key("<" + string(m[2]) + ">")
		} else {
			p.id(string(m[2]))
		}
	}
}
