package graph

import (
	"net/http"
	"testing"

	"graphrelay/relay/costtest"
)

// No answer costs more than its length to understand.
func TestCostOfAnswers(t *testing.T) {
	costtest.Linear(t, []string{`{"error":`, `"innerError":{`, "[", `"`, `\u0000`, "}", "eyJ.", "<html>"},
		func(text string) string { return text }, func(in string) {
			classify(http.StatusForbidden, http.Header{"Retry-After": {in[:min(len(in), 999)]}}, []byte(in), noon)
		})
}
