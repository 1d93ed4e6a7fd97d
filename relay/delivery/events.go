package delivery

import (
	"context"
	"log/slog"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Event is one step of one message, for the log and for metrics.
type Event struct {
	Kind       spool.EventKind // Attempted, EventSent, EventDeferred, EventPaused, EventHeld or EventFailed
	Record     spool.Record    // as claimed; Attempts is the number of this attempt
	Identity   string
	Status     reply.Enhanced
	HTTPStatus int
	Reply      int  // of the submission server; 0 for none
	Submission bool // the attempt asked that server, not Graph
	Text       string
	RequestID  string
	Duration   time.Duration // from request to answer
	Next       time.Time     // of the next attempt; zero if none is planned
	Duplicate  bool          // the message may have been, or may be, sent twice
	Damaged    string        // outcome.Answer's
}

func outcomeEvent(o settling) Event {
	return Event{
		Kind: o.dec.Event, Record: o.rec, Identity: o.identity, Status: o.dec.Status, HTTPStatus: o.ans.HTTPStatus,
		Text: o.dec.Text, RequestID: o.ans.RequestID, Duration: o.ans.Duration, Next: o.dec.Next,
		Duplicate: o.dec.Unknown, Damaged: o.ans.Damaged, Reply: o.ans.Reply, Submission: o.ans.Apart,
	}
}

// emit writes the one log line of an event and calls the hook.
func (d *Delivery) emit(e Event) {
	attrs := []slog.Attr{
		slog.String("queue_id", string(e.Record.ID)), slog.String("message_id", e.Record.MessageID),
		slog.String("client", e.Record.Client.Name), slog.String("mailbox", e.Record.Mailbox.String()),
		slog.Int("recipients", len(e.Record.Envelope.Recipients)), slog.Int64("size", e.Record.Size),
		slog.Int("attempt", e.Record.Attempts),
	}
	if e.Kind != spool.Attempted {
		attrs = append(attrs, slog.Duration("duration", e.Duration), slog.String("request_id", e.RequestID),
			slog.Int("http_status", e.HTTPStatus))
	}
	if e.Reply != 0 {
		attrs = append(attrs, slog.Int("reply", e.Reply))
	}
	if e.Text != "" {
		key := "error"
		if e.Kind == spool.EventSent {
			key = "detail"
		}
		attrs = append(attrs, slog.String("status", e.Status.String()), slog.String(key, e.Text))
	}
	if !e.Next.IsZero() {
		attrs = append(attrs, slog.Time("next_attempt", e.Next))
	}
	if e.Duplicate {
		attrs = append(attrs, slog.Bool("possible_duplicate", true))
	}
	d.cfg.Log.LogAttrs(context.Background(), level(e.Kind), string(e.Kind), attrs...)
	d.cfg.OnEvent(e)
}

func level(k spool.EventKind) slog.Level {
	switch k {
	case spool.EventDeferred, spool.EventPaused, spool.EventHeld:
		return slog.LevelWarn
	case spool.EventFailed:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

func (d *Delivery) logHoldBegins(h spool.Hold) {
	d.cfg.Log.Warn("hold begins: mail is kept and not sent", holdAttrs(h)...)
	d.cfg.Alarm(state.AlarmKey(h.Key), state.Hold{Key: h.Key, Text: h.Text}.Cause().String(), true)
}

func (d *Delivery) logHoldEnds(h spool.Hold, now time.Time) {
	d.cfg.Alarm(state.AlarmKey(h.Key), "", false)
	attrs := append(holdAttrs(h), "held_for", now.Sub(h.Since).Round(time.Second))
	d.cfg.Log.Warn("hold ends: mail is being sent again", attrs...)
}

func holdAttrs(h spool.Hold) []any {
	return []any{
		"hold", h.Key, "identity", h.Identity, "mailbox", h.Mailbox.String(), "from", h.From.String(),
		"status", h.Status.String(), "error", h.Text, "probes", h.Probes,
	}
}
