package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Grid is a table whose columns stay aligned whatever the cells contain.
type Grid struct {
	Painter
	w        io.Writer
	rows     [][]string
	Headless bool // for the pages after the first
}

func NewGrid(w io.Writer, head ...string) *Grid {
	return &Grid{Painter: NewPainter(w), w: w, rows: [][]string{head}}
}

func (g *Grid) Row(cells ...string) { g.rows = append(g.rows, cells) }

// Note adds a line of text below the last row.
func (g *Grid) Note(text string) { g.rows = append(g.rows, []string{text}) }

// Print writes the rows. colour returns the colour of a cell below the head.
func (g *Grid) Print(colour func(column int, cell string) string) error {
	widths := make([]int, len(g.rows[0]))
	for _, r := range g.rows {
		for i, cell := range r {
			if len(r) > 1 {
				widths[i] = max(widths[i], Columns(cell))
			}
		}
	}
	for n, r := range g.rows {
		if n == 0 && g.Headless {
			continue
		}
		var line strings.Builder
		for i, cell := range r {
			c := Bold
			if n > 0 {
				c = colour(i, cell)
			}
			line.WriteString(g.Paint(c, cell))
			if i < len(r)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-Columns(cell)+2))
			}
		}
		if _, err := fmt.Fprintln(g.w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// Columns is the number of terminal columns that s takes.
func Columns(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOfRune(r)
	}
	return n
}

func columnsOfRune(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Short cuts s to a number of columns, with an ellipsis.
func Short(s string, columns int) string {
	if Columns(s) <= columns {
		return s
	}
	left := columns - 1
	for i, r := range s {
		if left -= columnsOfRune(r); left < 0 {
			return s[:i] + "…"
		}
	}
	return s
}
