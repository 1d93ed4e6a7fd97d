// Package terminal prints for people: colours, tables whose columns stay aligned,
// progress, spans of time, sizes, and JSON that cannot harm a terminal. It knows
// nothing of mail. Callers make foreign text visible with package text first.
package terminal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Is reports whether a person reads or writes there.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Painter colours text on a terminal, unless NO_COLOR is set.
type Painter struct{ on bool }

func NewPainter(w io.Writer) Painter {
	return Painter{Is(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The colours, as numbers of SGR.
const (
	Bold   = "1"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
)

func (p Painter) Paint(colour, text string) string {
	if !p.on || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// Confirm asks a question; any answer but y or yes means no.
func Confirm(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, _ := bufio.NewReader(in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}

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
