package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a file, or one thing that Check found.
type Problem struct {
	File   string
	Line   int    // from 1; 0 where the file could not be read at all
	Key    string // such as senders[0].address; empty where no key is concerned
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

// byLine sorts problems; those of one line stay in the order they were found.
func (e Errors) byLine() {
	slices.SortStableFunc(e, func(a, b Problem) int { return a.Line - b.Line })
}

// fault is a Problem that does not know yet where it is.
type fault struct{ wrong, remedy string }

func (f *fault) Error() string { return f.wrong + "; " + f.remedy }

// bad makes a fault. wrong completes a sentence about the key, remedy begins
// with what to do.
func bad(wrong, remedy string) *fault { return &fault{wrong, remedy} }

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
