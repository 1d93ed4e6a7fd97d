package graph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"graphrelay/relay/entra"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func graphError(code, message string) string {
	c, _ := json.Marshal(code)
	m, _ := json.Marshal(message)
	return fmt.Sprintf(
		`{"error":{"code":%s,"message":%s,"innerError":{"date":"2026-11-22T08:00:00","request-id":"inner-1"}}}`, c, m)
}

// TestClassify has a case for each row of the catalogue, and bodies that break SDKs.
func TestClassify(t *testing.T) {
	e := func(a, b, c int) reply.Enhanced { return reply.Enhanced{a, b, c} }
	const (
		delivered, retry, bounce = outcome.Delivered, outcome.Retry, outcome.Bounce
		hold, tooLarge, unknown  = outcome.Hold, outcome.TooLarge, outcome.Unknown
	)
	const page = "<!DOCTYPE html><html><title>Bad gateway</title></html>"
	const wascl = "Cannot send this mail due to a transient error. Please try again later (0x00004000)., " +
		"WASCL UserAction verdict is not None. Actual verdict is TransientError."
	for _, c := range []struct {
		http    int
		body    string
		outcome outcome.Outcome
		scope   outcome.Scope
		status  reply.Enhanced
		advice  string // part of it
	}{
		{202, "", delivered, message, e(2, 0, 0), ""},
		{202, page, delivered, message, e(2, 0, 0), ""},
		{200, "", tooLarge, message, e(5, 3, 4), "max_message_size"},
		{200, "{}", tooLarge, message, e(5, 3, 4), "max_message_size"},
		{200, page, hold, identity, e(4, 3, 5), "proxy"},
		{201, `{"id":"x"}`, unknown, message, e(4, 3, 5), "Sent Items"},
		{204, "", unknown, message, e(4, 3, 5), "Sent Items"},
		{301, "", hold, identity, e(4, 3, 5), "endpoint"},
		{302, page, hold, identity, e(4, 3, 5), "endpoint"},
		{304, "", hold, identity, e(4, 3, 5), "endpoint"},

		{400, graphError("ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."), hold,
			identity, e(4, 3, 5), "report"},
		{400, graphError("UnableToDeserializePostBody", "were unable to deserialize "), hold, identity,
			e(4, 3, 5), "report"},
		{400, graphError("RequestBodyRead", "x"), hold, identity, e(4, 3, 5), "report"},
		{400, graphError("BadRequest", "Unable to read JSON request payload."), hold, identity, e(4, 3, 5), "report"},
		{400, graphError("BadRequest", "Resource not found for the segment 'sendMail'."), hold, identity,
			e(4, 3, 5), "endpoint"},
		{400, graphError("ErrorMimeContentInvalid", "x"), bounce, message, e(5, 6, 0), "program"},
		{400, graphError("ErrorMimeContentConversionFailed", "x"), bounce, message, e(5, 6, 0), "program"},
		{400, graphError("X", "MIME content does not contain all required information"), bounce, message,
			e(5, 6, 0), "program"},
		{400, graphError("ErrorInvalidRecipients",
			"At least one recipient is not valid., A message can't be sent because it contains no recipients."),
			bounce, message, e(5, 5, 4), "recipients"},
		{400, graphError("ErrorInvalidRecipients", "At least one recipient is not valid."), bounce, message, e(5, 1, 3),
			"recipients"},
		{400, graphError("ErrorExceededMaxRecipientLimit", "x"), bounce, message, e(5, 5, 3), "max_recipients"},
		{400, graphError("ErrorMessageSizeExceeded", "The message exceeds the maximum supported size."), bounce,
			message, e(5, 3, 4), "size"},
		{400, graphError("BadRequest", "The maximum request length supported is 4MB."), tooLarge, message,
			e(5, 3, 4), "size"},
		{413, graphError("RequestEntityTooLarge", "x"), tooLarge, message, e(5, 3, 4), "size"},
		{413, page, tooLarge, message, e(5, 3, 4), "size"},
		{413, "", tooLarge, message, e(5, 3, 4), "size"},
		{400, `{"error":{"code":"X"}}`, bounce, message, e(5, 0, 0), "code"},
		{422, graphError("Unheard", "of"), bounce, message, e(5, 0, 0), "code"},
		{400, "", hold, mailbox, e(4, 3, 5), "proxy"},
		{400, "{}", hold, mailbox, e(4, 3, 5), "proxy"},
		{400, `{"error":{"code":`, hold, mailbox, e(4, 3, 5), "proxy"},
		{400, `{"error":"invalid"}`, hold, mailbox, e(4, 3, 5), "proxy"},
		{400, page, hold, mailbox, e(4, 3, 5), "proxy"},
		{400, graphError("ErrorServerBusy", "x"), retry, mailbox, e(4, 3, 0), ""},
		{400, graphError("generalException", "x"), retry, mailbox, e(4, 3, 0), ""},

		{401, graphError("InvalidAuthenticationToken", "Access token has expired or is not yet valid."), hold, identity,
			e(4, 7, 0), "clock"},
		{401, graphError("unauthenticated", "x"), hold, identity, e(4, 7, 0), "app registration"},
		{401, graphError("InvalidAudience", "x"), hold, identity, e(4, 3, 5), "same cloud"},
		{401, "", hold, identity, e(4, 7, 0), "app registration"},
		{402, "", hold, identity, e(4, 0, 0), "proxy"},
		{403, graphError("ErrorAccessDenied",
			"Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."),
			hold, mailbox, e(4, 7, 1), "administrators"},
		{403, graphError("ErrorAccessDenied", "Access to OData is disabled."), hold, mailbox, e(4, 7, 1), "two hours"},
		{403, graphError("ErrorAccessDenied", "Access is denied. Check credentials and try again."), hold, mailbox,
			e(4, 7, 1), "Test-ServicePrincipalAuthorization"},
		{403, graphError("Authorization_RequestDenied", "Insufficient privileges to complete the operation."), hold,
			identity, e(4, 7, 1), "RBAC"},
		{403, graphError("accessDenied", "x"), hold, mailbox, e(4, 7, 1), "RBAC"},
		{403, graphError("insufficient_claims", "x"), hold, identity, e(4, 7, 1), "sign-in log"},
		{403, graphError("extensionError", "x"), hold, mailbox, e(4, 7, 1), "RBAC"},
		{403, graphError("ErrorSendAsDenied",
			"The user account which was used to submit this request does not have the right to send mail on behalf "+
				"of the specified sending account., Cannot submit message."), hold, outcome.ScopeSendAs, e(4, 7, 1),
			"Send As"},
		{403, graphError("ErrorMessageSubmissionBlocked", "x"), hold, mailbox, e(4, 7, 0), "Defender"},
		{403, graphError("ErrorAccountSuspend", "x"), hold, mailbox, e(4, 7, 0), "Defender"},
		{403, graphError("ErrorExceededMessageLimit", "x"), retry, mailbox, e(4, 7, 0), "limits"},
		{403, graphError("Unheard", "of"), hold, mailbox, e(4, 7, 1), "RBAC"},
		{403, page, hold, identity, e(4, 7, 1), "proxy"},
		{403, "", hold, identity, e(4, 7, 1), "proxy"},
		{404, graphError("MailboxNotEnabledForRESTAPI",
			"The mailbox is either inactive, soft-deleted, or is hosted on-premise."), hold, mailbox, e(4, 2, 1),
			"licence"},
		{404, graphError("MailboxNotSupportedForRESTAPI", "x"), hold, mailbox, e(4, 2, 1), "licence"},
		{404, graphError("ErrorNonExistentMailbox", "x"), hold, mailbox, e(4, 2, 1), "licence"},
		{404, graphError("ErrorInvalidUser", "The requested user 'x' is invalid."), hold, mailbox, e(4, 1, 8),
			"distribution list"},
		{404, graphError("ResourceNotFound", "x"), hold, mailbox, e(4, 1, 8), "address"},
		{404, graphError("Request_ResourceNotFound", "x"), hold, mailbox, e(4, 1, 8), "address"},
		{404, graphError("ErrorItemNotFound", "x"), retry, message, e(4, 3, 0), ""},
		{404, graphError("Unheard", "of"), hold, mailbox, e(4, 7, 1), ""},
		{404, page, hold, identity, e(4, 3, 5), "endpoint"},
		{405, "", hold, identity, e(4, 3, 5), "endpoint"},
		{408, "", unknown, message, e(4, 4, 7), "Sent Items"},
		{409, graphError("ErrorIrresolvableConflict", "x"), retry, message, e(4, 3, 0), ""},
		{412, "", retry, message, e(4, 3, 0), ""},
		{418, "", hold, identity, e(4, 0, 0), ""},
		{429, graphError("ApplicationThrottled", "Application is over its MailboxConcurrency limit."), retry, mailbox,
			e(4, 7, 0), "max_concurrent"},
		{429, graphError("TooManyRequests", "x"), retry, mailbox, e(4, 7, 0), ""},
		{429, graphError("ErrorSubmissionQuotaExceeded", "x"), retry, mailbox, e(4, 7, 0), "limits"},
		{429, page, retry, mailbox, e(4, 7, 0), ""},
		{500, graphError("ErrorInternalServerError", "x"), retry, mailbox, e(4, 3, 0), ""},
		{500, graphError("generalException", "x"), retry, mailbox, e(4, 3, 0), ""},
		{501, "", retry, mailbox, e(4, 3, 0), ""},
		{502, page, retry, mailbox, e(4, 4, 1), ""},
		{503, graphError("ErrorServerBusy", "x"), retry, mailbox, e(4, 3, 0), ""},
		{503, page, retry, mailbox, e(4, 3, 2), ""},
		{504, graphError("UnknownError", ""), unknown, message, e(4, 4, 7), "Sent Items"},
		{504, page, unknown, message, e(4, 4, 7), "Sent Items"},
		{507, graphError("ErrorQuotaExceeded", "Mailbox has exceeded maximum mailbox size."), hold, mailbox, e(4, 2, 2),
			"retention"},
		{400, graphError("ErrorQuotaExceeded", "x"), hold, mailbox, e(4, 2, 2), "retention"},
		{507, "", hold, mailbox, e(4, 2, 2), "retention"},
		{509, "", retry, mailbox, e(4, 7, 0), ""},

		// Transient by name or by text, whatever the status (public reports; codes of Exchange Web Services).
		{403, graphError("?", wascl), retry, message, e(4, 3, 0), ""},
		{400, graphError("?", wascl), retry, message, e(4, 3, 0), ""},
		{403, graphError("ErrorAccessDenied", wascl), retry, message, e(4, 3, 0), ""},
		{400, graphError("ErrorInvalidRecipients", "Please try again later."), retry, message, e(4, 3, 0), ""},
		{400, graphError("BadRequest", "The operation timed out."), retry, message, e(4, 3, 0), ""},
		{403, graphError("ErrorMessageTransientError", "x"), retry, message, e(4, 3, 0), ""},
		{400, graphError("ErrorTimeoutExpired", "x"), retry, mailbox, e(4, 3, 0), ""},
		{400, graphError("ErrorConnectionFailedTransientError", "x"), retry, mailbox, e(4, 3, 0), ""},
		{400, graphError("ErrorMailboxFailover", "x"), retry, mailbox, e(4, 3, 0), ""},
		{403, graphError("ErrorADUnavailable", "x"), retry, mailbox, e(4, 3, 0), ""},
		{400, graphError("ErrorInsufficientResources", "x"), retry, mailbox, e(4, 3, 0), ""},
		{503, graphError("MailboxInfoStale", "x"), retry, mailbox, e(4, 3, 0), ""},
		{400, graphError("ErrorMailboxInfoStale", "x"), retry, mailbox, e(4, 3, 0), ""},
		{404, graphError("ErrorMailboxStoreUnavailable", "x"), retry, mailbox, e(4, 3, 0), ""},
		{503, graphError("CommandConcurrencyLimitReached", "x"), retry, mailbox, e(4, 7, 0), "max_concurrent"},
		{503, graphError("ErrorDirectoryConcurrencyLimit", "x"), retry, mailbox, e(4, 7, 0), "max_concurrent"},
		{400, graphError("ErrorTooManyObjectsOpened", "x"), retry, mailbox, e(4, 7, 0), "max_concurrent"},
		{403, graphError("X", "Too many concurrent connections opened."), retry, mailbox, e(4, 7, 0), "max_concurrent"},
		// The words of an address say nothing.
		{400, graphError("ErrorInvalidRecipients", "Recipient 'transient.timeout@example.org' is not valid."), bounce,
			message, e(5, 1, 3), "recipients"},
		{403, graphError("ErrorAccessDenied", "No access to timeout@contoso.com."), hold, mailbox, e(4, 7, 1), "RBAC"},

		// Matters of an account.
		{400, graphError("ErrorAccountDisabled", "x"), hold, mailbox, e(4, 2, 1), "account"},
		{400, graphError("ErrorInvalidLicense", "x"), hold, mailbox, e(4, 2, 1), "licence"},
		{400, graphError("RequestBroker--ParseUri", "Resource not found for the segment 'x'."), hold, mailbox,
			e(4, 1, 8), "mailbox address"},
		{400, graphError("ErrorInvalidIdMalformed", "Id is malformed."), hold, mailbox, e(4, 1, 8), "mailbox address"},
		{404, graphError("ErrorMailboxNotEnabledForRESTAPI", "x"), hold, mailbox, e(4, 2, 1), "licence"},
		{401, graphError("OrganizationFromTenantGuidNotFound", "The tenant for tenant guid 'x' does not exist."), hold,
			identity, e(4, 3, 5), "Exchange Online"},

		// The inner code is the more exact one.
		{403, `{"error":{"code":"Forbidden","message":"m","innerError":{"code":"ErrorSendAsDenied"}}}`, hold,
			outcome.ScopeSendAs, e(4, 7, 1), "Send As"},
		{404,
			`{"error":{"code":"itemNotFound","innererror":{"code":"a",` +
				`"innererror":{"code":"MailboxNotEnabledForRESTAPI"}}}}`,
			hold, mailbox, e(4, 2, 1), "licence"},
		{403, `{"error":{"code":"ERRORACCESSDENIED","message":null}}`, hold, mailbox, e(4, 7, 1), "RBAC"},
	} {
		a := classify(c.http, http.Header{}, []byte(c.body), noon)
		if a.Outcome != c.outcome || a.Scope != c.scope || a.Status != c.status ||
			!strings.Contains(a.Advice, c.advice) {
			t.Errorf("%d %s:\n%+v", c.http, c.body, a)
		}
		if a.HTTPStatus != c.http || a.Text == "" || a.Outcome == outcome.Hold && a.Advice == "" {
			t.Errorf("%d %s: incomplete: %+v", c.http, c.body, a)
		}
	}
}

func TestClassifyKeepsWhatWasSaid(t *testing.T) {
	h := http.Header{"Request-Id": {"head-1"}}
	a := classify(403, h, []byte(graphError("ErrorAccessDenied", "line one\r\nline \x07 two\u202e")), noon)
	want := `Graph answered 403 ErrorAccessDenied: line one line \u0007 two\u202e`
	if a.Text != "App may not send as this mailbox" || a.Detail != want ||
		a.Code != "ErrorAccessDenied" || a.RequestID != "head-1" {
		t.Errorf("%+v", a)
	}
	if a := classify(500, nil, []byte(graphError("x", "y")), noon); a.RequestID != "inner-1" {
		t.Errorf("the request ID of the body is lost: %+v", a)
	}
	if a := classify(502, nil, []byte("<html>\nBad Gateway"), noon); !strings.Contains(a.Detail,
		`502: <html> Bad Gateway`) {
		t.Errorf("%+v", a)
	}
	if a := classify(418, nil, nil, noon); !strings.Contains(a.Detail, "418 without a body") {
		t.Errorf("%+v", a)
	}
	if a := classify(403, nil, []byte(graphError("E", strings.Repeat("long ", 10_000))),
		noon); len(a.Detail) > 2*outcome.MaxText {
		t.Errorf("%d bytes of text", len(a.Detail))
	}
	if a := classify(401, nil, []byte(graphError("E", "token eyJ0eXAiOiJKV1Qi.eyJhdWQ.sig-_1 is bad")),
		noon); strings.Contains(a.Detail, "eyJ") || !strings.Contains(a.Detail, "[token] is bad") {
		t.Errorf("a token is in %q", a.Detail)
	}
}

// Real bodies carry a date without a zone, which the SDK's model may refuse.
func TestServiceErrorOfRealBodies(t *testing.T) {
	for body, want := range map[string]string{
		graphError("ErrorItemNotFound", "m"): "ErrorItemNotFound",
		`{"error":{"code":"A","message":"m","innerError":` +
			`{"date":"2026-11-22T08:00:00Z","request-id":"r","client-request-id":"c"}}}`: "A",
		`{"error":{"code":"A","innerError":{"date":17}}}`: "A",
		`{"error":{"code":"A","message":{"lang":"en"}}}`:  "A",
		`{"error":{"code":"A","details":"none"}}`:         "A",
		`{"error":{"code":17,"message":"m"}}`:             "",
		`{"error":null}`:                                  "",
		`null`:                                            "",
		`[]`:                                              "",
		`"x"`:                                             "",
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000):   "",
		`{"error":{"code":"A","target":[1,2],"innerError":[]}}`: "A",
	} {
		if e := readServiceError([]byte(body)); e.code() != want {
			t.Errorf("%.80s: code %q, want %q", body, e.code(), want)
		}
	}
}

func TestClassifyRetryAfter(t *testing.T) {
	for _, c := range []struct {
		h    http.Header
		http int
		code string
		want time.Duration
	}{
		{http.Header{"Retry-After": {"17"}}, 429, "x", 17 * time.Second},
		{http.Header{"retry-after": {"17"}}, 429, "x", 17 * time.Second},
		{http.Header{"Retry-After": {"17"}}, 503, "x", 17 * time.Second},
		{http.Header{"Retry-After": {noon.Add(90 * time.Second).Format(http.TimeFormat)}}, 503, "x", 90 * time.Second},
		{http.Header{"Retry-After": {"17"}}, 403, "x", 0}, // a hold has its own probes
		{http.Header{}, 429, "x", 0},
		{http.Header{}, 429, "ErrorSubmissionQuotaExceeded", time.Hour},
		{http.Header{"Retry-After": {"5"}}, 429, "ErrorSubmissionQuotaExceeded", 5 * time.Second},
	} {
		if a := classify(c.http, c.h, []byte(graphError(c.code, "")), noon); a.RetryAfter != c.want {
			t.Errorf("%d %v %s: %v, want %v", c.http, c.h, c.code, a.RetryAfter, c.want)
		}
	}
}

// Only these two answers are said to follow a message that was sent (Microsoft Q&A 5629476), and only where a
// request can send one.
func TestClassifyDoubts(t *testing.T) {
	for _, c := range []struct {
		http  int
		code  string
		doubt bool
	}{
		{500, "UnknownError", true}, {500, "ErrorInternalServerError", true}, {500, "generalException", false},
		{500, "ErrorInternalServerTransientError", false}, {503, "UnknownError", false}, {502, "UnknownError", false},
		{400, "UnknownError", false}, {503, "ErrorInternalServerError", false},
	} {
		body := []byte(graphError(c.code, ""))
		if a := classify(c.http, nil, body, noon); a.Doubt != c.doubt || a.Outcome != outcome.Retry {
			t.Errorf("%d %s: %+v", c.http, c.code, a)
		}
		if a := (Step{}).Judge(c.http, nil, body, noon); a.Doubt {
			t.Errorf("%d %s to a step that sends nothing: %+v", c.http, c.code, a)
		}
		if a := (Step{MayDepart: true}).Judge(c.http, nil, body, noon); a.Doubt != c.doubt {
			t.Errorf("%d %s to the last step: %+v", c.http, c.code, a)
		}
	}
}

// TestCatalogueKeepsItsPromises holds every row to the rules of the package.
func TestCatalogueKeepsItsPromises(t *testing.T) {
	final := map[outcome.Outcome][]string{outcome.Bounce: {"400", "413", "422"},
		outcome.TooLarge: {"200", "400", "413"}}
	class := map[outcome.Outcome]int{outcome.Delivered: 2, outcome.Retry: 4, outcome.Hold: 4, outcome.Unknown: 4,
		outcome.Bounce: 5, outcome.TooLarge: 5}
	for _, r := range catalogue() {
		for p := range strings.FieldsSeq(r.HTTP) {
			if _, err := strconv.Atoi(strings.ReplaceAll(p, "xx", "00")); err != nil || len(p) != 3 {
				t.Errorf("%q is no pattern: %+v", p, r)
			}
			if may, ok := final[r.Outcome]; ok && !slices.Contains(may, p) {
				t.Errorf("%v at %s: %+v", r.Outcome, p, r)
			}
		}
		if final[r.Outcome] != nil && r.HTTP == "" {
			t.Errorf("bounce at any status: %+v", r)
		}
		advised := r.Outcome == outcome.Retry || (r.Outcome == outcome.Delivered) != (r.Advice != "")
		if r.Status[0] != class[r.Outcome] || r.Text == "" || !advised {
			t.Errorf("incomplete: %+v", r)
		}
		if r.Pause != 0 && r.Outcome != outcome.Retry {
			t.Errorf("a pause without a retry: %+v", r)
		}
		if r.Doubt && (r.Outcome != outcome.Retry || r.Advice == "") {
			t.Errorf("doubt without a retry or advice: %+v", r)
		}
	}
	for _, r := range entra.Refusals() {
		held := r.Outcome == outcome.Hold
		if !held && r.Outcome != outcome.Retry || r.Status[0] != 4 || r.Text == "" || held && r.Advice == "" {
			t.Errorf("%+v", r)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range []string{"", "{}", "null", `{"error":{"code":"X"}}`,
		`{"error":{"code":"X","message":"m","innerError":{"code":"Y","innererror":{}}}}`,
		`{"error":{"code":1,"message":[],"details":[{}],"innerError":"x"}}`, "<html>", "\xff\x00",
		`{"error":null}`, graphError(
			"ErrorAccessDenied", "[RAOP]")} {
		for _, code := range []int{200, 400, 403, 503} {
			f.Add(code, s, "7", "text/html")
		}
	}
	f.Fuzz(func(t *testing.T, code int, body, after, kind string) {
		a := classify(code, http.Header{"Retry-After": {after}, "Content-Type": {kind}, "Request-Id": {after}},
			[]byte(body), noon)
		if a.Outcome == outcome.Bounce && code != 400 && code != 413 && code != 422 ||
			a.Outcome == outcome.TooLarge && code != 200 && code != 400 && code != 413 {
			t.Fatalf("%d is %v", code, a.Outcome)
		}
		if (a.Outcome == outcome.Delivered) != (code == 202) {
			t.Fatalf("%d is %v", code, a.Outcome)
		}
		for _, s := range []string{a.Text, a.Code, a.RequestID} {
			checkLine(t, s)
		}
		if a.RetryAfter < 0 || a.RetryAfter > time.Hour {
			t.Fatal(a.RetryAfter)
		}
	})
}

func checkLine(t *testing.T, s string) {
	t.Helper()
	// An escape may end in the e of eyJ.
	s = regexp.MustCompile(`\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}`).ReplaceAllString(s, "?")
	if !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e || r == 0x2028 }) ||
		len(s) > 4*outcome.MaxText || strings.Contains(s, "eyJ") {
		t.Fatalf("not fit to be shown: %q", s)
	}
}
