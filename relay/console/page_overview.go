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

	Waiting, Held, Failed, SentHour, Hours, MoreLanes int
	Open                                              int // SMTP connections
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
	hours := 1
	if r.URL.Query().Get("hours") == "6" {
		hours = 6
	}
	now := c.Now()
	o := overview{Health: state.Judge(snap, now), Waiting: snap.Waiting() - snap.Held, Held: snap.Held,
		Failed: snap.Failed + snap.Damaged, Oldest: snap.Oldest(), Hours: hours, Open: snap.Connections, Now: now}
	o.addMinutes(c.Seen.Minutes(60 * hours))
	o.Lanes, o.MoreLanes = lanesOf(snap, now)
	c.show(w, r, s, http.StatusOK, "overview", page{Title: "Overview", Active: "overview", Live: true, Body: o})
}

// addMinutes draws what happened, and sums up the last hour.
func (o *overview) addMinutes(list []state.Minute) {
	hour := state.Sum(list[max(0, len(list)-60):])
	o.SentHour, o.Median, o.Slow = hour.Sent, hour.Delay(0.5), hour.Delay(0.95)
	step := time.Minute
	if len(list) > 120 {
		var fours []state.Minute
		for four := range slices.Chunk(list, 4) {
			fours = append(fours, state.Sum(four))
		}
		list, step = fours, 4*time.Minute
	}
	values := func(f func(state.Minute) float64) []float64 {
		v := make([]float64, len(list))
		for i, m := range list {
			v[i] = f(m)
		}
		return v
	}
	rate := func(f func(state.Minute) int) []float64 {
		return values(func(m state.Minute) float64 { return float64(f(m)) / step.Minutes() })
	}
	deferred := func(m state.Minute) int { return m.Deferred + m.Paused + m.Held + m.Failed }
	all, start := state.Sum(list), list[0].Start
	o.Charts = []chart{
		draw(wideChart, "Messages per minute",
			fmt.Sprintf("In the last %s %d messages were accepted, %d sent, and %d attempts deferred or failed.",
				lasting(step*time.Duration(len(list))), all.Accepted, all.Sent, deferred(all)),
			start, step, whole,
			series{"accepted", "s1", fmt.Sprint(all.Accepted), rate(func(m state.Minute) int { return m.Accepted })},
			series{"sent", "s2", fmt.Sprint(all.Sent), rate(func(m state.Minute) int { return m.Sent })},
			series{"deferred or failed", "s3", fmt.Sprint(deferred(all)), rate(deferred)}),
		draw(narrowChart, "Waiting messages", fmt.Sprintf("%d messages are waiting now.", o.Waiting+o.Held),
			start, step, whole,
			series{"waiting", "s1", fmt.Sprint(list[len(list)-1].Waiting),
				values(func(m state.Minute) float64 { return float64(m.Waiting) })}),
		draw(narrowChart, "Delay from acceptance to Microsoft 365",
			fmt.Sprintf("In the last hour the median delay was at most %s, the 95th percentile at most %s.",
				lasting(o.Median), lasting(o.Slow)),
			start, step, seconds,
			series{"median", "s1", lasting(o.Median),
				values(func(m state.Minute) float64 { return m.Delay(0.5).Seconds() })},
			series{"95th percentile", "s3", lasting(o.Slow),
				values(func(m state.Minute) float64 { return m.Delay(0.95).Seconds() })}),
	}
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
