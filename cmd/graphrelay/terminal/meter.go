package terminal

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Meter shows the progress of long work on a terminal.
type Meter struct {
	w     io.Writer // nil: not a terminal
	total int       // 0: unknown
	shown time.Time
	begun time.Time
	verb  string
	drawn bool
}

func NewMeter(w io.Writer, verb string, total int) *Meter {
	m := &Meter{verb: verb, total: total, begun: time.Now()}
	if Is(w) {
		m.w = w
	}
	return m
}

// Show draws at most ten times a second, and only after the first second.
func (m *Meter) Show(done int) {
	now := time.Now()
	if m.w == nil || now.Sub(m.begun) < time.Second || now.Sub(m.shown) < 100*time.Millisecond {
		return
	}
	m.shown, m.drawn = now, true
	fmt.Fprintf(m.w, "\r\x1b[K%s", meterLine(m.verb, done, m.total, now.Sub(m.begun)))
}

// End clears the line.
func (m *Meter) End() {
	if m.w != nil && m.drawn {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}

// meterLine is a bar if the total is known, otherwise a count.
func meterLine(verb string, done, total int, took time.Duration) string {
	rate := float64(done) / max(took.Seconds(), 0.001)
	if total <= 0 || done > total {
		return fmt.Sprintf("%s %d, %.0f/s", verb, done, rate)
	}
	const width = 30
	full := width * done / total
	return fmt.Sprintf("%s [%s%s] %d of %d, %.0f/s", verb, strings.Repeat("#", full), strings.Repeat(".", width-full),
		done, total, rate)
}
