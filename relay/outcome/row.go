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
	Code  string // any of these words, case ignored; "X*" is any that begins so, "-" is none
	Match string // part of the message, case ignored
	Page  bool   // the body is a web page
	When  string // in words, for what is recognised in another way

	Outcome Outcome
	Scope   Scope
	Status  reply.Enhanced
	Pause   time.Duration // for Retry, where the answer names no time
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

// Answer is what a row means for a message.
func (r Row) Answer() Answer {
	return Answer{Outcome: r.Outcome, Scope: r.Scope, Status: r.Status, Text: r.Text, Advice: r.Advice}
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
	for p := range strings.FieldsSeq(pattern) {
		for _, c := range codes {
			if begin, open := strings.CutSuffix(p, "*"); strings.EqualFold(p, c) ||
				open && len(c) >= len(begin) && strings.EqualFold(begin, c[:len(begin)]) {
				return true
			}
		}
	}
	return false
}

func matchText(pattern, message string) bool {
	return pattern == "" || strings.Contains(strings.ToLower(message), strings.ToLower(pattern))
}
