package console

import (
	"fmt"
	"math"
	"slices"
	"time"

	"graphrelay/relay/state"
)

// timeRange is how far back the charts go.
type timeRange struct {
	Value, Text string
	steps       int           // that are drawn
	step        time.Duration // of each
}

var ranges = []timeRange{
	{"1h", "1 hour", 60, time.Minute}, {"6h", "6 hours", 90, 4 * time.Minute},
	{"24h", "24 hours", 96, 15 * time.Minute},
	{"7d", "7 days", 84, 2 * time.Hour}, {"30d", "30 days", 120, 6 * time.Hour},
}

// rangeOf is the range with a name, else the first.
func rangeOf(name string) timeRange {
	i := slices.IndexFunc(ranges, func(r timeRange) bool { return r.Value == name })
	return ranges[max(0, i)]
}

// read returns what happened in the steps of a range, without the minute or hour
// that is not over yet, and the sum with it.
func (r timeRange) read(seen Seen) (steps []state.Minute, all state.Minute) {
	small, read := time.Minute, seen.Minutes
	if r.step >= time.Hour {
		small, read = time.Hour, seen.Hours
	}
	each := int(r.step / small)
	list := read(r.steps*each + 1)
	for chunk := range slices.Chunk(list[:len(list)-1], each) {
		steps = append(steps, state.Sum(chunk))
	}
	return steps, state.Sum(list)
}

// chartsOf draw what happened in a range; waiting is how many messages wait now.
func chartsOf(seen Seen, r timeRange, waiting int) []chart {
	steps, all := r.read(seen)
	h := happened{steps, span{steps[0].Start, r.step, len(steps)}}
	median, slow := all.Delay(0.5), all.Delay(0.95)
	queue := h.values(func(m state.Minute) float64 { return float64(m.Waiting) })
	charts := []chart{
		h.flow(r, all),
		draw("Waiting messages", fmt.Sprintf("%d messages are waiting now.", waiting), h.over, 2, whole,
			series{"waiting", "s1", grouped(waiting), queue}),
		draw("Delay from acceptance to Microsoft 365",
			fmt.Sprintf("In %s the median delay was at most %s, the 95th percentile at most %s.", r.Text,
				lasting(median), lasting(slow)), h.over, 0, seconds,
			series{"median", "s1", lasting(median), h.delay(0.5)},
			series{"95th percentile", "s3", lasting(slow), h.delay(0.95)}),
	}
	for i := range charts {
		charts[i].Empty = "Nothing is recorded yet: the first minute is not over."
	}
	charts[0].Wide, charts[2].Empty = true, "Nothing was sent in this time."
	return charts
}

// happened is what charts are drawn from.
type happened struct {
	steps []state.Minute
	over  span
}

// flow draws messages by what became of them, per minute or per hour.
func (h happened) flow(r timeRange, all state.Minute) chart {
	unit, per := time.Minute, "minute"
	if r.step >= time.Hour {
		unit, per = time.Hour, "hour"
	}
	rate := func(f func(state.Minute) int) []float64 {
		return h.values(func(m state.Minute) float64 { return float64(f(m)) * float64(unit) / float64(r.step) })
	}
	deferred := func(m state.Minute) int { return m.Deferred + m.Paused + m.Held + m.Failed }
	return draw("Messages per "+per, fmt.Sprintf("In %s: %d accepted, %d sent, %d attempts deferred or failed.",
		r.Text, all.Accepted, all.Sent, deferred(all)), h.over, 2, whole,
		series{"accepted", "s1", grouped(all.Accepted), rate(func(m state.Minute) int { return m.Accepted })},
		series{"sent", "s2", grouped(all.Sent), rate(func(m state.Minute) int { return m.Sent })},
		series{"deferred or failed", "s3", grouped(deferred(all)), rate(deferred)})
}

// values are NaN where the service did not run.
func (h happened) values(f func(state.Minute) float64) []float64 {
	v := make([]float64, len(h.steps))
	for i, m := range h.steps {
		if v[i] = math.NaN(); m.Known {
			v[i] = f(m)
		}
	}
	return v
}

// delay is NaN where nothing was sent.
func (h happened) delay(share float64) []float64 {
	return h.values(func(m state.Minute) float64 {
		if m.Sent == 0 {
			return math.NaN()
		}
		return m.Delay(share).Seconds()
	})
}
