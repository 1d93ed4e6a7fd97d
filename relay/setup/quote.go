package setup

import (
	"fmt"
	"strings"
	"unicode"
)

// psQuote writes s as a verbatim string of PowerShell. In it nothing is
// expanded; a quote is doubled, and PowerShell takes the typographic ones for
// quotes, too.
func psQuote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch r {
		case '\'', '\u2018', '\u2019', '\u201a', '\u201b':
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

// shQuote writes s as a string of a POSIX shell, in which nothing is expanded.
func shQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// yamlQuote writes s as a double-quoted string of YAML.
func yamlQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// writable refuses what no quoting makes safe to read and to run: a line end
// would end a comment, and a character that steers the direction of text would
// show another script than the one that runs.
func writable(what, s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
	}) {
		return fmt.Errorf("%s %q cannot stand in a script: it is empty or has a control character; write another one", what, s)
	}
	return nil
}
