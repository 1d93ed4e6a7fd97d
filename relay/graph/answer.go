package graph

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/text"
)

// classify says what an answer to sendMail means. It is pure, takes any body,
// and needs no more than the first outcome.MaxBody bytes of it.
func classify(httpStatus int, h http.Header, body []byte, now time.Time) outcome.Answer {
	e := readServiceError(body)
	r, _ := outcome.Find(catalogue(), e.seen(httpStatus, h, body)) // the last row matches everything
	return answer(r, httpStatus, h, body, e, now)
}

// answer is what a row means with what the service said.
func answer(r outcome.Row, httpStatus int, h http.Header, body []byte, e serviceError, now time.Time) outcome.Answer {
	a := r.Answer()
	a.HTTPStatus, a.Code = httpStatus, e.code()
	a.RequestID = text.Foreign(cmp.Or(outcome.Field(h, "request-id"), e.requestID,
		outcome.Field(h, "x-ms-ags-diagnostic-request-id")), outcome.MaxWord)
	if a.Outcome == outcome.Retry {
		a.RetryAfter = cmp.Or(outcome.RetryAfter(h, now), r.Pause)
	}
	if a.Outcome != outcome.Delivered {
		quote := outcome.Quote(httpStatus, strings.Join(e.codes, "/"), e.message, body)
		a.Detail = "Graph answered " + quote
	}
	return a
}

// seen is what the rows are compared with. A message may quote addresses, which
// clients choose: their words say nothing about the answer.
func (e serviceError) seen(httpStatus int, h http.Header, body []byte) outcome.Seen {
	words := slices.DeleteFunc(strings.Fields(e.message), func(w string) bool { return strings.Contains(w, "@") })
	return outcome.Seen{HTTP: httpStatus, Codes: e.codes, Message: strings.Join(words, " "), Page: isPage(h, body)}
}

// isPage recognises an HTML page by its type or by its look.
func isPage(h http.Header, body []byte) bool {
	start := bytes.ToLower(bytes.TrimLeft(body[:min(len(body), 256)], " \t\r\n\ufeff"))
	return strings.Contains(strings.ToLower(outcome.Field(h, "Content-Type")), "text/html") ||
		bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// Step is what a request does on the way of a message, and so what its answers
// mean. sendMail is a way of one step; large mail takes several, of which only
// the last makes a message leave.
type Step struct {
	Name      string // "creating the draft", for texts; empty for sendMail
	Want      []int  // the status codes that the documents name as success
	Needs     string // the permission, as Exchange names its role
	MayDepart bool   // the message may leave with it
	Aside     bool   // it does not carry the message, and so cannot judge it
	whole     bool   // it carries the message whole: the catalogue is about it
}

// The permissions beside Mail.Send.
const (
	RoleReadBasic = "Application Mail.ReadBasic"
	RoleRead      = "Application Mail.Read"
	RoleReadWrite = "Application Mail.ReadWrite"
)

// Judge says what an answer to the step means for the message. Delivered means
// that the step succeeded. It is pure.
func (s Step) Judge(httpStatus int, h http.Header, body []byte, now time.Time) outcome.Answer {
	if slices.Contains(s.Want, httpStatus) {
		r := outcome.On("", "", "").Is(outcome.Delivered, outcome.ScopeMessage, "2.0.0", "Done", "")
		if s.whole {
			r.Text = accepted
		}
		return answer(r, httpStatus, h, nil, serviceError{}, now)
	}
	a := classify(httpStatus, h, body, now)
	if s.whole {
		return a
	}
	e := readServiceError(body)
	if r, ok := outcome.Find(s.Exceptions(), e.seen(httpStatus, h, body)); ok {
		after := a.RetryAfter
		a = answer(r, httpStatus, h, body, e, now)
		a.RetryAfter = after
	}
	switch {
	case a.Outcome == outcome.TooLarge: // there is no larger way
		a.Outcome = outcome.Bounce
	case a.Outcome == outcome.Bounce && (s.Aside || !s.MayDepart && a.Status == reply.Enhanced{5, 0, 0}):
		// What was refused is our request, and nobody knows that the message is to blame.
		a.Outcome, a.Scope, a.Status, a.Advice = outcome.Hold, outcome.ScopeMessage, reply.Enhanced{4, 3, 5}, adviceBug
	}
	a.Detail = s.says(a.Detail)
	return a
}

// says puts the name of the step before what happened in it.
func (s Step) says(what string) string {
	if s.Name == "" {
		return what
	}
	return strings.TrimSuffix(s.Name+": "+what, ": ")
}

// Exceptions are what an answer means in a step where that differs from what it
// means for sendMail: before the last step nothing can have been sent, each step
// has a permission of its own, and none of them has a larger way.
func (s Step) Exceptions() []outcome.Row {
	const tooLarge, unnamed = "A part of the message is too large for one request", "Graph gave an unknown answer"
	on := outcome.On
	rows := []outcome.Row{
		on("400", "", "maximum request length").Bounce("5.3.4", tooLarge, AdviceSize),
		on("413", "", "").Bounce("5.3.4", tooLarge, AdviceSize),
	}
	if s.MayDepart { // by then the app has proved that it may use the mailbox
		return append(rows, on("2xx", "", "").
			Is(outcome.Unknown, message, "4.3.5", unnamed+", and may have sent the message", adviceCheck))
	}
	return append(rows,
		on("403", "", "[RAOP]").Hold(mailbox, "4.7.1", blocked, adviceAccess),
		on("403", "ErrorAccessDenied accessDenied", "").
			Hold(message, "4.7.1", "App may not "+s.does()+" this mailbox", s.permissionAdvice()),
		on("500", "UnknownError ErrorInternalServerError", "").Retry(mailbox, "4.3.0", failure, adviceWait),
		on("504 408", "", "").Retry(mailbox, "4.4.7", "Graph did not answer in time, and nothing was sent", adviceWait),
		outcome.OnPage("2xx 3xx").Hold(identity, "4.3.5", page, AdviceProxy),
		on("2xx", "", "").Hold(message, "4.3.5", unnamed+", and nothing was sent", adviceBug),
	)
}

// does is what the permission of a step lets the app do.
func (s Step) does() string {
	if s.Needs == RoleReadWrite {
		return "make drafts in"
	}
	return "read"
}

func (s Step) permissionAdvice() string {
	return fmt.Sprintf("grant the app %q for this mailbox (RBAC for Applications), which takes 30 minutes to 2 hours "+
		"to reach Graph, and then release the message", s.Needs)
}

// Lost says what it means that no answer came, or one that cannot be used. left
// is whether the request may have reached Graph.
func (s Step) Lost(err error, left bool) outcome.Answer { return s.lost(err, left, nil) }

// Unreadable says what it means that the message could not be read for a step.
func (s Step) Unreadable(err error) outcome.Answer { return s.lost(err, false, err) }

func (s Step) lost(err error, left bool, unreadable error) outcome.Answer {
	a := classifyLoss(err, left && s.MayDepart, unreadable)
	a.Detail = s.says(a.Detail)
	if left && !s.MayDepart && unreadable == nil && a.Scope == identity {
		a.Scope = message // the network was there when it began
		words := text.Foreign(err.Error(), outcome.MaxText)
		a.Text, a.Detail = "No usable answer came from Graph, and nothing was sent", s.says(words)
	}
	return a
}
