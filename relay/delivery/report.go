package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"graphrelay/relay/dsn"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// Reports says who gets reports of failed mail, and from whom.
type Reports struct {
	ToSender     bool             // reports.to_sender: to the reverse-path
	Postmaster   envelope.Address // reports.postmaster; zero for none
	DelayWarning time.Duration    // reports.delay_warning, to the postmaster alone; 0 for none
	From         envelope.Address // default_sender
	Mailbox      envelope.Address // that it sends through
	Hostname     string
}

const (
	reportBatch = 20   // messages in memory at a time, beside those
	maxStuck    = 1000 // whose report could not be written in this round
	reportAgain = time.Minute
	reportAlarm = "report" // key of the alarm about reports that cannot be sent or written
)

// reporting is what is remembered of reports and warnings.
type reporting struct {
	wanted chan struct{}
	unsent atomic.Bool          // the alarm about reports that could not be sent is on
	warned map[string]time.Time // mailboxes whose delay the postmaster was warned of; of the goroutine of report
}

// addressees decides who gets the report of rec, whose header block is header. If
// it is nobody, why says so. It is pure.
func addressees(rec spool.Record, header []byte, r Reports) (to []envelope.Address, why string) {
	switch {
	case rec.ReportOf != "":
		return nil, "it is a report itself"
	case rec.Envelope.ReversePath.IsZero():
		return nil, "its reverse-path is null"
	case rec.Automatic:
		return nil, "it is auto-submitted or bulk mail"
	}
	if why := dsn.Unwanted(header); why != "" {
		return nil, why
	}
	wanted := len(rec.Envelope.Unreported) == 0 || len(reportable(rec)) > 0
	if r.ToSender && wanted {
		to = append(to, rec.Envelope.ReversePath)
	}
	if p := r.Postmaster; !p.IsZero() && !slices.ContainsFunc(to, p.Equal) {
		to = append(to, p)
	}
	switch {
	case len(to) > 0:
		return to, ""
	case r.ToSender && !wanted:
		return nil, "its sender wants none (NOTIFY=NEVER)"
	}
	return nil, "reports has neither to_sender nor a postmaster"
}

// reportable are the recipients of rec that its sender wants reports about.
func reportable(rec spool.Record) []envelope.Address {
	return slices.DeleteFunc(slices.Clone(rec.Envelope.Recipients), func(a envelope.Address) bool {
		return slices.ContainsFunc(rec.Envelope.Unreported, a.Equal)
	})
}

// report writes the reports that are owed: at start, when asked, and every minute
// for what could not be written. The store knows what is owed, so that a crash
// loses and doubles none.
func (d *Delivery) report(ctx context.Context) {
	if d.cfg.Reports == nil {
		return
	}
	stuck := false
	for {
		err := errors.Join(d.reportAll(ctx), d.warnOfDelays(ctx))
		if ctx.Err() == nil {
			d.reportsStuck(err, stuck)
			stuck = err != nil
		}
		awaitOr(ctx, d.reports.wanted, nil, reportAgain)
		if ctx.Err() != nil {
			return
		}
	}
}

// reportsStuck raises an alarm about reports that cannot be written, and ends it
// when they can, or are no longer owed. One that was written and not sent keeps it.
func (d *Delivery) reportsStuck(err error, before bool) {
	switch {
	case err != nil:
		d.cfg.Alarm(reportAlarm, text.Cause{
			Headline: "Reports of failed mail cannot be written", Remedy: "check the disk that holds the queue",
			Detail: text.Foreign(err.Error(), outcome.MaxText),
		}.String(), true)
	case before && !d.reports.unsent.Load():
		d.cfg.Alarm(reportAlarm, "reports can be written again", false)
	}
}

func (d *Delivery) askReport() { want(d.reports.wanted) }

// reportAll writes what is owed. A message that cannot be read is skipped, so that
// it delays no other report, and retried in the next round; a store that takes no
// report ends the round.
func (d *Delivery) reportAll(ctx context.Context) error {
	stuck := map[envelope.QueueID]error{}
	for {
		owed, err := d.cfg.Store.Owed(ctx, reportBatch+len(stuck)) // the stuck ones first, for they failed first
		if err != nil {
			return errors.Join(err, stuckReports(stuck))
		}
		owed = slices.DeleteFunc(owed, func(rec spool.Record) bool { return stuck[rec.ID] != nil })
		if len(owed) == 0 || len(stuck) >= maxStuck {
			return stuckReports(stuck)
		}
		for _, rec := range owed {
			err := d.reportOne(ctx, rec)
			var own *unreadableError
			switch {
			case errors.As(err, &own):
				stuck[rec.ID] = own.error
			case err != nil:
				return errors.Join(err, stuckReports(stuck))
			}
		}
	}
}

// unreadableError concerns one message, and no other.
type unreadableError struct{ error }

// stuckReports names the first message whose report cannot be written, and counts
// the others.
func stuckReports(stuck map[envelope.QueueID]error) error {
	if len(stuck) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(stuck)))
	err := fmt.Errorf("cannot read message %s: %w", first, stuck[first])
	if n := len(stuck) - 1; n > 0 {
		err = fmt.Errorf("%w (and %d more)", err, n)
	}
	return err
}

func (d *Delivery) reportOne(ctx context.Context, rec spool.Record) error {
	if rec.State == spool.Sent {
		return d.reportBounces(ctx, rec)
	}
	header, err := d.header(ctx, rec)
	if err != nil {
		return &unreadableError{err}
	}
	to, why := addressees(rec, header, d.cfg.Reports())
	if len(to) == 0 {
		if rec.ReportOf != "" {
			d.reportFailed(rec)
		} else {
			d.cfg.Log.Info("no report", "queue_id", string(rec.ID), "message_id", rec.MessageID, "rule", why)
		}
		return d.cfg.Store.Reported(ctx, rec.ID)
	}
	mayBeSent, err := d.mayBeSent(ctx, rec)
	if err != nil {
		return &unreadableError{err}
	}
	return d.putReport(ctx, rec, header, dsn.Report{To: to, MaySent: mayBeSent})
}

// reportBounces reports the bounces of a message that nobody has reported.
func (d *Delivery) reportBounces(ctx context.Context, rec spool.Record) error {
	history, err := d.cfg.Store.History(ctx, rec.ID)
	if err != nil {
		return &unreadableError{err}
	}
	bounced := slices.DeleteFunc(history, func(e spool.Event) bool { return !e.Reportable() })
	bounced = bounced[min(rec.BouncesReported, len(bounced)):]
	to, why := bounceAddressees(rec, bounced, d.cfg.Reports())
	if len(to) == 0 {
		d.cfg.Log.Info("no report of a bounce", "queue_id", string(rec.ID), "message_id", rec.MessageID, "rule", why)
		return d.cfg.Store.Reported(ctx, rec.ID)
	}
	report := dsn.Report{To: to}
	for _, e := range bounced {
		report.Bounces = append(report.Bounces, dsn.Bounce{
			Recipient: e.Recipient, Status: e.Status, Text: e.Text, Remote: e.Remote,
		})
	}
	return d.putReport(ctx, rec, nil, report)
}

// bounceAddressees decides who gets the report of bounces. Whoever reads the mailbox in which
// the bounce lies has it already. It is pure.
func bounceAddressees(rec spool.Record, bounced []spool.Event, r Reports) (to []envelope.Address, why string) {
	if to, why = addressees(rec, nil, r); len(to) == 0 {
		return nil, why
	}
	wanted := reportable(rec)
	unwanted := !slices.ContainsFunc(bounced, func(e spool.Event) bool {
		return slices.ContainsFunc(wanted, e.Recipient.Equal)
	})
	to = slices.DeleteFunc(to, func(a envelope.Address) bool {
		holds := func(e spool.Event) bool { return e.Origin.Equal(a) }
		return a.Equal(rec.Mailbox) || slices.ContainsFunc(bounced, holds) ||
			unwanted && a.Equal(rec.Envelope.ReversePath)
	})
	return to, "whom it would go to has the bounce in the mailbox, or wants no reports"
}

// reportFailed raises an alarm about a report that could not be sent: it is kept,
// and only the operator can help.
func (d *Delivery) reportFailed(rec spool.Record) {
	d.cfg.Log.Error("a report failed", "queue_id", string(rec.ID), "report_of", string(rec.ReportOf),
		"error", rec.LastText)
	d.reports.unsent.Store(true)
	d.cfg.Alarm(reportAlarm, text.Cause{
		Headline: "A report of failed mail could not be sent",
		Remedy:   "see why with graphrelay queue list --state failed, and retry it once the cause is gone",
		Detail:   fmt.Sprintf("report %s of message %s: %s", rec.ID, rec.ReportOf, rec.LastText),
	}.String(), true)
}

// reportSent ends that alarm: reports get through again.
func (d *Delivery) reportSent() {
	if d.reports.unsent.CompareAndSwap(true, false) {
		d.cfg.Alarm(reportAlarm, "reports can be sent again", false)
	}
}

// header reads the header block of a message, or what of it a report returns.
// A message without its body has none.
func (d *Delivery) header(ctx context.Context, rec spool.Record) ([]byte, error) {
	if rec.BodyGone {
		return nil, nil
	}
	r, err := d.cfg.Store.Open(ctx, rec.ID)
	if err == nil {
		defer r.Close()
		var header []byte
		header, err = io.ReadAll(io.LimitReader(r, min(rec.HeaderSize, dsn.MaxHeader)))
		if err == nil {
			return header, nil
		}
	}
	if errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrNotFound) {
		return nil, nil
	}
	return nil, err
}

// mayBeSent reports whether an attempt of unknown outcome may have succeeded.
func (d *Delivery) mayBeSent(ctx context.Context, rec spool.Record) (bool, error) {
	if rec.Unknown {
		return true, nil
	}
	history, err := d.cfg.Store.History(ctx, rec.ID)
	return slices.ContainsFunc(history, func(e spool.Event) bool { return e.Unknown }), err
}

// putReport writes a report of rec into the queue.
func (d *Delivery) putReport(ctx context.Context, rec spool.Record, header []byte, report dsn.Report) error {
	now, cfg, to := d.cfg.Now(), d.cfg.Reports(), report.To
	about := reportable(rec)
	if len(about) == 0 || !slices.ContainsFunc(to, rec.Envelope.ReversePath.Equal) {
		about = rec.Envelope.Recipients // it is for the postmaster
	}
	if len(report.Bounces) > 0 {
		about = nil
		for _, b := range report.Bounces {
			about = append(about, b.Recipient)
		}
		rec.LastStatus, rec.LastText, rec.LastRequest = report.Bounces[0].Status, report.Bounces[0].Text, ""
	}
	id := envelope.NewQueueID(now)
	report.From, report.Hostname, report.Date = cfg.From, cfg.Hostname, now
	report.MessageID = "<" + string(id) + "@" + cfg.Hostname + ">"
	report.Status, report.Text = rec.LastStatus, cmp.Or(rec.LastText, "it was not tried")
	report.RequestID, report.LastAttempt = rec.LastRequest, rec.LastAttempt
	report.Original = dsn.Original{
		ID: rec.ID, MessageID: rec.MessageID, Subject: rec.Subject, Recipients: about, Mailbox: rec.Mailbox,
		Accepted: rec.Accepted, Header: header,
	}
	body, headerSize, err := report.Bytes()
	if err != nil {
		return &unreadableError{err}
	}
	m := spool.Message{
		ID: id, Envelope: envelope.Envelope{Recipients: to},
		Client: envelope.Client{Name: "report"}, Mailbox: cfg.Mailbox, From: cfg.From,
		ConfiguredFrom: true, MessageID: report.MessageID, Subject: "report of " + string(rec.ID),
		HeaderSize: int64(headerSize), Accepted: now, ReportOf: rec.ID, ReportDelay: report.Delayed,
		ReportBounces: len(report.Bounces),
	}
	err = d.commit(ctx, m, body)
	if errors.Is(err, spool.ErrState) {
		return nil // it is queued again, or another node was faster
	}
	if err != nil {
		return err
	}
	d.cfg.Log.Info("report", "queue_id", string(id), "report_of", string(rec.ID), "message_id", rec.MessageID,
		"recipients", len(to), "delayed", report.Delayed)
	d.Notify(m)
	return nil
}

func (d *Delivery) commit(ctx context.Context, m spool.Message, body []byte) error {
	draft, err := d.cfg.Store.Begin(ctx, "", int64(len(body)))
	if err != nil {
		return err
	}
	defer draft.Abort()
	if _, err := draft.Write(body); err != nil {
		return err
	}
	return draft.Commit(context.WithoutCancel(ctx), m)
}
