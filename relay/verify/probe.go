package verify

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
)

// Client is an identity's way to Entra and Graph; *graph.Client is one.
type Client interface {
	Prober
	Credential() entra.CredentialInfo
	Token(ctx context.Context) (entra.TokenInfo, error)
	TryDraft(ctx context.Context, mailbox envelope.Address) outcome.Answer
}

// Prober is the part of it that asks about mailboxes.
type Prober interface {
	Send(ctx context.Context, mailbox envelope.Address, m graph.Mail) outcome.Answer
	Lookup(ctx context.Context, mailbox envelope.Address, messageID string) ([]graph.Copy, outcome.Answer)
}

// Probe asks Graph whether the application may send as mailbox, by a message
// that has no recipient and therefore goes nowhere.
func Probe(ctx context.Context, c Prober, mailbox envelope.Address, now time.Time) Trial {
	a := c.Send(ctx, mailbox, mail(fmt.Sprintf("From: <%s>\r\nSubject: graphrelay asks whether it may send as this mailbox\r\nDate: %s\r\nMessage-ID: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+
		"This message has no recipient. Graph refuses it, and how it does tells whether\r\nthe application may use the mailbox.\r\n",
		mailbox, date(now), messageID(mailbox))))
	return Trial{Mailbox: mailbox, Answer: a, Access: Read(a)}
}

// testMail sends a mail that says what it is, from mailbox to the administrator.
func testMail(ctx context.Context, c Prober, mailbox, to envelope.Address, now time.Time) outcome.Answer {
	return c.Send(ctx, mailbox, mail(fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: Test mail of graphrelay verify, sent as %s\r\nDate: %s\r\nMessage-ID: %s\r\n"+
		"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
		"This is a test mail: somebody ran `graphrelay verify` and named your address for it.\r\n\r\n"+
		"It shows that the relay's application may send as %s.\r\nNobody else got it. There is nothing to do.\r\n",
		mailbox, to, mailbox, date(now), messageID(mailbox), mailbox)))
}

// canRead tries to search a mailbox for a message that nobody has.
func canRead(ctx context.Context, c Prober, mailbox envelope.Address) (Access, outcome.Answer) {
	_, a := c.Lookup(ctx, mailbox, messageID(mailbox))
	return ReadList(a), a
}

func mail(text string) graph.Mail {
	b := []byte(text)
	return graph.Mail{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func date(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }

func messageID(mailbox envelope.Address) string {
	return "<graphrelay-verify-" + rand.Text() + "@" + mailbox.Domain() + ">"
}
