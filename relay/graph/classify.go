package graph

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"graphrelay/relay/status"
)

// maxBody bounds how much of an answer is read.
const maxBody = 64 << 10

// classify says what an answer to sendMail means. It is pure, takes any body,
// and needs no more than the first maxBody octets of it.
func classify(httpStatus int, h http.Header, body []byte, now time.Time) Answer {
	e := readServiceError(body)
	r := lookup(httpStatus, e, isPage(h, body))
	a := Answer{
		Outcome:    r.outcome,
		Scope:      r.scope,
		Status:     r.status,
		HTTPStatus: httpStatus,
		Code:       e.code(),
		Advice:     r.advice,
		RequestID:  line(firstOf(header(h, "request-id"), e.requestID, header(h, "x-ms-ags-diagnostic-request-id")), maxWord),
	}
	if a.Outcome == Retry {
		a.RetryAfter = retryAfter(header(h, "Retry-After"), header(h, "Date"), now)
		if a.RetryAfter == 0 {
			a.RetryAfter = r.pause
		}
	}
	a.Text = r.text
	if a.Outcome != Delivered {
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
			if strings.EqualFold(p, c) {
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

// classifyToken says what a failed login means for a message. It takes the
// error of azidentity; its whole answer is used, its text only where there was
// no answer.
func classifyToken(err error, now time.Time) Answer {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return withoutLogin(err)
	}
	resp := failed.RawResponse
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	var refusal loginRefusal
	if json.Unmarshal(body, &refusal) != nil {
		refusal = loginRefusal{} // a type that does not fit may have left half a value
	}
	r := lookupLogin(resp.StatusCode, refusal.Error)
	a := Answer{
		Outcome:    r.outcome,
		Scope:      ScopeIdentity,
		Status:     r.status,
		HTTPStatus: resp.StatusCode,
		Code:       line(refusal.Error, maxWord),
		Text:       fmt.Sprintf("%s (it answered %s)", r.text, saying(resp.StatusCode, refusal.Error, refusal.Description, body)),
		Advice:     r.advice,
		RequestID:  line(firstOf(refusal.CorrelationID, header(resp.Header, "x-ms-request-id")), maxWord),
	}
	if a.Outcome == Retry {
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
	return loginRow{outcome: Hold, status: status.Enhanced{4, 7, 0}} // not reached
}

// withoutLogin is a login that got no answer.
func withoutLogin(err error) Answer {
	text, _, _ := strings.Cut(err.Error(), " To troubleshoot, visit ")
	return Answer{
		Outcome: Retry,
		Scope:   ScopeIdentity,
		Status:  status.Enhanced{4, 4, 1},
		Text:    "cannot log in to Entra: " + line(text, maxText),
		Advice:  connectionAdvice(err),
	}
}

// classifyLoss says what it means that a request got no answer. left tells
// whether octets of the body were handed to the connection, and unreadable is
// the failure to read the message, if that ended it.
func classifyLoss(err error, left bool, unreadable error) Answer {
	var spool *spoolError
	switch {
	case unreadable != nil || errors.As(err, &spool):
		return Answer{
			Outcome: Retry, Scope: ScopeMessage, Status: status.Enhanced{4, 3, 0},
			Text:   line(firstError(unreadable, err).Error(), maxText),
			Advice: "check the disk and the queue's store",
		}
	case left:
		return Answer{
			Outcome: Unknown, Scope: ScopeMessage, Status: status.Enhanced{4, 4, 2},
			Text:   "no answer came after the message had left, which may have been sent: " + line(err.Error(), maxText),
			Advice: adviceCheck,
		}
	case errors.Is(err, context.Canceled):
		return Answer{
			Outcome: Retry, Scope: ScopeMessage, Status: status.Enhanced{4, 3, 2},
			Text: "stopped before anything was sent",
		}
	}
	return Answer{
		Outcome: Retry, Scope: ScopeIdentity, Status: status.Enhanced{4, 4, 1},
		Text:   "no connection to Graph: " + line(err.Error(), maxText),
		Advice: connectionAdvice(err),
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// connectionAdvice tells what usually is behind a failure to connect.
func connectionAdvice(err error) string {
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		text    = err.Error() // azidentity passes on texts only
	)
	switch {
	case strings.Contains(text, "proxyconnect") || strings.Contains(text, "Proxy Authentication Required"):
		return "check the proxy (HTTPS_PROXY, NO_PROXY) and that it lets CONNECT to port 443 through"
	case errors.As(err, &cert) || errors.As(err, &unknown) || strings.Contains(text, "x509: ") || strings.Contains(text, "tls: "):
		return "the server's certificate is not trusted; if a proxy inspects TLS, add its root certificate as ca_file, and check this machine's clock"
	case errors.As(err, &dns) || strings.Contains(text, "no such host"):
		return "check the name servers of this machine"
	}
	return "check the network, the firewall (port 443) and the proxy (HTTPS_PROXY)"
}
