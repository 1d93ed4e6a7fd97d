// Package message reads a mail message in one pass over its bytes: the top
// header block is held and understood, the body streams through.
//
// Promises:
//
//   - Byte-true. Below the top header block only line ends change, to CRLF, and
//     NULs at the very end are dropped. In it only the fields change that must. No part of a multipart body is looked
//     at, so signatures survive and nesting costs nothing.
//   - One reading. What two readers could cut differently is made unambiguous
//     (Notes say how) or refused with 550 5.6.0. No output contains a bare CR, a
//     bare LF or a NUL.
//   - Envelope-true. Graph delivers to everybody in To, Cc and Bcc, so Apply
//     makes these three together name exactly the envelope's recipients.
//
// A header outside the bounds of Options is refused with 552 5.3.4 as soon as it
// exceeds them; memory is bounded by Options.MaxHeader, whatever the size of the
// body. Errors for the client are *reply.Error; an error of the underlying
// reader is returned unchanged, and the caller must then drop the message.
//
// RFC 5322 gives the syntax, with the obsolete forms that real mail uses. The
// package must not know SMTP dialogs, the spool, the network or the clock.
// Address lists are read and edited by package address, bodies by package parts.
package message

import (
	"strings"
	"time"

	"graphrelay/relay/envelope"
)

// Options bound the reading of a message.
type Options struct {
	MaxHeader    int  // bytes of the top header block with its empty line; = 1 MiB
	RejectBareLF bool // refuse a bare LF, a bare CR and NULs at the end instead of mending them
}

// Notes record what was normal enough to accept and odd enough to log.
type Notes struct {
	BareLF     bool // at least one LF without CR became CRLF
	NoHeader   bool // the first line was no header field: all of it is body
	MboxFrom   bool // an mbox "From " line above the header was dropped
	BlankFold  bool // a folded line of nothing but blanks was dropped
	SpaceColon bool // blanks between a field name and its colon were dropped

	StrayCR       bool // a CR without LF became a line end, or a blank in the header
	FinalNUL      bool // NULs at the end were dropped
	NoEmptyLine   bool // the header ended without an empty line: it got one
	MissingFold   bool // a line of a field got the blank that it should begin with
	ByteOrderMark bool // a byte order mark before the header was dropped
}

// String lists what is set, as in "bare_lf,blank_fold"; empty if nothing is.
func (n Notes) String() string {
	var s []string
	for _, note := range []struct {
		set  bool
		name string
	}{
		{n.BareLF, "bare_lf"}, {n.NoHeader, "no_header"}, {n.MboxFrom, "mbox_from"},
		{n.BlankFold, "blank_fold"}, {n.SpaceColon, "space_colon"}, {n.StrayCR, "stray_cr"},
		{n.FinalNUL, "final_nul"}, {n.NoEmptyLine, "no_empty_line"}, {n.MissingFold, "missing_fold"},
		{n.ByteOrderMark, "byte_order_mark"},
	} {
		if note.set {
			s = append(s, note.name)
		}
	}
	return strings.Join(s, ",")
}

// Authors are the addresses that a message claims to come from. An address that
// is only a local part ("root") has no domain.
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
	ID         string             // for X-Graphrelay-ID; "" adds none
	Date       time.Time          // for Date: if the message has none; zero adds none
	MessageID  string             // for Message-ID: likewise, with angle brackets; "" adds none
}

// ExtraRecipients is smtp.extra_recipients.
type ExtraRecipients int

// The two treatments of header recipients outside the envelope.
const (
	TrimExtra   ExtraRecipients = iota // drop them from To/Cc/Bcc, keep the fields as X-Graphrelay-To/-Cc
	RejectExtra                        // refuse the message, 550 5.6.0
)

// maxReport bounds each list of a Report.
const maxReport = 100

// Report says what Apply did, for the log. A list holds each entry once, and at
// most the first 100.
type Report struct {
	Trimmed    []string // addresses taken out of To/Cc/Bcc
	Renamed    []string // names of recipient fields whose display names were rewritten
	Unreadable []string // names of recipient fields that have no single reading and were set aside
	Blind      int      // number of recipients in Bcc
	Added      []string // names of fields that were added (Date, Message-ID, Bcc, X-Graphrelay-To, ...)
	Dropped    []string // names of fields that were removed or renamed (Resent-To, Apparently-To, ...)
	Exchange   []string // those of them that speak for Exchange
	Ours       []string // those of them that only graphrelay writes
}
