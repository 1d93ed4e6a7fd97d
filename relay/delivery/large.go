package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/message"
	"graphrelay/relay/message/address"
	"graphrelay/relay/message/parts"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/submission"
	"graphrelay/relay/text"
)

// Uploader sends what is too large for one request, as a draft of its parts.
type Uploader interface {
	Upload(ctx context.Context, mailbox envelope.Address, d largemail.Draft) outcome.Answer
}

// Submitter sends a message whole, by SMTP submission.
type Submitter interface {
	Submit(ctx context.Context, mailbox envelope.Address, m submission.Mail) outcome.Answer
}

// Large is a way out for what is too large for one request: InParts or Whole.
type Large interface {
	send(d *Delivery, rec spool.Record, b *body) outcome.Answer
}

// InParts is the way of an Uploader, and Whole that of a Submitter.
func InParts(u Uploader) Large { return inParts{u} }

// Whole has limits of its own, and what is answered there shows nothing of Graph.
func Whole(s Submitter) Large { return whole{s} }

type (
	inParts struct{ Uploader }
	whole   struct{ Submitter }
)

// tooLarge reports whether a message is known to be too large for one request, and has
// another way.
func (r Route) tooLarge(size int64) bool { return r.Large != nil && size > r.MIMELimit }

// apart reports whether that way is Whole.
func (r Route) apart(size int64) bool {
	_, apart := r.Large.(whole)
	return apart && r.tooLarge(size)
}

// limitApart is the size above which mail goes that way; 0 for none.
func (r Route) limitApart() int64 {
	if _, apart := r.Large.(whole); apart {
		return r.MIMELimit
	}
	return 0
}

// full reports whether as much large mail is under way apart as may be. The rest of it
// waits, and takes no slot from small mail.
func (l *lane) full() bool { return l.limit > 0 && l.work.apart >= max(l.configured, 1) }

// leave frees what an attempt took.
func (l *lane) leave(a answer) {
	if !a.apart {
		l.work.busy--
		return
	}
	if l.full() {
		l.line.All() // large mail may go again
	}
	l.work.apart--
}

// narrow lists what stops some of the mailbox's mail now.
func (l *lane) narrow() []spool.Hold {
	list := l.d.holds.Narrow(l.mailbox)
	if l.full() {
		list = append(list, spool.Hold{Mailbox: l.mailbox, Above: l.limit})
	}
	return list
}

// cost is the size of a message as far as it counts towards the limits of Graph.
func (r Route) cost(size int64) int64 {
	if r.apart(size) {
		return 0
	}
	return size
}

// stranded reports whether a message was accepted when the configuration let
// larger mail be sent than it does now.
func (r Route) stranded(size int64) bool {
	return r.Large == nil && r.MIMELimit > 0 && size > r.MIMELimit
}

// noLongerSent is the answer for such a message. Nothing is asked of Graph: the
// configuration is to blame, so the message waits for whoever changed it.
func noLongerSent(size, limit int64) outcome.Answer {
	return outcome.Answer{
		Outcome: outcome.Hold, Scope: outcome.ScopeMessage, Status: reply.Enhanced{4, 3, 4},
		Text:   "Message is larger than delivery.mime_limit, which was changed after it was accepted",
		Detail: fmt.Sprintf("%d bytes, and the limit is %d", size, limit),
		Advice: "set delivery.large_messages: upload again (or smtp), reload and release the message, or delete it",
	}
}

// send submits a stored message with the header that its envelope makes possible.
func (w whole) send(d *Delivery, rec spool.Record, b *body) outcome.Answer {
	stored, err := b.watch(false)
	if err != nil {
		return unreadable(outcome.Answer{}, err)
	}
	block := make([]byte, rec.HeaderSize)
	if _, err := io.ReadFull(stored, block); err != nil {
		_ = stored.Close()
		return unreadable(outcome.Answer{}, err)
	}
	header := message.Unlisted(block)
	return w.Submit(d.shutdown.sends, rec.Mailbox, submission.Mail{
		From: rec.Envelope.ReversePath, To: rec.Envelope.Recipients,
		Size: rec.Size - int64(len(block)) + int64(len(header)),
		Open: func() (io.ReadCloser, error) {
			return struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(header), stored), stored}, nil
		},
	})
}

// send takes a stored message apart and sends it in parts.
func (p inParts) send(d *Delivery, rec spool.Record, b *body) outcome.Answer {
	stored, err := b.watch(true)
	if err != nil {
		return unreadable(outcome.Answer{}, err)
	}
	defer stored.Close()
	m, err := parts.Read(d.shutdown.sends, stored, rec.Size)
	if err != nil {
		return notInParts(err)
	}
	d.logDamage(rec, m)
	draft := draftOf(rec, m)
	draft.MayBegin = b.mayBegin
	a := p.Upload(d.shutdown.sends, rec.Mailbox, draft)
	if note := damage(m); note != "" && (a.Outcome == outcome.Delivered || a.Outcome == outcome.Unknown) {
		a.Detail = strings.TrimPrefix(a.Detail+"; "+note, "; ")
		a.Damaged = "repaired"
		if len(m.Unplaced) > 0 {
			a.Damaged = "original_attached"
		}
	}
	return a
}

// logDamage logs what of a message could not be read as it is.
func (d *Delivery) logDamage(rec spool.Record, m *parts.Message) {
	if note := damage(m); note != "" {
		d.cfg.Log.Warn("a large message is damaged", "queue_id", string(rec.ID), "message_id", rec.MessageID,
			"client", rec.Client.Name, "mailbox", rec.Mailbox.String(), "original_attached", len(m.Unplaced) > 0,
			"error", note)
	}
}

// damage names what of a message could not be read as it is, for the log and the
// history; empty if nothing.
func damage(m *parts.Message) string {
	var all []string
	if len(m.Unplaced) > 0 {
		all = append(all, "the original is attached, for not all of it could be read: "+listed(m.Unplaced))
	}
	if len(m.Repairs) > 0 {
		all = append(all, "it was read otherwise than it is written: "+listed(m.Repairs))
	}
	return strings.Join(all, "; ")
}

// listed names the first of some problems, and how many more there are.
func listed(problems []parts.Problem) string {
	const most = 5
	var all []string
	for _, p := range problems[:min(len(problems), most)] {
		all = append(all, text.Foreign(p.String(), 2*outcome.MaxWord))
	}
	if more := len(problems) - most; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// notInParts is the answer for a message that cannot be taken apart.
func notInParts(err error) outcome.Answer {
	a := outcome.Answer{
		Outcome: outcome.Bounce, Status: reply.Enhanced{5, 3, 4},
		Text: "Message is too large for one request, and cannot be sent in parts", Detail: err.Error(),
	}
	var refused *reply.Error
	switch {
	case errors.Is(err, parts.ErrSealed):
		a.Advice = "sending it in parts would break its signature or encryption: " +
			"set delivery.large_messages: smtp, send a smaller message or a link, or leave it unsigned and unencrypted"
	case errors.Is(err, parts.ErrTooManyParts):
		a.Advice = "pack the files into an archive"
	case errors.As(err, &refused):
		a.Advice = "correct the program that made the message"
	default:
		return unreadable(outcome.Answer{}, err)
	}
	return a
}

// draftOf maps a message to what Graph has a place for. Its recipients are
// those of the envelope, whatever the header says.
func draftOf(rec spool.Record, p *parts.Message) largemail.Draft {
	f := p.Fields
	d := largemail.Draft{
		ID: rec.ID, Again: rec.Attempts > 1, Subject: f.Subject, MessageID: rec.MessageID, InReplyTo: f.InReplyTo,
		References: f.References, From: author(f.From, rec.From), ReplyTo: people(f.ReplyTo),
		ReadReceipt: f.ReadReceipt, DeliveryReceipt: f.DeliveryReceipt, HTML: p.Text.HTML,
		Body: largemail.Content{Size: p.Text.Size, Open: p.Text.Open},
	}
	if len(f.Sender) > 0 && !f.Sender[0].Address.Equal(d.From.Address) {
		d.Sender = people(f.Sender)[0]
	}
	switch f.Importance {
	case parts.Low:
		d.Importance = "low"
	case parts.High:
		d.Importance = "high"
	}
	for _, x := range f.Extra {
		if !mapped(x.Name) {
			d.Headers = append(d.Headers, largemail.Header(x))
		}
	}
	d.To, d.Cc, d.Bcc = recipients(f, rec.Envelope.Recipients)
	for _, a := range files(p) {
		d.Attachments = append(d.Attachments, largemail.File{
			Name: a.Name, Type: a.Type, ContentID: a.ContentID, Inline: a.Inline,
			Content: largemail.Content{Size: a.Size, Open: a.Open},
		})
	}
	return d
}

// files are the attachments. Where something of the message could not be placed, the
// original replaces those that it contains, but for the images that the text shows.
func files(p *parts.Message) []parts.Attachment {
	if len(p.Unplaced) == 0 {
		return p.Attachments
	}
	shown := slices.DeleteFunc(slices.Clone(p.Attachments), func(a parts.Attachment) bool { return !a.Inline })
	return append(shown, p.Original)
}

// mapped reports whether it is one of the X- fields whose meaning a property of the draft carries.
func mapped(name string) bool {
	properties := []string{"x-priority", "x-msmail-priority", "x-confirm-reading-to", "x-mimeole"}
	return slices.Contains(properties, strings.ToLower(name))
}

// author is the granted From with the name that the header gives it.
func author(from []address.Mailbox, granted envelope.Address) largemail.Person {
	if i := slices.IndexFunc(from, func(m address.Mailbox) bool { return m.Address.Equal(granted) }); i >= 0 {
		return largemail.Person(from[i])
	}
	return largemail.Person{Address: granted}
}

func people(list []address.Mailbox) []largemail.Person {
	var out []largemail.Person
	for _, m := range list {
		out = append(out, largemail.Person(m))
	}
	return out
}

// recipients puts each recipient of the envelope where the header has it first,
// and those that it does not name into Bcc. Nobody else gets the message.
func recipients(f parts.Fields, rcpt []envelope.Address) (to, cc, bcc []largemail.Person) {
	open := keySet(rcpt)
	take := func(list []address.Mailbox) (out []largemail.Person) {
		for _, m := range list {
			if open[m.Address.Key()] {
				delete(open, m.Address.Key())
				out = append(out, largemail.Person(m))
			}
		}
		return out
	}
	to, cc, bcc = take(f.To), take(f.Cc), take(f.Bcc)
	for _, a := range rcpt {
		if open[a.Key()] {
			delete(open, a.Key())
			bcc = append(bcc, largemail.Person{Address: a})
		}
	}
	return to, cc, bcc
}
