package dsn

import (
	"testing"

	"graphrelay/relay/costtest"
)

// No header costs more than its length to be judged, or quoted in a report.
func TestCostOfReports(t *testing.T) {
	costtest.Linear(t, []string{"a: b\r\n", " c\r\n", "\r\n", ":", "\x00", "\xff", "Auto-Submitted: no\r\n"},
		func(text string) string { return text }, func(in string) {
			_ = Unwanted([]byte(in))
			r := example()
			r.Original.Header, r.Original.Subject, r.Original.MessageID, r.Text = []byte(in), in, in, in
			_, _, _ = r.Bytes()
		})
}
