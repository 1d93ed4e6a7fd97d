package setup

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// psQuote writes s as a string of PowerShell in which nothing is expanded. Only
// ASCII is in it: Windows PowerShell reads a script without a byte order mark in
// the code page of the machine, in which a byte of a UTF-8 letter can be a
// typographic quote, which ends a string like a plain one.
func psQuote(s string) string {
	var b strings.Builder
	ascii := true
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\'':
			b.WriteString("''")
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		default:
			ascii = false
			b.WriteByte('\'')
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, " + [char]0x%04X", unit)
			}
			b.WriteString(" + '")
		}
	}
	b.WriteByte('\'')
	if ascii {
		return b.String()
	}
	return "(" + b.String() + ")"
}

// shQuote writes s as a string of a POSIX shell, in which nothing is expanded.
func shQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// yamlQuote writes s as a double-quoted string of YAML.
func yamlQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// writable refuses what no quoting makes safe to read and to run: a line end would
// end a comment, and a character that changes the direction of text would make
// the script look different from what runs.
func writable(what, s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' ||
			r == '\u2029'
	}) {
		return fmt.Errorf("%s %q cannot be used in a script: it is empty or has a control character; write another one",
			what, s)
	}
	return nil
}
