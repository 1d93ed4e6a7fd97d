package message

import (
	"io"
	"time"

	"graphrelay/relay/envelope"
)

// Options bound the reading of a message.
type Options struct {
	MaxHeader    int  // octets of the top header block; = 1 MiB
	RejectBareLF bool // refuse a bare LF instead of making it CRLF
}

// Notes tell what was normal enough to accept and odd enough to log.
type Notes struct {
	BareLF bool // at least one LF without CR became CRLF
}

// Authors are the addresses a message claims to come from.
type Authors struct {
	From         []envelope.Address // every address of the From field; empty if there is none
	Sender       envelope.Address   // zero if there is none
	ResentFrom   []envelope.Address // of all Resent-From fields
	ResentSender []envelope.Address // of all Resent-Sender fields
}

// Edits say how the header block must differ from what the client sent.
type Edits struct {
	Received   string             // a whole Received: field with CRLF, to prepend; "" for none
	Recipients []envelope.Address // the envelope: exactly these get the message
	Extra      ExtraRecipients    // what to do with header addresses outside the envelope
	Date       time.Time          // for Date: if there is none
	MessageID  string             // for Message-ID: if there is none, with angle brackets
}

// ExtraRecipients is smtp.extra_recipients.
type ExtraRecipients int

// The two treatments of header recipients outside the envelope.
const (
	TrimExtra   ExtraRecipients = iota // drop them from To/Cc/Bcc, keep the fields as X-Graphrelay-To/-Cc
	RejectExtra                        // refuse the message, 550 5.6.0
)

// Report tells what Apply did, for the log.
type Report struct {
	Trimmed []string // addresses taken out of To/Cc/Bcc
	Blind   int      // recipients that went into Bcc
	Added   []string // names of fields that were added (Date, Message-ID, Bcc, ...)
}

// To be implemented beside this file:
//
//	func Read(r io.Reader, o Options) (*Header, *Body, error)
//	func (h *Header) Authors() (Authors, error)
//	func (h *Header) MessageID() string
//	func (h *Header) Subject() string
//	func (h *Header) Count(name string) int
//	func (h *Header) Apply(e Edits) ([]byte, Report, error)   // the header block incl. the empty line
//	func (b *Body) Read(p []byte) (int, error)                // CRLF canonical
//	func (b *Body) Notes() Notes
var _ io.Reader
