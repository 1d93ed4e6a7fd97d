package console

import (
	"fmt"
	"math"
	"strings"
	"time"

	"graphrelay/relay/text"
)

// The drawing area of a chart. Lines are drawn in units of plotWidth, which the
// page stretches to any width; heights are pixels, so labels keep their size.
const (
	plotWidth  = 1000
	plotHeight = 150
	plotTop    = 10
)

// chart is a drawing of lines over time, for the template.
type chart struct {
	Title, Summary string // the same in words, for screen readers
	Empty          string // in place of a drawing of nothing
	Lines          []line
	Rows           []tick // horizontal, at a pixel, with a number
	Columns        []tick // vertical, at a percentage of the width, with a time
	Steps          []tick // where each step begins, with its values
	StepWidth      float64
	Wide           bool
	Height         int
}

type line struct {
	Name, Class, Total string
	Path, Area         string // of the line; closed, below the first line
}

type tick struct {
	At    float64
	Label string
}

// series is a line to draw, with one value for each step, oldest first. What is
// not known, or never was, is NaN and is not drawn.
type series struct {
	name, class, total string
	values             []float64
}

// span is the time that a chart shows.
type span struct {
	start time.Time
	step  time.Duration
	n     int
}

// draw makes a chart of series over a span. least is the least top of the scale.
func draw(title, summary string, over span, least float64, format func(float64) string, all ...series) chart {
	c := chart{Title: title, Summary: summary, Height: plotHeight, StepWidth: 100 / float64(over.n)}
	top, known := niceTop(all, least)
	for i, s := range all {
		l := line{Name: s.name, Class: s.class, Total: s.total}
		l.Path, l.Area = outline(s.values, top)
		if i > 0 {
			l.Area = ""
		}
		c.Lines = append(c.Lines, l)
	}
	if !known {
		return c
	}
	for i := range 3 {
		v := top * float64(i) / 2
		c.Rows = append(c.Rows, tick{y(v, top), format(v)})
	}
	for i := range over.n {
		c.Steps = append(c.Steps, tick{c.StepWidth * float64(i), over.values(i, format, all)})
	}
	c.Columns = over.times()
	return c
}

// values are those of a step in words.
func (o span) values(i int, format func(float64) string, all []series) string {
	at, layout := o.start.Add(o.step*time.Duration(i)).Local(), "15:04"
	if o.step*time.Duration(o.n) > 24*time.Hour {
		layout = "Mon 2 Jan 15:04"
	}
	words := at.Format(layout) + " to " + at.Add(o.step).Format("15:04") + ": "
	var known []string
	for _, s := range all {
		if !math.IsNaN(s.values[i]) {
			known = append(known, s.name+" "+format(s.values[i]))
		}
	}
	if known == nil {
		return words + "nothing"
	}
	return words + strings.Join(known, ", ")
}

// niceTop is the least round number that no value exceeds, and whether there is a
// value.
func niceTop(all []series, least float64) (top float64, known bool) {
	top = least
	for _, s := range all {
		for _, v := range s.values {
			if !math.IsNaN(v) {
				top, known = max(top, v), true
			}
		}
	}
	if top <= 0 {
		return 1, known
	}
	p := math.Pow(10, math.Floor(math.Log10(top)))
	for _, f := range []float64{1, 2, 4, 6} {
		if f*p >= top {
			return f * p, known
		}
	}
	return 10 * p, known
}

func y(v, top float64) float64 { return plotHeight - math.Round(v/top*(plotHeight-plotTop)) }

// outline draws the known values, and the area below them; between those that are not
// known it leaves a gap.
func outline(values []float64, top float64) (line, area string) {
	x := func(i int) int { return int((float64(i) + 0.5) / float64(len(values)) * plotWidth) }
	for i := 0; i < len(values); i++ {
		first, part := i, ""
		for ; i < len(values) && !math.IsNaN(values[i]); i++ {
			part += fmt.Sprintf("%c%d %g", "ML"[min(i-first, 1)], x(i), y(values[i], top))
		}
		if part != "" {
			line += part + "h0" // a value between two gaps is a dot
			area += fmt.Sprintf("%sV%dH%dZ", part, plotHeight, x(first))
		}
	}
	return line, area
}

// times labels up to seven moments: whole minutes, hours or days of local time.
func (o span) times() (list []tick) {
	every, layout := o.step, "15:04"
	for _, longer := range []time.Duration{
		10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
		24 * time.Hour, 5 * 24 * time.Hour,
	} {
		if o.step*time.Duration(o.n)/every > 7 {
			every = longer
		}
	}
	if every >= 24*time.Hour {
		layout = "2 Jan"
	}
	for i := range o.n {
		before, at := o.wall(i-1), o.wall(i)
		x := 100 * (float64(i) + 0.5) / float64(o.n)
		if at/every != before/every && x > 3 && x < 97 {
			list = append(list, tick{x, o.start.Add(o.step*time.Duration(i) - at%every).Local().Format(layout)})
		}
	}
	return list
}

// wall is the time on the clock at a step, as a duration since some midnight.
func (o span) wall(i int) time.Duration {
	at := o.start.Add(o.step * time.Duration(i)).Local()
	_, offset := at.Zone()
	return time.Duration(at.Unix()+int64(offset)) * time.Second
}

// whole formats a count, or a rate, for an axis.
func whole(v float64) string {
	if v != math.Trunc(v) {
		return fmt.Sprintf("%.1f", v)
	}
	return text.Grouped(int64(v))
}

// seconds formats a duration for an axis.
func seconds(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1:
		return fmt.Sprintf("%g ms", math.Round(v*1000))
	case v >= 7200:
		return fmt.Sprintf("%g h", math.Round(v/360)/10)
	case v >= 120:
		return fmt.Sprintf("%g min", math.Round(v/6)/10)
	}
	return fmt.Sprintf("%g s", math.Round(v*10)/10)
}
