package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"graphrelay/relay/dsn"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// delayLook is how many of the oldest messages of a mailbox are looked at for
// one to warn about.
const delayLook = 20

// isDelayed decides whether to warn the postmaster that rec waits: not twice, and
// time in holds does not count. It is pure.
func isDelayed(rec spool.Record, now time.Time, after time.Duration) bool {
	return rec.State.Stored() == spool.Queued && !rec.DelayWarned && rec.ReportOf == "" &&
		!rec.Envelope.ReversePath.IsZero() && after > 0 && now.Sub(rec.Accepted)-rec.HeldFor >= after
}

// warnOfDelays warns the postmaster of mail that waits for longer than
// reports.delay_warning. A backlog of thousands gives one warning for each
// mailbox, about its oldest message, and the next one after the same time again at
// the earliest. There are none during a hold, whose alarm is raised already. Of several
// nodes the one that leads warns.
func (d *Delivery) warnOfDelays(ctx context.Context) error {
	r, now := d.cfg.Reports(), d.cfg.Now()
	if r.DelayWarning <= 0 || r.Postmaster.IsZero() || !d.cfg.Store.Leads() {
		return nil
	}
	lanes, err := d.cfg.Store.Lanes(ctx)
	if err != nil {
		return err
	}
	warned := map[string]time.Time{}
	var failed error
	for _, l := range lanes {
		key := l.Mailbox.Key()
		if at, ok := d.reports.warned[key]; ok {
			warned[key] = at
		}
		young := now.Sub(l.Oldest) < r.DelayWarning || now.Sub(warned[key]) < r.DelayWarning
		if l.Waiting() == 0 || young || d.isHeld(l.Mailbox) {
			continue
		}
		did, err := d.warnOfLane(ctx, l, r, now)
		failed = errors.Join(failed, err) // and does not stop the others
		if did {
			warned[key] = now
		}
	}
	d.reports.warned = warned // without the mailboxes that have no mail any more
	return failed
}

// isHeld reports whether a hold stops the whole mailbox.
func (d *Delivery) isHeld(mailbox envelope.Address) bool {
	route, ok := d.route(mailbox)
	return !ok || d.holds.Blocking(route.Identity, mailbox) != ""
}

func (d *Delivery) warnOfLane(ctx context.Context, l spool.Lane, r Reports, now time.Time) (bool, error) {
	queued := spool.Filter{States: spool.Waiting(), Mailbox: l.Mailbox, Limit: delayLook}
	oldest, err := d.cfg.Store.List(ctx, queued)
	if err != nil {
		return false, err
	}
	narrow := d.holds.Narrow(l.Mailbox)
	var failed error // for one message, while another may be warned about
	for _, rec := range oldest {
		if !isDelayed(rec, now, r.DelayWarning) || covered(narrow, rec) {
			continue
		}
		header, err := d.header(ctx, rec)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot read message %s: %w", rec.ID, err))
			continue
		}
		if dsn.Unwanted(header) != "" {
			continue
		}
		report := dsn.Report{Delayed: true, Others: l.Waiting() - 1, MaySent: rec.Unknown}
		report.To = []envelope.Address{r.Postmaster}
		if limits := d.limits(); limits.MaxAge > 0 {
			report.Until = rec.Accepted.Add(rec.HeldFor + limits.MaxAge)
		}
		err = d.putReport(ctx, rec, header, report)
		return err == nil, errors.Join(failed, err)
	}
	return false, failed
}
