// Package terminal prints for people: colours where somebody looks, tables that
// keep their columns, progress of long work, spans of time and sizes, and JSON
// that a terminal shows as it is. It knows nothing of mail.
//
// Text from elsewhere is made visible by package text before it comes here.
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
