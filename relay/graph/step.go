package graph

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// step is one request of a way through Graph that is longer than sendMail.
// Only its last one, send, may make a message leave.
type step struct {
	name      string // "creating the draft", for texts
	want      []int  // the status codes that the documents name as success
	needs     string // the permission, as Exchange names its role
	mayDepart bool   // the message may leave with it
	aside     bool   // it does not carry the message, and so cannot judge it
}

// The permissions beside Mail.Send.
const (
	roleRead      = "Application Mail.Read"
	roleReadWrite = "Application Mail.ReadWrite"
	roleSend      = "Application Mail.Send"
)

// judge says what an answer to the step means for the message. Delivered means
// that the step succeeded. It is pure.
func (s step) judge(httpStatus int, h http.Header, body []byte, now time.Time) outcome.Answer {
	if slices.Contains(s.want, httpStatus) {
		return outcome.Answer{Outcome: outcome.Delivered, Status: reply.Enhanced{2, 0, 0}, HTTPStatus: httpStatus,
			Text: s.name + ": done", RequestID: line(header(h, "request-id"), maxWord)}
	}
	a := classify(httpStatus, h, body, now)
	if r, ok := s.exception(httpStatus, readServiceError(body), isPage(h, body)); ok {
		a.Outcome, a.Scope, a.Status, a.Advice = r.outcome, r.scope, r.status, r.advice
		a.Text = fmt.Sprintf("%s (Graph answered %s)", r.text, sayingOf(httpStatus, body))
	}
	switch {
	case a.Outcome == outcome.TooLarge: // there is no larger way
		a.Outcome = outcome.Bounce
	case a.Outcome == outcome.Bounce && (s.aside || !s.mayDepart && a.Status == reply.Enhanced{5, 0, 0}):
		// What was refused is our request, and nobody knows that the message is to blame.
		a.Outcome, a.Scope, a.Status, a.Advice = outcome.Hold, outcome.ScopeMessage, reply.Enhanced{4, 3, 5}, adviceBug
	}
	a.Text = s.name + ": " + a.Text
	return a
}

func sayingOf(httpStatus int, body []byte) string {
	e := readServiceError(body)
	return saying(httpStatus, strings.Join(e.codes, "/"), e.message, body)
}

// exception finds what an answer means in this step where that differs from
// what it means for sendMail.
func (s step) exception(httpStatus int, e serviceError, page bool) (row, bool) {
	for _, r := range s.exceptions() {
		if matchStatus(r.http, httpStatus) && matchCode(r.code, e.codes) && matchText(r.match, e.message) && (r.body == "" || page) {
			return r, true
		}
	}
	return row{}, false
}

// exceptions are few: before the last step nothing can have been sent, each
// step has a permission of its own, and none of them has a larger way.
func (s step) exceptions() []row {
	denied := row{http: "403", code: "ErrorAccessDenied accessDenied", outcome: outcome.Hold, scope: outcome.ScopeMessage, status: reply.Enhanced{4, 7, 1},
		text: "the app may not do this in the mailbox", advice: s.permissionAdvice()}
	policy := row{http: "403", match: "[RAOP]", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 1},
		text: "an access policy of the tenant blocks the app for this mailbox", advice: adviceAccess}
	tooLarge := []row{
		{http: "400", match: "maximum request length", outcome: outcome.Bounce, status: reply.Enhanced{5, 3, 4}, text: "a part of the message is too large for one request", advice: adviceSize},
		{http: "413", outcome: outcome.Bounce, status: reply.Enhanced{5, 3, 4}, text: "a part of the message is too large for one request", advice: adviceSize},
	}
	if s.mayDepart { // by then the app has proved that it may use the mailbox
		return append(tooLarge, row{http: "2xx", outcome: outcome.Unknown, status: reply.Enhanced{4, 3, 5}, text: "a success that the documents do not name; the message may have been sent", advice: adviceCheck})
	}
	return append(append(tooLarge, policy, denied),
		row{http: "504 408", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 4, 7}, text: "timed out behind Graph's front door; nothing was sent"},
		row{http: "2xx 3xx", body: "html", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "a web page came in place of Graph's answer", advice: adviceProxy},
		row{http: "2xx", outcome: outcome.Hold, scope: outcome.ScopeMessage, status: reply.Enhanced{4, 3, 5}, text: "a success that the documents do not name; nothing was sent", advice: adviceBug},
	)
}

func (s step) permissionAdvice() string {
	return fmt.Sprintf("grant the app %q for this mailbox (RBAC for Applications), which takes 30 minutes to 2 hours to reach Graph, and then release the message", s.needs)
}

// lost says what it means that no answer came. left tells whether the request
// may have reached Graph.
func (s step) lost(err error, left bool, unreadable error) outcome.Answer {
	a := classifyLoss(err, left && s.mayDepart, unreadable)
	a.Text = s.name + ": " + a.Text
	if left && !s.mayDepart && unreadable == nil && a.Scope == outcome.ScopeIdentity {
		a.Scope = outcome.ScopeMessage // the network was there when it began
		a.Text = s.name + ": the connection was lost before anything was sent: " + line(err.Error(), maxText)
	}
	return a
}
