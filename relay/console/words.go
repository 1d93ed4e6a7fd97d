package console

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// words says what becomes of a message next, and why, in a sentence or two. It
// is pure.
func words(r spool.Record, holds []spool.Hold, now time.Time) string {
	last := sentence(r.LastText)
	switch r.State {
	case spool.Active:
		return "It is being handed to Microsoft 365 now."
	case spool.Held:
		return "It is held and waits for you. " + orElse(last, "No reason was recorded.") + " When the cause is gone, retry it."
	case spool.Sent:
		return "Microsoft 365 took it. What fails later arrives as a report in the mailbox " + r.Mailbox.String() + "."
	case spool.Bounced, spool.Failed:
		return "It was given up. " + orElse(last, "No reason was recorded.")
	case spool.Damaged:
		return "Its stored bytes do not match their checksum, so it is not sent. Check the disk of the store."
	case spool.Deleted:
		return "It was deleted by an operator and reached nobody."
	case spool.Queued:
		return waiting(r, holds, now, last)
	}
	return "It is " + string(r.State) + "."
}

func waiting(r spool.Record, holds []spool.Hold, now time.Time, last string) string {
	for _, h := range holds {
		if operator.Stops(h, r.Mailbox, r.From) {
			ends := "The relay probes by itself and goes on when that succeeds."
			if _, audited := state.AuditedIdentity(h.Key); audited {
				ends = "No probe ends this, but an audit that passes."
			}
			return "It waits because " + what(h) + " is on hold. " + sentence(h.Text) + " " + ends
		}
	}
	doubt := ""
	if r.Unknown {
		doubt = " The last attempt may have succeeded, so it may arrive twice."
	}
	switch {
	case r.Attempts == 0:
		return "It waits for its turn in its mailbox."
	case r.NextAttempt.After(now):
		return "It will be tried again in " + lasting(r.NextAttempt.Sub(now)) + "." + doubt + " The last attempt: " + orElse(last, "no reason was recorded.")
	}
	return "It is due and waits for its turn in its mailbox." + doubt + " The last attempt: " + orElse(last, "no reason was recorded.")
}

func what(h spool.Hold) string {
	switch {
	case h.Mailbox.IsZero():
		return "identity " + h.Identity
	case h.From.IsZero():
		return "mailbox " + h.Mailbox.String()
	}
	return "sending as " + h.From.String() + " from mailbox " + h.Mailbox.String()
}

// sentence begins a text with a capital and ends it with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	first, size := utf8.DecodeRuneInString(s)
	if s == "" || first == utf8.RuneError {
		return s
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// eventWords names an event of the history.
func eventWords(k spool.EventKind) string {
	switch k {
	case spool.Accepted:
		return "accepted from the client"
	case spool.Attempted:
		return "attempt begun"
	case spool.EventSent:
		return "taken by Microsoft 365"
	case spool.EventDeferred:
		return "not sent, will be tried again"
	case spool.EventHeld:
		return "held"
	case spool.EventReleased:
		return "back in the queue"
	case spool.EventBounced, spool.EventFailed:
		return "given up"
	case spool.EventDeleted:
		return "deleted"
	case spool.EventUnknown:
		return "outcome unknown"
	}
	return string(k)
}
