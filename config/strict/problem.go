package strict

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a file, or a thing found out later about its values.
type Problem struct {
	File   string
	Line   int    // from 1; 0 where the file could not be read at all
	Key    string // such as senders[0].address; empty if the mistake is not in a key
	Wrong  string
	Text   string // the offending text; may be empty
	Remedy string
}

// maxText bounds how much of a file a message repeats, in characters.
const maxText = 60

// String gives one line without control characters:
// FILE:LINE: KEY: what is wrong ("offending text"); what to do.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Wrong)
	if p.Text != "" {
		fmt.Fprintf(&b, " (%q)", cut(p.Text, maxText))
	}
	return b.String() + "; " + p.Remedy
}

// Errors are all the problems of one file, by line. It is never empty.
type Errors []Problem

// Error gives one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// ByLine sorts problems; those of one line stay in the order they were found.
func (e Errors) ByLine() {
	slices.SortStableFunc(e, func(a, b Problem) int { return a.Line - b.Line })
}

// Fault is a Problem whose place is not known yet.
type Fault struct{ wrong, remedy string }

func (f *Fault) Error() string { return f.wrong + "; " + f.remedy }

// Bad makes a Fault. wrong completes a sentence about the key, remedy begins with what to do.
func Bad(wrong, remedy string) *Fault { return &Fault{wrong, remedy} }

// cut shortens s to n characters.
func cut(s string, n int) string {
	seen := 0
	for i := range s {
		if seen++; seen > n {
			return s[:i] + "..."
		}
	}
	return s
}

// hidePassword takes the user information out of a text that may be a URL,
// with a scheme or without, before it gets into a message.
func hidePassword(text string) string {
	at := strings.LastIndex(text, "@")
	if at < 0 {
		return text
	}
	if begin := strings.Index(text, "//"); begin >= 0 && begin < at {
		return text[:begin] + "//***" + text[at:]
	}
	if user, password, ok := strings.Cut(text[:at], ":"); ok && user != "" && password != "" &&
		!strings.ContainsAny(text, " \t") {
		return "***" + text[at:]
	}
	return text
}
