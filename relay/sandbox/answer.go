package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is what a request gets. Answers are values, so that the checks that
// lead to them are plain functions and a fault can take their place.
type answer struct {
	status  int
	header  map[string]string
	entra   *entraBody // at most one of these three
	graph   *graphBody
	payload any    // sent as JSON
	raw     string // sent as it is, with the Content-Type of header
}

// graphBody is {"error":{"code","message","innerError":{...}}} [D errors.md].
type graphBody struct{ code, message string }

// entraBody is an error of the token endpoint [D v2-oauth2-client-creds-grant-flow].
type entraBody struct {
	code   string
	number int // AADSTS
	text   string
}

func graphError(status int, code, message string) *answer {
	return &answer{status: status, graph: &graphBody{code, message}}
}

func entraError(status int, code string, number int, text string) *answer {
	return &answer{status: status, entra: &entraBody{code, number, text}}
}

func jsonAnswer(status int, payload any) *answer {
	return &answer{status: status, payload: payload}
}

// unauthorized is 401 InvalidAuthenticationToken, with the challenge that
// RFC 6750 asks for.
func unauthorized(message string) *answer {
	a := graphError(http.StatusUnauthorized, "InvalidAuthenticationToken", message)
	a.header = map[string]string{"WWW-Authenticate": `Bearer realm="", ` +
		`authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", ` +
		`client_id="00000003-0000-0000-c000-000000000000"`}
	return a
}

// claimsChallenge is the 401 of continuous access evaluation [D
// app-resilience-continuous-access-evaluation].
func claimsChallenge(revoked time.Time) *answer {
	a := graphError(http.StatusUnauthorized, "InvalidAuthenticationToken",
		"Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "+
			"TokenIssuedBeforeRevocationTimestamp")
	a.header = map[string]string{"WWW-Authenticate": fmt.Sprintf(`Bearer realm="", `+
		`authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", `+
		`client_id="00000003-0000-0000-c000-000000000000", error="insufficient_claims", claims="%s"`, challenge(
		revoked))}
	return a
}

// exchange is one request on its way to an answer.
type exchange struct {
	d         *Double
	w         http.ResponseWriter
	r         *http.Request
	endpoint  string
	mailbox   string // folded
	requestID string
	clientID  string // client-request-id
	release   func()
	crowd     int // requests of this mailbox in progress, with this one
}

// begin opens an exchange; its end must be called.
func (d *Double) begin(w http.ResponseWriter, r *http.Request, endpoint, mailbox string) *exchange {
	x := &exchange{d: d, w: w, r: r, endpoint: endpoint, mailbox: mailbox, requestID: newID()}
	x.clientID = or(printable(r.Header.Get("client-request-id")), x.requestID)
	x.crowd, x.release = d.gauges.enter(mailbox)
	return x
}

func (x *exchange) end() { x.release() }

// write sends the answer and counts it.
func (x *exchange) write(a *answer) {
	h := x.w.Header()
	h.Set("Date", x.d.o.Now().UTC().Format(http.TimeFormat)) // by the double's clock, which may be wrong on purpose
	h.Set("request-id", x.requestID)
	h.Set("client-request-id", x.clientID)
	h.Set("Cache-Control", "private")
	body, contentType := x.body(a)
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	for name, value := range a.header {
		h.Set(name, value)
	}
	if a.entra != nil {
		h.Set("Cache-Control", "no-store, no-cache")
		h.Set("x-ms-request-id", x.requestID)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.d.gauges.answered(x.endpoint, a.status)
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(body) // a client that is gone is not the double's concern
}

func (x *exchange) body(a *answer) ([]byte, string) {
	payload := a.payload
	switch {
	case a.graph != nil:
		payload = x.graphPayload(a.graph)
	case a.entra != nil:
		payload = x.entraPayload(a.entra)
	case a.raw != "":
		return []byte(a.raw), ""
	}
	if payload == nil {
		return nil, ""
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return []byte(err.Error()), "text/plain"
	}
	return body, "application/json; charset=utf-8"
}

func (x *exchange) graphPayload(b *graphBody) any {
	return map[string]any{"error": map[string]any{
		"code": b.code, "message": b.message,
		"innerError": map[string]string{
			"date":       x.d.o.Now().UTC().Format("2006-01-02T15:04:05"),
			"request-id": x.requestID, "client-request-id": x.clientID,
		},
	}}
}

func (x *exchange) entraPayload(b *entraBody) any {
	now := x.d.o.Now().UTC().Format("2006-01-02 15:04:05Z")
	return map[string]any{
		"error": b.code, "error_codes": []int{b.number}, "timestamp": now,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s", b.number, b.text,
			x.requestID, x.clientID, now),
		"trace_id": x.requestID, "correlation_id": x.clientID,
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", b.number),
	}
}

// drain reads what is left of the body, so that a client that writes before it
// reads gets to see the answer. 64 MiB is more than any client sends.
func (x *exchange) drain() { _, _ = io.CopyN(io.Discard, x.r.Body, 64<<20) }

// refused records and logs a request that was not accepted.
func (x *exchange) refused(a *answer) {
	r := Refusal{At: x.d.o.Now(), Endpoint: x.endpoint, Mailbox: x.mailbox, Status: a.status, RequestID: x.requestID,
		Path: strings.ToValidUTF8(printable(x.r.URL.Path), "?")}
	switch {
	case a.graph != nil:
		r.Code, r.Message = a.graph.code, a.graph.message
	case a.entra != nil:
		r.Code, r.Message = fmt.Sprintf("%s AADSTS%d", a.entra.code, a.entra.number), a.entra.text
	}
	x.d.store.refuse(r)
	x.d.log.Info("refused", "endpoint", r.Endpoint, "mailbox", r.Mailbox, "status", r.Status, "code", r.Code,
		"path", r.Path)
}
