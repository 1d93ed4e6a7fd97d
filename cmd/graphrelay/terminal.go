package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// isTerminal tells whether a person reads or writes there.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// painter colours words where a person looks at them who did not say NO_COLOR.
type painter struct{ on bool }

func newPainter(w io.Writer) painter {
	return painter{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The colours, as numbers of SGR.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (p painter) paint(colour, text string) string {
	if !p.on || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// stateColour says at a glance whether somebody must do something.
func stateColour(state string) string {
	switch state {
	case "held", "unknown", "deferred":
		return yellow
	case "failed", "bounced", "damaged":
		return red
	case "sent":
		return green
	}
	return ""
}

// grid is a table whose cells keep their width whatever is written in them.
type grid struct {
	painter
	w        io.Writer
	rows     [][]string
	headless bool // for the pages after the first
}

func newGrid(w io.Writer, head ...string) *grid {
	return &grid{painter: newPainter(w), w: w, rows: [][]string{head}}
}

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// note is a line of its own below the last row.
func (g *grid) note(text string) { g.rows = append(g.rows, []string{text}) }

// print writes the rows. colours gives a cell below the head its colour.
func (g *grid) print(colour func(column int, cell string) string) error {
	widths := make([]int, len(g.rows[0]))
	for _, r := range g.rows {
		for i, cell := range r {
			if len(r) > 1 {
				widths[i] = max(widths[i], columnsOf(cell))
			}
		}
	}
	for n, r := range g.rows {
		if n == 0 && g.headless {
			continue
		}
		var line strings.Builder
		for i, cell := range r {
			c := bold
			if n > 0 {
				c = colour(i, cell)
			}
			line.WriteString(g.paint(c, cell))
			if i < len(r)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-columnsOf(cell)+2))
			}
		}
		if _, err := fmt.Fprintln(g.w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// meter shows on a terminal how far something is that takes long.
type meter struct {
	w     io.Writer // nil: nobody looks
	total int       // 0: not known
	shown time.Time
	begun time.Time
	verb  string
	drawn bool
}

func newMeter(w io.Writer, verb string, total int) *meter {
	m := &meter{verb: verb, total: total, begun: time.Now()}
	if isTerminal(w) {
		m.w = w
	}
	return m
}

// show draws, at most ten times a second, and nothing for what takes less than one.
func (m *meter) show(done int) {
	now := time.Now()
	if m.w == nil || now.Sub(m.begun) < time.Second || now.Sub(m.shown) < 100*time.Millisecond {
		return
	}
	m.shown, m.drawn = now, true
	fmt.Fprintf(m.w, "\r\x1b[K%s", meterLine(m.verb, done, m.total, now.Sub(m.begun)))
}

// end wipes the line.
func (m *meter) end() {
	if m.w != nil && m.drawn {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}

// meterLine is a bar where the end is known, else a count.
func meterLine(verb string, done, total int, took time.Duration) string {
	rate := float64(done) / max(took.Seconds(), 0.001)
	if total <= 0 || done > total {
		return fmt.Sprintf("%s %d, %.0f/s", verb, done, rate)
	}
	const width = 30
	full := width * done / total
	return fmt.Sprintf("%s [%s%s] %d of %d, %.0f/s", verb, strings.Repeat("#", full), strings.Repeat(".", width-full), done, total, rate)
}

// confirm asks a question whose answer is no, unless it is yes.
func confirm(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, _ := bufio.NewReader(in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}
