package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// maxLanes bounds the mailboxes on the overview.
const maxLanes = 50

type overview struct {
	Health       state.Health
	Oldest, Now  time.Time
	Median, Slow time.Duration
	Charts       []chart
	Lanes        []lane
	Turns        []waits
	Needs        []need

	Ranges []timeRange
	Range  timeRange

	Waiting, Held, Failed, SentHour, MoreLanes, MoreTurns int
	Open                                                  int // SMTP connections
}

type lane struct {
	state.Lane
	Class string // of its state
	State untrusted
	Today int
}

func (c *Console) overview(w http.ResponseWriter, r *http.Request, s *session) {
	snap, err := c.Snapshot(r.Context())
	if err != nil {
		c.broken(w, r, s, err)
		return
	}
	now := c.Now()
	o := overview{Health: state.Judge(snap, now), Waiting: snap.Waiting() - snap.Held, Held: snap.Held,
		Failed: snap.Failed + snap.Damaged, Oldest: snap.Oldest(), Open: snap.Connections, Now: now, Ranges: ranges,
		Range: rangeOf(r.URL.Query().Get("range"))}
	hour := state.Sum(c.Seen.Minutes(60))
	o.SentHour, o.Median, o.Slow = hour.Sent, hour.Delay(0.5), hour.Delay(0.95)
	o.Charts = chartsOf(c.Seen, o.Range, o.Waiting+o.Held)
	o.Lanes, o.MoreLanes = lanesOf(snap, now)
	o.Turns, o.MoreTurns = turnsOf(o.Lanes)
	o.Needs = needsOf(o.Health, snap.Holds)
	c.show(w, r, s, http.StatusOK, "overview", page{Title: "Overview", Active: "overview", Live: true,
		Note: noted(r), Body: o})
}

// lanesOf are the mailboxes with mail, those that need attention first.
func lanesOf(s state.Snapshot, now time.Time) (list []lane, more int) {
	today := map[string]int{}
	for _, m := range s.Mailboxes {
		today[m.Mailbox] = m.Recipients
	}
	for _, l := range s.Lanes {
		v := lane{Lane: l, Class: "good", State: "OK", Today: today[l.Mailbox]}
		hold, from := holdOf(l, s.Holds)
		switch {
		case hold != "":
			v.Class, v.State = "bad", untrusted("on hold: "+hold)
		case from != "":
			v.Class, v.State = "bad", untrusted("mail from "+from+" is on hold")
		case l.Elsewhere:
			v.State = "sent by another node"
		case l.Backoff.After(now) && l.BackoffBy == state.BackoffFailures:
			v.Class, v.State = "warn", untrusted("attempts fail, next try in "+lasting(l.Backoff.Sub(now)))
		case l.Backoff.After(now):
			v.Class, v.State = "warn", untrusted("throttled by Microsoft, resumes in "+lasting(l.Backoff.Sub(now)))
		case l.Failures > 0:
			v.Class, v.State = "warn", untrusted(fmt.Sprintf("%d consecutive attempts failed", l.Failures))
		case l.Waiting()+l.Sending == 0 && l.Held > 0:
			v.Class, v.State = "warn", "held messages need action"
		}
		list = append(list, v)
	}
	weight := map[string]int{"bad": 0, "warn": 1, "good": 2}
	slices.SortStableFunc(list, func(a, b lane) int {
		return cmp.Or(weight[a.Class]-weight[b.Class], (b.Waiting()+b.Sending+b.Held)-(a.Waiting()+a.Sending+a.Held))
	})
	if len(list) > maxLanes {
		list, more = list[:maxLanes], len(list)-maxLanes
	}
	return list, more
}

// waits is the mail of one client that waits in a mailbox.
type waits struct {
	Mailbox string
	state.Waits
	Client, Busiest untrusted
}

// turnsOf are the clients whose mail takes turns in a mailbox.
func turnsOf(lanes []lane) (list []waits, more int) {
	for _, l := range lanes {
		if l.TakesTurns() {
			for _, w := range l.Clients {
				list = append(list, waits{l.Mailbox, w, untrusted(w.Client), untrusted(w.Busiest)})
			}
		}
	}
	n := min(len(list), maxLanes)
	return list[:n], len(list) - n
}

// holdOf is why a mailbox does not send; else from is an address that it does
// not send as, if there is one.
func holdOf(l state.Lane, holds []state.Hold) (why, from string) {
	for _, h := range holds {
		whole, one := h.Stops(l)
		if whole {
			return text.ReadCause(h.Text).Headline, ""
		}
		from = cmp.Or(one, from)
	}
	return "", from
}
