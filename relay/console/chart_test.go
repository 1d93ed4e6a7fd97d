package console

import (
	"math"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/monitor"
	"graphrelay/relay/state"
)

func TestChartScale(t *testing.T) {
	for top, want := range map[float64]float64{0: 2, 0.3: 2, 1: 2, 3: 4, 5: 6, 7: 10, 11: 20, 99: 100, 101: 200} {
		if got, known := niceTop([]series{{values: []float64{0, top, math.NaN()}}}, 2); got != want || !known {
			t.Errorf("top of %v = %v, want %v", top, got, want)
		}
	}
	if top, known := niceTop([]series{{values: []float64{math.NaN()}}}, 0); top != 1 || known {
		t.Errorf("without a value: %v %v", top, known)
	}
	three := span{noon, time.Minute, 3}
	c := draw("t", "s", three, 2, whole, series{values: []float64{0, 10, 5}})
	if c.Lines[0].Path != "M166 150L500 10L833 80h0" {
		t.Errorf("path = %s", c.Lines[0].Path)
	}
}

// Where nothing is known a line has a gap, not a zero, and a value alone is a dot.
func TestChartsLeaveGaps(t *testing.T) {
	none := math.NaN()
	line, area := outline([]float64{none, 1, none, 2, 2}, 2)
	if line != "M300 80h0M700 10L900 10h0" || area != "M300 80V150H300ZM700 10L900 10V150H700Z" {
		t.Errorf("%s, area %s", line, area)
	}
	c := draw("t", "s", span{noon, time.Minute, 2}, 0, seconds, series{name: "median", values: []float64{none, none}})
	if len(c.Rows)+len(c.Steps) > 0 {
		t.Errorf("a chart of nothing has an axis: %+v", c)
	}
}

// Each step has its values in words, for the pointer and the arrow keys.
func TestChartsHaveTheirValues(t *testing.T) {
	c := draw("t", "s", span{noon.Local(), 2 * time.Hour, 84}, 2, whole,
		series{name: "accepted", values: append([]float64{1234, math.NaN()}, make([]float64, 82)...)},
		series{name: "delivered", values: append([]float64{0.25, math.NaN()}, make([]float64, 82)...)})
	day := noon.Local().Format("Mon 2 Jan 15:04") + " to " + noon.Local().Add(2*time.Hour).Format("15:04")
	if got := c.Steps[0].Label; got != day+": accepted 1,234, delivered 0.2" {
		t.Errorf("%q", got)
	}
	if got := c.Steps[1].Label; !strings.HasSuffix(got, ": nothing") {
		t.Errorf("%q", got)
	}
}

// However long a range is, it has a few labels, at times that people name.
func TestChartTimes(t *testing.T) {
	midnight := time.Date(2026, 11, 25, 0, 7, 0, 0, time.Local)
	for _, c := range []struct {
		step time.Duration
		n    int
		want string
	}{
		{time.Minute, 60, "00:10 00:20 00:30 00:40 00:50 01:00"},
		{4 * time.Minute, 90, "01:00 02:00 03:00 04:00 05:00"},
		{15 * time.Minute, 96, "04:00 08:00 12:00 16:00 20:00"},
	} {
		var got []string
		for _, tick := range (span{midnight, c.step, c.n}).times() {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %s", c.step, got, c.want)
		}
	}
	days := span{midnight, 6 * time.Hour, 120}.times()
	if len(days) < 4 || len(days) > 7 || !strings.HasSuffix(days[0].Label, "Nov") {
		t.Errorf("30 days: %+v", days)
	}
}

// The charts know what came before the start of the service from a minute without
// mail, at every range, and the minute that is not over makes no line fall.
func TestChartsKnowWhenTheServiceRan(t *testing.T) {
	now := noon.Add(-90 * time.Minute)
	m := monitor.New(monitor.Config{Now: func() time.Time { return now }})
	for range 90 {
		m.Sampled(state.Snapshot{})
		m.Accepted(monitor.Taken{Client: "erp"})
		now = now.Add(time.Minute)
	}
	for _, r := range ranges {
		steps, all := r.read(m)
		known := 0
		for _, s := range steps {
			if s.Known {
				known++
			}
		}
		want := map[string]int{"1h": 60, "6h": 23, "24h": 6, "7d": 1, "30d": 1}[r.Value]
		if len(steps) != r.steps || known < want-1 || known > want+1 || all.Accepted < 60 {
			t.Errorf("%s: %d of %d steps known, want %d; %d accepted", r.Text, known, len(steps), want, all.Accepted)
		}
		charts := chartsOf(m, r, 0)
		if late := charts[2]; late.Rows != nil || late.Empty == "" {
			t.Errorf("%s: a delay is drawn although nothing was delivered: %+v", r.Text, late)
		}
		if flow := charts[0]; !strings.Contains(flow.Lines[0].Path, "M") {
			t.Errorf("%s: nothing is drawn", r.Text)
		}
	}
}
