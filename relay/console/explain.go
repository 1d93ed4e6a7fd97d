package console

import (
	"cmp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// explain says what happens to a message next, and why, in a sentence or two. It
// is pure.
func explain(r spool.Record, now time.Time) string {
	last := sentence(withoutCommand(r.LastText))
	switch r.State {
	case spool.Sending:
		return "It is being sent to Microsoft 365 now."
	case spool.Held:
		return "It is held and needs your action. " + cmp.Or(last, "No reason was recorded.") +
			" Once the cause is fixed, retry it."
	case spool.Sent:
		if r.Bounces > 0 {
			return "Microsoft 365 accepted it, and it bounced later. Recipients shows what became of each."
		}
		return "Microsoft 365 accepted it. Later failures arrive as a bounce in the mailbox " + r.Mailbox.String() + "."
	case spool.Failed:
		return "It failed. " + cmp.Or(last, "No reason was recorded.")
	case spool.Damaged:
		return "Its stored bytes do not match their checksum, so it is not sent. Check the disk of the store."
	case spool.Deleted:
		return "It was deleted by an operator and was not sent."
	case spool.Paused:
		return explainPaused(*r.PausedBy)
	case spool.Queued, spool.Deferred:
		return explainWaiting(r, now, last)
	}
	return "It is " + string(r.State) + "."
}

func explainPaused(h spool.Hold) string {
	ends := "The relay probes it automatically and resumes when a probe succeeds."
	if _, audited := state.AuditedIdentity(h.Key); audited {
		ends = "No probe ends this hold; it ends when an audit passes."
	}
	return "It is waiting because " + what(h) + " is on hold. " + sentence(h.Text) + " " + ends
}

func explainWaiting(r spool.Record, now time.Time, last string) string {
	before := " Last attempt: " + cmp.Or(last, "no reason was recorded.")
	if r.Unknown {
		before = " The last attempt may have succeeded, so it may arrive twice." + before
	}
	switch {
	case r.Attempts == 0:
		return "It is waiting for its turn in its mailbox."
	case r.NextAttempt.After(now):
		return "The next attempt is in " + lasting(r.NextAttempt.Sub(now)) + "." + before
	}
	return "It is due and waiting for its turn in its mailbox." + before
}

func what(h spool.Hold) string {
	switch {
	case h.Mailbox.IsZero():
		return "identity " + h.Identity
	case h.Client != "":
		return "mail of client " + h.Client + " in mailbox " + h.Mailbox.String()
	case h.From.IsZero():
		return "mailbox " + h.Mailbox.String()
	}
	return "sending as " + h.From.String() + " from mailbox " + h.Mailbox.String()
}

// withoutCommand is why an operator holds a message, without the command that
// releases it: here that is a button.
func withoutCommand(why string) string {
	why, _, _ = strings.Cut(why, "; to let it go: graphrelay ")
	return why
}

// sentence makes a text start with a capital letter and end with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	first, size := utf8.DecodeRuneInString(s)
	if s == "" || first == utf8.RuneError {
		return s
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}

// eventWords names an event of the history; most kinds name themselves.
func eventWords(e spool.Event) string {
	words := map[spool.EventKind]string{
		spool.Accepted: "accepted from the client", spool.Attempted: "attempt started",
		spool.EventSent: "sent", spool.EventReleased: "back in the queue", spool.EventRetried: "back in the queue",
	}
	word := cmp.Or(words[e.Kind], string(e.Kind))
	if e.Unknown {
		word += ", outcome unknown"
	}
	if !e.Recipient.IsZero() {
		word += " for " + e.Recipient.String()
	}
	if e.Probable {
		word += ", probably"
	}
	return word
}
