package delivery

import (
	"context"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// check looks at each message when the week is over.
func (w *badWeek) check() {
	ledger, failed := w.double.Ledger(), 0
	for _, l := range w.accepted {
		rec, err := w.store.Get(context.Background(), l.id)
		w.must(err)
		want := spool.Sent
		if l.id == w.poison || l.mailbox.Equal(w.deleted) && !l.at.Before(w.gone) {
			want = spool.Failed
			failed++
		}
		sent, reports := 1, 0
		if want == spool.Failed {
			sent, reports = 0, 1
		}
		if rec.State != want || ledger[l.messageID] != sent || w.arrived[l.id] != reports {
			w.t.Errorf("%s of %s for %s is %s (%s), was sent %d times and reported %d times",
				l.id, l.at.Format("Mon 15:04"), l.mailbox, rec.State, rec.LastText,
				ledger[l.messageID], w.arrived[l.id])
		}
		if want == spool.Failed && l.id != w.poison {
			w.checkMaxHold(l, rec)
		}
	}
	if w.double.Count() != len(w.accepted) || len(w.arrived) != failed || w.double.Stats().Duplicates != 0 {
		w.t.Errorf("%d messages at the double, %d of them reports, %d twice; %d were accepted and %d failed",
			w.double.Count(), len(w.arrived), w.double.Stats().Duplicates, len(w.accepted), failed)
	}
	w.checkReports()
	w.checkAnswers()
	if now, _ := w.slots(time.Now()); now != defaultIdentitySlots {
		w.t.Errorf("the identity has %d slots days after it was throttled", now)
	}
}

// checkMaxHold: the mail of the deleted mailbox fails when the time that it was
// held, by whatever hold, is max_hold, and at most one look later.
func (w *badWeek) checkMaxHold(l letter, rec spool.Record) {
	due := pacing.Later(l.at, pacing.Earlier(w.holdFrom, w.heldFrom)).Add(weekMaxHold)
	if late := rec.FinishedAt.Sub(due); late < 0 || late > expireEvery {
		w.t.Errorf("%s, accepted %s, failed %s: %v after max_hold", l.id, l.at.Format("Mon 15:04:05"),
			rec.FinishedAt.Format("Mon 15:04:05"), late)
	}
}

// checkReports: a report is in the queue as soon as a message has failed, and is
// sent like other mail from there on.
func (w *badWeek) checkReports() {
	for _, m := range w.referee.mails {
		if m.of == "" {
			continue
		}
		rec, err := w.store.Get(context.Background(), m.of)
		w.must(err)
		if rec.State != spool.Failed || !m.at.Equal(rec.FinishedAt) || m.sent.IsZero() {
			w.t.Errorf("report %s of %s, which is %s since %v, was made at %v and sent at %v", m.id, m.of, rec.State,
				rec.FinishedAt, m.at, m.sent)
		}
	}
}

// checkAnswers: the week was as bad as it was meant to be, and what Graph asked
// for was understood in either form.
func (w *badWeek) checkAnswers() {
	answers := w.double.Stats().Answers
	if answers["token"][401] == 0 || answers["sendMail"][401] == 0 || answers["sendMail"][404] == 0 ||
		answers["sendMail"][400] != 1 {
		w.t.Errorf("answers %v", answers)
	}
	if asked := w.referee.asked; asked[7*time.Second] == 0 || asked[30*time.Second] == 0 || len(asked) != 2 {
		w.t.Errorf("Graph asked for 7 and for 30 seconds; understood was %v", asked)
	}
}

// checkProbes: a hold is probed after 1, 2, 4 ... 30 minutes.
func (w *badWeek) checkProbes() {
	last := w.holdFrom
	for n, at := range w.referee.probes {
		if wait := at.Sub(last); wait < hold.ProbeAfter(n) || wait > hold.ProbeAfter(n)+time.Second {
			w.t.Errorf("probe %d of the identity came %v after the last, and not after %v", n+1, wait,
				hold.ProbeAfter(n))
		}
		last = at
	}
	if idle := time.Since(last); idle > pace.MaxBackoff+time.Second {
		w.t.Errorf("there was no probe of the identity for %v", idle)
	}
}
