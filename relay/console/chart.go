package console

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The drawing area of a chart, in its own units.
const (
	wideChart   = 1080
	narrowChart = 530
	chartHeight = 190
	chartLeft   = 44 // room for the numbers
	chartBottom = 22 // room for the times
	chartTop    = 14
)

// chart is a drawing of lines over time, for the template.
type chart struct {
	Title, Summary string // the same in words, for screen readers
	Lines          []line
	Rows, Columns  []tick // horizontal, with a number; vertical, with a time

	Width, Height, Left, Right, Base int
}

type line struct {
	Name, Class, Total string
	Path, Area         string // of the line; closed, below the first line
}

type tick struct {
	At    int
	Label string
}

// series is a line to draw, with one value for each step, oldest first.
type series struct {
	name, class, total string
	values             []float64
}

// draw makes a chart, width units wide, of series that begin at start.
func draw(
	width int, title, summary string, start time.Time, step time.Duration, format func(float64) string, all ...series,
) chart {
	c := chart{
		Title: title, Summary: summary, Width: width, Height: chartHeight,
		Left: chartLeft, Right: width - 4, Base: chartHeight - chartBottom,
	}
	top := niceTop(all)
	for i := range 3 {
		v := top * float64(i) / 2
		c.Rows = append(c.Rows, tick{c.y(v, top), format(v)})
	}
	n := 0
	for i, s := range all {
		n = len(s.values)
		l := line{Name: s.name, Class: s.class, Total: s.total, Path: c.path(s.values, top)}
		if i == 0 && n > 0 {
			l.Area = fmt.Sprintf("%s L%d %d L%d %d Z", l.Path, c.x(n-1, n), c.Base, c.x(0, n), c.Base)
		}
		c.Lines = append(c.Lines, l)
	}
	c.Columns = c.times(start, step, n)
	return c
}

// niceTop is the least of 1, 2, 5, 10, 20, ... that no value exceeds.
func niceTop(all []series) float64 {
	top := 0.0
	for _, s := range all {
		for _, v := range s.values {
			top = max(top, v)
		}
	}
	if top <= 0 {
		return 2
	}
	p := math.Pow(10, math.Floor(math.Log10(top)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*p >= top {
			return f * p
		}
	}
	return 10 * p
}

func (c chart) x(i, n int) int {
	return c.Left + int(math.Round(float64(i)*float64(c.Right-c.Left)/float64(max(1, n-1))))
}

func (c chart) y(v, top float64) int {
	return c.Base - int(math.Round(v/top*float64(c.Base-chartTop)))
}

func (c chart) path(values []float64, top float64) string {
	var b strings.Builder
	for i, v := range values {
		fmt.Fprintf(&b, "%c%d %d", "ML"[min(i, 1)], c.x(i, len(values)), c.y(v, top))
	}
	return b.String()
}

// times labels about six moments, at whole quarters of an hour or hours.
func (c chart) times(start time.Time, step time.Duration, n int) []tick {
	span := step * time.Duration(n)
	every := 10 * time.Minute
	for _, longer := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour} {
		if span/every > 6 {
			every = longer
		}
	}
	var list []tick
	for i := range n {
		at := start.Add(step * time.Duration(i)).Local()
		if at.Truncate(step).Equal(at.Truncate(every)) && c.x(i, n) > c.Left+12 && c.x(i, n) < c.Right-16 {
			list = append(list, tick{c.x(i, n), at.Format("15:04")})
		}
	}
	return list
}

// whole formats a count for an axis.
func whole(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%gk", v/1000)
	}
	return fmt.Sprintf("%g", v)
}

// seconds formats a duration for an axis.
func seconds(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1:
		return fmt.Sprintf("%g ms", math.Round(v*1000))
	case v >= 120:
		return fmt.Sprintf("%g min", math.Round(v/6)/10)
	}
	return fmt.Sprintf("%g s", v)
}
