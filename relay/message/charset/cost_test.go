package charset

import (
	"io"
	"strings"
	"testing"

	"graphrelay/relay/costtest"
)

// No text costs more than its length to decode, as a header or as a body.
func TestCostOfTexts(t *testing.T) {
	same := func(text string) string { return text }
	words := []string{"=?", "?=", "?", "=?utf-8?q? ", "=?utf-7?b?", "=?utf-8?b?QQ", "=", "+", "a", " ", "\xff"}
	costtest.Linear(t, words, same, func(in string) { _ = DecodeWords(in) })
	for _, label := range []string{"utf-7", "utf-16", "gb18030", "iso-2022-jp", ""} {
		costtest.Linear(t, []string{"+", "+AA", "\x1b$B", "\xff", "a"}, same,
			func(in string) {
				e := Guess(label, []byte(in[:min(len(in), 4096)]))
				_, _ = io.Copy(io.Discard, NewReader(strings.NewReader(in), e))
				_, _ = io.Copy(io.Discard, ExactReader(strings.NewReader(in)))
			})
	}
}
