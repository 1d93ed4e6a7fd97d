package tracking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/text"
)

// errLater ends a round of a mailbox: mail comes first, or Graph does not answer.
var errLater = errors.New("tracking: later")

// maxTries is how often the content of a report is asked for, a minute apart.
const maxTries = 3

// blindAfter is how many messages in a row without a header mean that Graph shows none.
const blindAfter = 20

// read reads what came into a mailbox since the last time.
func (t *Tracker) read(ctx context.Context, b *box) {
	reader, identity, ok := t.Reader(b.mailbox)
	if !ok || t.Now().Before(b.wait) {
		return
	}
	if err := t.readPages(ctx, b, reader, identity); err != nil && !errors.Is(err, errLater) && ctx.Err() == nil {
		t.Log.Error("cannot record bounces; retrying", "mailbox", b.mailbox.String(), "after", every, "error", err)
	}
}

func (t *Tracker) readPages(ctx context.Context, b *box, reader Reader, identity string) error {
	if err := t.restore(ctx, b); err != nil {
		return err
	}
	since, skip := b.position.Add(-overlap), 0
	for range pages {
		if !t.Aside(b.mailbox) {
			return nil
		}
		list, more, a := reader.Folder(ctx, b.mailbox, graph.Inbox, since, skip)
		if a.Outcome != outcome.Delivered {
			t.failed(b, identity, a)
			return nil
		}
		for _, m := range list {
			if err := t.consider(ctx, b, reader, m); err != nil {
				return errors.Join(err, t.remember(ctx, b))
			}
			b.position = pacing.Later(b.position, m.At)
		}
		t.readable(b, "mailbox "+b.mailbox.String()+" can be read again")
		if err := t.remember(ctx, b); err != nil || !more {
			return err
		}
		if last := list[len(list)-1].At; last.After(since) {
			since, skip = last, sameTime(list, last)
		} else {
			skip += len(list)
		}
		if pacing.Sleep(ctx, between) != nil {
			return nil
		}
	}
	return nil
}

// sameTime counts the messages of a page that came at its last moment: the next page begins
// there, behind them.
func sameTime(list []graph.Received, last time.Time) (n int) {
	for _, m := range list {
		if m.At.Equal(last) {
			n++
		}
	}
	return n
}

// noteKey is where the store keeps the position of a mailbox.
func noteKey(mailbox envelope.Address) string { return "bounces:" + mailbox.Key() }

// restore reads the position of earlier runs. A mailbox that was never read begins where
// the history does.
func (t *Tracker) restore(ctx context.Context, b *box) error {
	begin := t.Now().Add(-t.Settings().History)
	if b.position.IsZero() {
		noted, err := t.Store.Noted(ctx, noteKey(b.mailbox))
		if err != nil {
			return err
		}
		b.position, _ = time.Parse(time.RFC3339, noted) // zero for none
	}
	if latest := t.Now(); b.position.After(latest) {
		b.position = latest // a clock was set back, or a date is wrong
	}
	b.position = pacing.Later(b.position, begin)
	return nil
}

// remember notes the position, and forgets what need not be recognised any more.
func (t *Tracker) remember(ctx context.Context, b *box) error {
	if len(b.seen) > maxAgain {
		clear(b.seen)
	}
	position := b.position.UTC().Format(time.RFC3339)
	noted, err := t.Store.Noted(ctx, noteKey(b.mailbox))
	if err != nil || noted == position {
		return err
	}
	return t.Store.Note(ctx, noteKey(b.mailbox), position)
}

// consider looks whether a message is a report, and records what it says.
func (t *Tracker) consider(ctx context.Context, b *box, reader Reader, m graph.Received) error {
	if b.seen[m.ID] {
		return nil
	}
	header := make([]bounce.Field, len(m.Header))
	for i, f := range m.Header {
		header[i] = bounce.Field(f)
	}
	t.blind(b, len(header) == 0)
	report := bounce.OfHeader(header)
	if report.Kind != bounce.Other || len(header) == 0 && t.Settings().Full {
		if err := t.report(ctx, b, reader, m, report); err != nil {
			return err
		}
	}
	b.seen[m.ID] = true
	return nil
}

// report reads a report as far as the settings allow, and records it.
func (t *Tracker) report(
	ctx context.Context, b *box, reader Reader, m graph.Received, report bounce.Report,
) error {
	own, err := t.Store.ByMessageID(ctx, m.MessageID, 1)
	if err != nil || len(own) > 0 { // what lies there is a report of ours
		return err
	}
	if t.Settings().Full {
		whole, err := t.whole(ctx, b, reader, m)
		switch {
		case err == nil:
			report = whole
		case errors.Is(err, errLater):
			return errLater
		case errors.Is(err, errGone), errors.Is(err, bounce.ErrOther) && report.Kind == bounce.Other:
			return nil
		default: // its header may say enough
			t.Log.Warn("cannot read a report in a mailbox", "mailbox", b.mailbox.String(), "report", m.MessageID,
				"error", text.Foreign(err.Error(), outcome.MaxText))
			t.OnEvent(Event{Mailbox: b.mailbox, Result: Unreadable})
			if report.Empty() {
				return nil
			}
		}
	}
	if report.Kind == bounce.Other || report.Own {
		return nil
	}
	return t.record(ctx, b.mailbox, m, report)
}

// errGone says that somebody has deleted a message.
var errGone = errors.New("tracking: gone")

// whole reads all of a report.
func (t *Tracker) whole(ctx context.Context, b *box, reader Reader, m graph.Received) (bounce.Report, error) {
	if !t.Aside(b.mailbox) {
		return bounce.Report{}, errLater
	}
	raw, a := reader.MIME(ctx, b.mailbox, m.ID, bounce.MaxSize)
	switch {
	case a.Outcome == outcome.Delivered:
		return understood(raw)
	case a.HTTPStatus == http.StatusNotFound, a.HTTPStatus == http.StatusGone:
		return bounce.Report{}, errGone
	case b.isStuck(m.ID, a):
		return bounce.Report{}, errors.New(a.Cause().String())
	}
	_, identity, _ := t.Reader(b.mailbox)
	t.failed(b, identity, a)
	return bounce.Report{}, errLater
}

// isStuck reports whether Graph has failed to show a message so often, for no reason that
// concerns the mailbox, that others must not wait for it any longer.
func (b *box) isStuck(id string, a outcome.Answer) bool {
	switch a.HTTPStatus {
	case 0, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return false
	}
	if b.failedAt != id {
		b.failedAt, b.failures = id, 0
	}
	b.failures++
	return b.failures >= maxTries
}

// understood reads a report; a panic of a library is an error like others.
func understood(raw []byte) (r bounce.Report, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("internal error: %v", fault)
		}
	}()
	return bounce.Read(bytes.NewReader(raw))
}

// failed follows a mailbox that could not be read.
func (t *Tracker) failed(b *box, identity string, a outcome.Answer) {
	b.wait = t.Now().Add(min(a.RetryAfter, time.Hour))
	if a.HTTPStatus == http.StatusGone { // what Graph remembered of our reading is gone: begin again
		b.position, b.seen = t.Now().Add(-t.Settings().History), map[string]bool{}
	}
	result, cause := Failed, a.Cause()
	switch a.HTTPStatus {
	case http.StatusGone:
		cause = text.Cause{Headline: "Graph does not remember any more how far the mailbox was read",
			Remedy: "nothing to do: it is read again from the beginning", Detail: a.Detail}
	case http.StatusForbidden:
		result, cause = Refused, t.forbidden(b.mailbox, a)
		b.alarmed = true
		t.Alarm(alarmKey(b.mailbox), cause.String(), true)
	}
	t.OnEvent(Event{Mailbox: b.mailbox, Result: result})
	if !b.failing {
		b.failing = true
		t.Log.Warn("cannot read a mailbox for bounces; mail is not affected", "mailbox", b.mailbox.String(),
			"identity", identity, "error", cause.String())
	}
}

func alarmKey(mailbox envelope.Address) string { return "bounces:" + mailbox.String() }

func (t *Tracker) forbidden(mailbox envelope.Address, a outcome.Answer) text.Cause {
	role := graph.RoleReadBasic
	if t.Settings().Full {
		role = graph.RoleRead
	}
	return text.Cause{
		Headline: "App may not read the mailbox, which delivery.track_bounces needs",
		Remedy: "grant it \"" + role + "\" for this mailbox with the script of graphrelay setup, which takes up to " +
			"2 hours to reach Graph; mail is sent meanwhile",
		Detail: mailbox.String() + ": " + a.Detail,
	}
}

// readable ends the alarm that a mailbox raised.
func (t *Tracker) readable(b *box, why string) {
	if b.alarmed {
		t.Alarm(alarmKey(b.mailbox), why, false)
	}
	b.alarmed, b.failing = false, false
}

// blind raises an alarm where Graph shows no header, so that no report can be recognised.
func (t *Tracker) blind(b *box, without bool) {
	switch {
	case !without && b.blind >= blindAfter:
		t.Alarm(blindKey(b.mailbox), "Graph shows the headers of mail in "+b.mailbox.String()+" again", false)
		b.blind = 0
	case !without:
		b.blind = 0
	case !t.Settings().Full:
		if b.blind++; b.blind == blindAfter {
			t.Alarm(blindKey(b.mailbox), text.Cause{
				Headline: "Graph shows no headers of mail, so delivery.track_bounces: header finds no bounces",
				Remedy:   "set track_bounces to full and grant \"" + graph.RoleRead + "\"", Detail: b.mailbox.String(),
			}.String(), true)
		}
	}
}

func blindKey(mailbox envelope.Address) string { return "bounce-headers:" + mailbox.String() }

// endAlarms ends what was raised, where bounces are not tracked any more.
func (t *Tracker) endAlarms(why string) {
	for _, b := range t.list() {
		t.readable(b, why)
		t.blind(b, false)
	}
}
