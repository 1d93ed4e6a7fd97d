package outcome

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/reply"
)

// Row is one fact of a catalogue: what an answer looks like, and what it means.
// An empty pattern matches anything; all that are given must match.
type Row struct {
	HTTP  string // status codes, "400 413", or classes, "5xx"
	Code  string // any of these words, case ignored; "*" stands for anything at either end, "-" is none
	Match string // parts of the message, one of which it has, with "|" between them; case ignored
	Page  bool   // the body is a web page
	When  string // in words, for what is recognised in another way

	Outcome Outcome
	Scope   Scope
	Status  reply.Enhanced
	Pause   time.Duration // for Retry, where the answer names no time
	Doubt   bool          // for Retry: the answer can also follow a message that was sent
	Text    string        // what happened
	Advice  string        // what to do
}

// On begins a row with its patterns.
func On(http, code, match string) Row { return Row{HTTP: http, Code: code, Match: match} }

// OnPage begins a row for a web page that came with one of these status codes.
func OnPage(http string) Row { return Row{HTTP: http, Page: true} }

// When begins a row that is recognised in another way, which the words describe.
func When(words string) Row { return Row{When: words} }

// Is completes a row. The status is written with dots, "4.7.0".
func (r Row) Is(o Outcome, s Scope, status, text, advice string) Row {
	r.Outcome, r.Scope, r.Text, r.Advice = o, s, text, advice
	for i := range r.Status {
		r.Status[i] = int(status[2*i] - '0')
	}
	return r
}

// Hold completes a row for a message that is not at fault.
func (r Row) Hold(s Scope, status, text, advice string) Row {
	return r.Is(Hold, s, status, text, advice)
}

// Retry completes a row for a message that was certainly not sent.
func (r Row) Retry(s Scope, status, text, advice string) Row {
	return r.Is(Retry, s, status, text, advice)
}

// Bounce completes a row for a message that will never be sent.
func (r Row) Bounce(status, text, advice string) Row {
	return r.Is(Bounce, ScopeMessage, status, text, advice)
}

// After sets the pause of a Retry.
func (r Row) After(pause time.Duration) Row {
	r.Pause = pause
	return r
}

// Doubtful marks a Retry whose answer can also follow a message that was sent.
func (r Row) Doubtful() Row {
	r.Doubt = true
	return r
}

// Answer is what a row means for a message.
func (r Row) Answer() Answer {
	return Answer{Outcome: r.Outcome, Scope: r.Scope, Status: r.Status, Text: r.Text, Advice: r.Advice, Doubt: r.Doubt}
}

// Seen is what the patterns of a row are compared with.
type Seen struct {
	HTTP    int
	Codes   []string
	Message string
	Page    bool
}

// Find returns the first row that matches.
func Find(rows []Row, s Seen) (Row, bool) {
	i := slices.IndexFunc(rows, func(r Row) bool {
		return matchHTTP(r.HTTP, s.HTTP) && matchCode(r.Code, s.Codes) && matchText(r.Match, s.Message) &&
			(!r.Page || s.Page)
	})
	if i < 0 {
		return Row{}, false
	}
	return rows[i], true
}

func matchHTTP(pattern string, httpStatus int) bool {
	if pattern == "" {
		return true
	}
	s := strconv.Itoa(httpStatus)
	for p := range strings.FieldsSeq(pattern) {
		if p == s || strings.HasSuffix(p, "xx") && len(s) == 3 && p[0] == s[0] {
			return true
		}
	}
	return false
}

func matchCode(pattern string, codes []string) bool {
	switch pattern {
	case "":
		return true
	case "-":
		return len(codes) == 0
	}
	for p := range strings.FieldsSeq(strings.ToLower(pattern)) {
		if slices.ContainsFunc(codes, func(c string) bool { return matchWord(p, strings.ToLower(c)) }) {
			return true
		}
	}
	return false
}

// matchWord compares a word with a pattern in which a "*" may stand at either end.
func matchWord(pattern, word string) bool {
	inside, end := strings.CutSuffix(pattern, "*")
	inside, begin := strings.CutPrefix(inside, "*")
	switch {
	case begin && end:
		return strings.Contains(word, inside)
	case begin:
		return strings.HasSuffix(word, inside)
	case end:
		return strings.HasPrefix(word, inside)
	}
	return word == pattern
}

func matchText(pattern, message string) bool {
	message = strings.ToLower(message)
	for p := range strings.SplitSeq(strings.ToLower(pattern), "|") {
		if strings.Contains(message, p) {
			return true
		}
	}
	return false
}
