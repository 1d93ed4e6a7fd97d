package largemail

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
)

// stepAnswer is an answer to a request of large mail; lost is none at all, after
// the request had left.
type stepAnswer struct {
	http          int
	code, message string
	page, lost    bool
}

func (x stepAnswer) judged(s graph.Step) outcome.Answer {
	if x.lost {
		return s.Lost(errors.New("connection reset by peer"), true)
	}
	h, body := http.Header{"Content-Type": {"application/json"}}, fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`,
		x.code, x.message)
	if x.page {
		h, body = http.Header{"Content-Type": {"text/html"}}, "<html>hello</html>"
	}
	return s.Judge(x.http, h, []byte(body), time.Now())
}

// seen is what the rows are compared with.
func (x stepAnswer) seen() outcome.Seen {
	return outcome.Seen{HTTP: x.http, Codes: []string{x.code}, Message: x.message, Page: x.page}
}

// largeRow is a row of the table in large-mail.md, with answers that it speaks of.
type largeRow struct {
	step, answer, becomes string
	answers               []stepAnswer
}

func earlySteps() []graph.Step { return []graph.Step{createStep, attachStep, sessionStep, sliceStep} }

func largeRows() []largeRow {
	const early, late, every = "any before `send`", "`send`", "any"
	return []largeRow{
		{early, "500, 504, 408, a lost connection",
			"retried: nothing was sent", []stepAnswer{{http: 500, code: "UnknownError"},
				{http: 500, code: "ErrorInternalServerError"}, {http: 504}, {http: 408}, {lost: true}}},
		{early, "403 ErrorAccessDenied",
			"held by itself, until the app has the permission and the message is released", []stepAnswer{{http: 403,
				code: "ErrorAccessDenied"}, {http: 403, code: "accessDenied"}}},
		{early, "403 with [RAOP]",
			"the mailbox is held: a policy blocks it for all mail", []stepAnswer{{http: 403, code: "ErrorAccessDenied",
				message: "Access to OData is disabled: [RAOP] : Blocked"}}},
		{early, "a web page with a 2xx or 3xx",
			"the identity is held: something answers in place of Graph", []stepAnswer{{http: 203, page: true},
				{http: 302, page: true}}},
		{early, "a 2xx that the documents do not name", "held by itself", []stepAnswer{{http: 203}, {http: 207}}},
		{early, "400 or 422 with an unknown code",
			"held by itself: graphrelay made the request, not the sender", []stepAnswer{{http: 400,
				code: "SomethingNew"}, {http: 422, code: "SomethingNew"}}},
		{every, `413, "maximum request length"`,
			"bounce 5.3.4", []stepAnswer{{http: 413},
				{http: 400, code: "BadRequest", message: "The maximum request length supported is 4MB."}}},
		{"`createUploadSession`", "a URL of another host, or not https", "held by itself; nothing is sent there", nil},
		{"upload of a slice", "401, 403, 404, 409, 410, 416",
			"a new session, up to three for each file; then retried later", nil},
		{"upload of the last slice", "no answer, and the session is gone",
			"the draft is deleted and the message retried: the file might be in the draft twice", nil},
		{late, "504, a lost connection, another 2xx",
			"unknown: `delivery.unknown_outcome`", []stepAnswer{{http: 504}, {lost: true}, {http: 200}, {http: 203}}},
	}
}

func (r largeRow) steps() []graph.Step {
	switch r.step {
	case "any before `send`":
		return earlySteps()
	case "`send`":
		return []graph.Step{sendStep}
	}
	return append(earlySteps(), sendStep)
}

// fits reports whether an answer means what the row says.
func (r largeRow) fits(a outcome.Answer) bool {
	switch word, _, _ := strings.Cut(r.becomes, ":"); {
	case strings.HasPrefix(r.becomes, "retried"):
		return a.Outcome == outcome.Retry
	case strings.HasPrefix(r.becomes, "held by itself"):
		return a.Outcome == outcome.Hold && a.Scope == outcome.ScopeMessage
	case word == "the mailbox is held":
		return a.Outcome == outcome.Hold && a.Scope == outcome.ScopeMailbox
	case word == "the identity is held":
		return a.Outcome == outcome.Hold && a.Scope == outcome.ScopeIdentity
	case word == "unknown":
		return a.Outcome == outcome.Unknown
	}
	return a.Outcome == outcome.Bounce && "bounce "+a.Status.String() == r.becomes
}

// The table in large-mail.md is what the program does: each of its rows is judged,
// and it contains each row of the program.
func TestManualOfLargeMail(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "packaging", "doc", "large-mail.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| Step | Answer | What happens to the message |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, r := range largeRows() {
		want = append(want, cells(r.step, r.answer, r.becomes))
	}
	if table != strings.Join(want, "\n") {
		t.Errorf("the manual's table:\n%s\n\nand the program's:\n%s", table, strings.Join(want, "\n"))
	}
	met := map[string]bool{}
	for _, r := range largeRows() {
		for _, s := range r.steps() {
			for _, x := range r.answers {
				if slices.Contains(s.Want, x.http) {
					continue // a success of this step
				}
				if a := x.judged(s); !r.fits(a) {
					t.Errorf("%s, %+v: %s %s %s (%s), and the manual says %q", s.Name, x, a.Outcome, a.Scope, a.Status,
						a.Text, r.becomes)
				}
				if e, ok := outcome.Find(s.Exceptions(), x.seen()); ok && !x.lost {
					met[s.Name+e.Text+e.Match] = true
				}
			}
		}
	}
	for _, s := range append(earlySteps(), sendStep) {
		for _, e := range s.Exceptions() {
			if !met[s.Name+e.Text+e.Match] {
				t.Errorf("%s: the manual says nothing of %q", s.Name, e.Text)
			}
		}
	}
}

// The rows of the table that no single answer makes.
func TestManualOfUploadSessions(t *testing.T) {
	rows := map[string]largeRow{}
	for _, r := range largeRows() {
		rows[r.step] = r
	}
	var over []string
	for s := range 600 {
		if isOver(s) {
			over = append(over, fmt.Sprint(s))
		}
	}
	r := rows["upload of a slice"]
	if got := strings.Join(over, ", "); got != r.answer || maxSessions != 3 ||
		!strings.Contains(r.becomes, "up to three for each file") {
		t.Errorf("a session is over at %s, and there are %d; the manual says %q, %q", got, maxSessions,
			r.answer, r.becomes)
	}
}

func cells(words ...string) string {
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, "|", `\|`)
	}
	return "| " + strings.Join(words, " | ") + " |"
}
