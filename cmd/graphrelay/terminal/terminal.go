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
