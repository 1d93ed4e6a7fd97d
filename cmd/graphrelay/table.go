package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/width"
)

// visible makes a text that came from a message safe to print on a terminal:
// control, bidi and other invisible characters become escapes.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// shellWord quotes a text in a command that is shown to be copied: with a wildcard
// in senders, a client chooses what stands in the name of a mailbox.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// visibleLines is visible for a text of several lines.
func visibleLines(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(visible(strings.ReplaceAll(l, "\t", "    ")), "\\ufffd", "\uFFFD")
	}
	return strings.Join(lines, "\n")
}

// columnsOf is how many columns of a terminal s takes.
func columnsOf(s string) int {
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

// short cuts s to some columns, with an ellipsis.
func short(s string, columns int) string {
	if columnsOf(s) <= columns {
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

// ago writes a span of time in one unit, as people say it.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "in " + ago(-d)
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func byteSize(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d", n)
	case n < 10<<20:
		return fmt.Sprintf("%dK", n>>10)
	default:
		return fmt.Sprintf("%dM", n>>20)
	}
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) }

// printJSON writes v for programs, and harmless for a terminal all the same.
func printJSON(w io.Writer, v any) error {
	b, err := visibleJSON(v, "")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// visibleJSON writes what a terminal would not show, or obey, as JSON's own
// escapes; to a program they are the same.
func visibleJSON(v any, prefix string) ([]byte, error) {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetIndent(prefix, "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, r := range strings.TrimSuffix(plain.String(), "\n") {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes(), nil
}
