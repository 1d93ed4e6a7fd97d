// Package outcome holds what an answer of Graph, Entra or any other next hop
// means for a message: what to do with it, and how much else the answer
// concerns. It must not know who answered.
package outcome

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/text"
)

// Outcome is what an answer means for the message.
type Outcome int

// The outcomes. The zero value is Unknown: an answer that nobody classified may
// belong to a message that was sent.
const (
	Unknown   Outcome = iota // part of the body was sent and no answer settled it (504, lost connection)
	Delivered                // 202
	Retry                    // not sent, certainly but for Doubt; retry, not before RetryAfter
	Bounce                   // certainly not sent, and never will be
	Hold                     // certainly not sent; the message is not at fault: pause Scope
	TooLarge                 // certainly not sent: too large for one request, so by upload or never
)

// String is the word that the manual's tables use.
func (o Outcome) String() string {
	return [...]string{"unknown", "delivered", "retry", "bounce", "hold", "too large"}[o]
}

// Scope is what a Hold or a throttling Retry covers.
type Scope int

// The scopes, from narrow to wide.
const (
	ScopeMessage Scope = iota
	ScopeSendAs        // this mailbox with this From address: it may not send as it
	ScopeClient        // the mail of one client in this mailbox
	ScopeLarge         // what is too large for one request of Graph, in this mailbox
	ScopeMailbox
	ScopeIdentity
)

// String is the word that the manual's tables use.
func (s Scope) String() string {
	return [...]string{"message", "from", "client", "large", "mailbox", "identity"}[s]
}

// Answer is the result of one attempt. It is complete for every kind of
// failure: nothing is left to an SDK's error text.
type Answer struct {
	Outcome    Outcome
	Scope      Scope
	Status     reply.Enhanced // for history, reports and alerts
	HTTPStatus int            // 0 without an answer, and where it is not one of HTTP
	Reply      int            // the same for the reply code of SMTP
	Code       string         // error.code of the body, or "error" of a token answer
	Text       string         // for the operator: what is wrong, a headline of text.Cause
	Advice     string         // for the operator: what to do; may be empty
	Detail     string         // for the operator: the service's own words; no secret, no token
	RetryAfter time.Duration  // 0 if not given
	Doubt      bool           // with Retry: the service is known to answer this after it sent a message, too
	Apart      bool           // it came another way than other mail's, and shows nothing of that
	RequestID  string         // Graph's request-id, or Entra's correlation ID
	Duration   time.Duration  // from request to answer
	Uploaded   int64          // large mail only: bytes of all request bodies, which count towards the mailbox's limit
	Requests   int            // large mail only: number of requests made, which count towards another limit
	Damaged    string         // large mail only: "repaired" or "original_attached" where it could not be read as it is
}

// Cause is the text for the operator.
func (a Answer) Cause() text.Cause {
	return text.Cause{Headline: a.Text, Remedy: a.Advice, Detail: a.Detail}
}

// What is what is wrong with the service's own words, for where the remedy has a
// place of its own.
func (a Answer) What() string {
	if a.Detail == "" {
		return a.Text
	}
	return a.Text + " (" + a.Detail + ")"
}

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
	Text    string        // what is wrong: a headline of text.Cause
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
	s := strconv.Itoa(httpStatus)
	return pattern == "" || slices.ContainsFunc(strings.Fields(pattern), func(p string) bool {
		return p == s || strings.HasSuffix(p, "xx") && len(s) == 3 && p[0] == s[0]
	})
}

func matchCode(pattern string, codes []string) bool {
	switch pattern {
	case "":
		return true
	case "-":
		return len(codes) == 0
	}
	return slices.ContainsFunc(strings.Fields(strings.ToLower(pattern)), func(p string) bool {
		return slices.ContainsFunc(codes, func(c string) bool { return matchWord(p, strings.ToLower(c)) })
	})
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
	parts, message := strings.Split(strings.ToLower(pattern), "|"), strings.ToLower(message)
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(message, p) })
}
