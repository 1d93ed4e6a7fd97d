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
		a.Text = fmt.Sprintf("%s (Graph answered %s)", r.Text, quote)
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
