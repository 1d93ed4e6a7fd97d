package text_test

import (
	"testing"

	"graphrelay/relay/costtest"
	"graphrelay/relay/text"
)

// No text costs more than its length to show.
func TestCostOfTexts(t *testing.T) {
	costtest.Linear(t, []string{"eyJ", "eyJ.", "Bearer ", "a", "\x00", "\xff", "\r\n", "\u202e"},
		func(s string) string { return s }, func(in string) {
			_, _, _ = text.Line(in), text.Lines(in), text.Foreign(in, len(in))
		})
}
