package verify

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
)

// Access is what an answer proves about a mailbox.
type Access int

// The kinds of access. Only the first two prove something.
const (
	Unclear Access = iota // no answer of Graph about the mailbox
	Open                  // the application may use the mailbox
	Closed                // Graph itself refused the application
	Missing               // there is no such mailbox, or none that Graph can reach
)

// policyBlock marks the refusal that access policies give, and that mailboxes
// of administrators give whatever the policy.
const policyBlock = "[RAOP]"

// Read says what the answer to a probe or a test mail proves. A refusal counts
// only with the code of Graph's own access check: the 403 of a proxy has none,
// and ErrorSendAsDenied comes after the mailbox was opened.
func Read(a outcome.Answer) Access {
	code := strings.ToLower(a.Code)
	switch {
	case a.HTTPStatus == http.StatusAccepted,
		a.HTTPStatus == http.StatusBadRequest && code == "errorinvalidrecipients",
		a.HTTPStatus == http.StatusForbidden && code == "errorsendasdenied":
		return Open
	case a.HTTPStatus == http.StatusForbidden && (code == "erroraccessdenied" || code == "accessdenied"):
		return Closed
	case a.HTTPStatus == http.StatusNotFound && code != "":
		return Missing
	}
	return Unclear
}

// ReadList says the same of the answer to a search of a mailbox.
func ReadList(a outcome.Answer) Access {
	if a.HTTPStatus == http.StatusOK {
		return Open
	}
	return Read(a)
}

// Client asks Entra and Graph for an identity; *largemail.Client is one.
type Client interface {
	Prober
	Credential() entra.CredentialInfo
	Token(ctx context.Context) (entra.TokenInfo, error)
	MIME(ctx context.Context, mailbox envelope.Address, id string, limit int64) ([]byte, outcome.Answer)
	TryDraft(ctx context.Context, mailbox envelope.Address) outcome.Answer
}

// Prober is the part of a Client that asks about mailboxes.
type Prober interface {
	Send(ctx context.Context, mailbox envelope.Address, m graph.Mail) outcome.Answer
	Lookup(ctx context.Context, mailbox envelope.Address, messageID string) ([]graph.Copy, outcome.Answer)
}

// Probe asks Graph whether the application may send as mailbox, with a message
// that has no recipient and therefore goes nowhere.
func Probe(ctx context.Context, c Prober, mailbox envelope.Address, now time.Time) Trial {
	a := c.Send(ctx, mailbox, mail(mailbox, now,
		"Subject: graphrelay asks whether it may send as this mailbox\r\n",
		"This message has no recipient. Graph refuses it, and its answer shows whether\r\n"+
			"the application may use the mailbox.\r\n"))
	return Trial{Mailbox: mailbox, Answer: a, Access: Read(a)}
}

// testMail sends a mail that says what it is, from mailbox to the administrator.
func testMail(ctx context.Context, c Prober, mailbox, to envelope.Address, now time.Time) outcome.Answer {
	header := fmt.Sprintf("To: <%s>\r\nSubject: Test mail of graphrelay verify, sent as %s\r\n"+
		"Auto-Submitted: auto-generated\r\nContent-Transfer-Encoding: 8bit\r\n", to, mailbox)
	return c.Send(ctx, mailbox, mail(mailbox, now, header, fmt.Sprintf(
		"This is a test mail: somebody ran `graphrelay verify` with your address.\r\n\r\nIt shows that the relay's "+
			"application may send as %s.\r\nIt was sent to nobody else. There is nothing to do.\r\n", mailbox)))
}

// canRead tries to search a mailbox for a message that nobody has.
func canRead(ctx context.Context, c Prober, mailbox envelope.Address) (Access, outcome.Answer) {
	_, a := c.Lookup(ctx, mailbox, messageID(mailbox))
	return ReadList(a), a
}

// mail makes a message; header holds further fields.
func mail(from envelope.Address, now time.Time, header, text string) graph.Mail {
	const kind = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	b := fmt.Appendf(nil, "From: <%s>\r\n%sDate: %s\r\nMessage-ID: %s\r\n%s\r\n%s",
		from, header, now.Format("Mon, 02 Jan 2006 15:04:05 -0700"), messageID(from), kind, text)
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	return graph.Mail{Size: int64(len(b)), Open: open}
}

func messageID(mailbox envelope.Address) string {
	return "<graphrelay-verify-" + rand.Text() + "@" + mailbox.Domain() + ">"
}
