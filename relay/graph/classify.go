package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// maxBody bounds how much of an answer is read.
const maxBody = 64 << 10

// classify says what an answer to sendMail means. It is pure, takes any body,
// and needs no more than the first maxBody octets of it.
func classify(httpStatus int, h http.Header, body []byte, now time.Time) outcome.Answer {
	e := readServiceError(body)
	r := lookup(httpStatus, e, isPage(h, body))
	a := outcome.Answer{
		Outcome:    r.outcome,
		Scope:      r.scope,
		Status:     r.status,
		HTTPStatus: httpStatus,
		Code:       e.code(),
		Advice:     r.advice,
		RequestID:  line(firstOf(header(h, "request-id"), e.requestID, header(h, "x-ms-ags-diagnostic-request-id")), maxWord),
	}
	if a.Outcome == outcome.Retry {
		a.RetryAfter = retryAfter(header(h, "Retry-After"), header(h, "Date"), now)
		if a.RetryAfter == 0 {
			a.RetryAfter = r.pause
		}
	}
	a.Text = r.text
	if a.Outcome != outcome.Delivered {
		a.Text = fmt.Sprintf("%s (Graph answered %s)", r.text, saying(httpStatus, strings.Join(e.codes, "/"), e.message, body))
	}
	return a
}

// lookup finds the first row of the catalogue that matches.
func lookup(httpStatus int, e serviceError, page bool) row {
	for _, group := range catalogue() {
		for _, r := range group() {
			if matchStatus(r.http, httpStatus) && matchCode(r.code, e.codes) && matchText(r.match, e.message) && (r.body == "" || page) {
				return r
			}
		}
	}
	return row{} // not reached: the last row matches everything; Unknown all the same
}

func matchStatus(pattern string, httpStatus int) bool {
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

// isPage tells an HTML page by its type or by its look.
func isPage(h http.Header, body []byte) bool {
	start := bytes.ToLower(bytes.TrimLeft(body[:min(len(body), 256)], " \t\r\n\ufeff"))
	return strings.Contains(strings.ToLower(header(h, "Content-Type")), "text/html") ||
		bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// saying quotes a service: status, code, message; or the beginning of a body
// that is no error of the service.
func saying(httpStatus int, code, message string, body []byte) string {
	s := strconv.Itoa(httpStatus)
	if code != "" {
		s += " " + line(code, maxText)
	}
	switch {
	case message != "":
		return s + ": " + line(message, maxText)
	case code != "":
		return s
	case len(bytes.TrimSpace(body)) == 0:
		return s + " without a body"
	}
	return s + ": " + line(string(body[:min(len(body), 4*maxText)]), maxText/2)
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// loginRefusal is the body of a refused login, RFC 6749 section 5.2 with the
// additions of Entra.
type loginRefusal struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	CorrelationID string `json:"correlation_id"`
}

func readRefusal(body []byte) loginRefusal {
	var refusal loginRefusal
	if json.Unmarshal(body, &refusal) != nil {
		return loginRefusal{} // a type that does not fit may have left half a value
	}
	return refusal
}

// classifyToken says what a failed login means for a message. It takes the
// error of azidentity; its whole answer is used, its text only where there was
// no answer.
func classifyToken(err error, now time.Time) outcome.Answer {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return withoutLogin(err)
	}
	resp := failed.RawResponse
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	refusal := readRefusal(body)
	r := lookupLogin(resp.StatusCode, refusal.Error)
	a := outcome.Answer{
		Outcome:    r.outcome,
		Scope:      outcome.ScopeIdentity,
		Status:     r.status,
		HTTPStatus: resp.StatusCode,
		Code:       line(refusal.Error, maxWord),
		Text:       fmt.Sprintf("%s (it answered %s)", r.text, saying(resp.StatusCode, refusal.Error, refusal.Description, body)),
		Advice:     r.advice,
		RequestID:  line(firstOf(refusal.CorrelationID, header(resp.Header, "x-ms-request-id")), maxWord),
	}
	if a.Outcome == outcome.Retry {
		a.RetryAfter = retryAfter(header(resp.Header, "Retry-After"), header(resp.Header, "Date"), now)
	}
	for _, n := range refusal.Codes {
		if advice := loginAdvice(n); advice != "" {
			a.Advice = advice
			break
		}
	}
	return a
}

func lookupLogin(httpStatus int, word string) loginRow {
	var words []string
	if word != "" {
		words = []string{word}
	}
	for _, r := range loginCatalogue() {
		if matchStatus(r.http, httpStatus) && matchCode(r.error, words) {
			return r
		}
	}
	return loginRow{outcome: outcome.Hold, status: reply.Enhanced{4, 7, 0}} // not reached
}
