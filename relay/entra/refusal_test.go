package entra

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

func loginFailure(code int, h http.Header, body string) error {
	return fmt.Errorf("wrapped: %w",
		&azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: code, Header: h,
			Body: io.NopCloser(strings.NewReader(body))}})
}

func TestRefusals(t *testing.T) {
	entra := func(word string, n int) string {
		return fmt.Sprintf(`{"error":%q,"error_codes":[%d],"error_description":"AADSTS%d: No.\r\nTrace ID: `+
			`1","correlation_id":"corr-1"}`, word, n, n)
	}
	for _, c := range []struct {
		http    int
		body    string
		outcome outcome.Outcome
		code    string
		advice  string
	}{
		{401, entra("invalid_client", 7000215), outcome.Hold, "invalid_client", "not its Secret ID"},
		{401, entra("invalid_client", 7000222), outcome.Hold, "invalid_client", "make a new one"},
		{401, entra("invalid_client", 700027), outcome.Hold, "invalid_client", "upload"},
		{400, entra("invalid_request", 90002), outcome.Hold, "invalid_request", "tenant_id"},
		{400, entra("unauthorized_client", 700016), outcome.Hold, "unauthorized_client", "client_id"},
		{400, entra("invalid_grant", 53003), outcome.Hold, "invalid_grant", "change the policy"},
		{400, entra("invalid_scope", 70011), outcome.Hold, "invalid_scope", "same cloud"},
		{400, entra("something_new", 1), outcome.Hold, "something_new", "look up"},
		{400, entra("temporarily_unavailable", 90033), outcome.Retry, "temporarily_unavailable", "tried again"},
		{401, entra("invalid_client", 90033), outcome.Hold, "invalid_client", ""}, // the number decides nothing
		{503, entra("invalid_client", 7000215), outcome.Retry, "invalid_client", ""},
		{429, "", outcome.Retry, "", "often"},
		{500, "<html>", outcome.Retry, "", ""},
		{403, "<html>Blocked", outcome.Hold, "", "proxy"},
		{404, "", outcome.Hold, "", "endpoint"},
		{302, "", outcome.Hold, "", "endpoint"},
		{400, `{"error":17,"error_codes":"x"}`, outcome.Hold, "", "endpoint"},
		{400, `{"error":`, outcome.Hold, "", "endpoint"},
	} {
		a := refused(loginFailure(c.http, nil, c.body), noon, (&direct{}).NoAnswer)
		if a.Outcome != c.outcome || a.Scope != outcome.ScopeIdentity || a.Code != c.code ||
			!strings.Contains(a.Advice, c.advice) || a.HTTPStatus != c.http || strings.ContainsAny(a.Text, "\r\n") {
			t.Errorf("%d %s:\n%+v", c.http, c.body, a)
		}
	}
	a := refused(loginFailure(401, nil, entra("invalid_client", 7000215)), noon, (&direct{}).NoAnswer)
	const want = "Entra answered 401 invalid_client: AADSTS7000215: No. Trace ID: 1"
	if a.Text != "Client secret is wrong" || a.Detail != want || a.RequestID != "corr-1" {
		t.Errorf("%+v", a)
	}
	if a := refused(loginFailure(429, http.Header{"Retry-After": {"60"}}, ""), noon,
		(&direct{}).NoAnswer); a.RetryAfter != time.Minute {
		t.Errorf("%+v", a)
	}
}

// AADSTS90055 is throttling, whatever status and error it comes with: else the identity would be held with advice
// about its configuration. 500021 and 500022 name a proxy that restricts tenants.
func TestLoginThrottlingAndTenantRestriction(t *testing.T) {
	const throttled = `{"error":"invalid_request","error_codes":[90055],` +
		`"error_description":"AADSTS90055: There are too many incoming requests."}`
	a := refused(loginFailure(400, http.Header{"Retry-After": {"30"}}, throttled), noon, (&direct{}).NoAnswer)
	if a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity || a.RetryAfter != 30*time.Second ||
		!strings.Contains(a.Text, "limits the logins") {
		t.Errorf("%+v", a)
	}
	for _, n := range []string{"500021", "500022"} {
		a := refused(loginFailure(400, nil, `{"error":"invalid_request","error_description":"AADSTS`+n+
			`: Access to tenant is denied.","error_codes":[`+n+`]}`), noon, (&direct{}).NoAnswer)
		if a.Outcome != outcome.Hold || !strings.Contains(a.Text, "proxy") ||
			!strings.Contains(a.Advice, "Restrict-Access-To-Tenants") {
			t.Errorf("%+v", a)
		}
	}
}

// A number that is known has a headline and a remedy.
func TestLoginAdviceForEveryKnownNumber(t *testing.T) {
	for _, n := range []int{7000215, 7000222, 700027, 700024, 700030, 700016, 700011, 70001, 7000112, 7000229, 90002,
		90038, 900382, 53003, 53000, 530035,
		65001, 650052, 650056, 650057, 500011, 70011, 1002012, 70021, 700211, 700213,
		90006, 90012, 90024, 90033, 50196, 500021, 500022, 90055} {
		if r, ok := known(n); !ok || r.Advice == "" || r.Text == "" {
			t.Errorf("no advice for AADSTS%d", n)
		}
	}
	if _, ok := known(0); ok {
		t.Error("advice for nothing")
	}
}

// A token that no request can carry, and an answer that holds none, are named as
// such, not blamed on the network or on Graph; and nothing of a token is shown.
func TestATokenThatCannotBeSent(t *testing.T) {
	const odd, none, not = "has a line end", "holds no token", "not Entra"
	for body, want := range map[string]struct{ text, detail string }{
		`{"access_token":"abc.def\r\nX-Injected: 1"`: {odd, "byte 8 of its 22 is 0x0d"},
		`{"access_token":"abc.def\n"`:                {odd, "byte 8 of its 8 is 0x0a"},
		`{"access_token":"abc def"`:                  {odd, "byte 4 of its 7 is 0x20"},
		`{"access_token":"\u00e9abc"`:                {odd, "byte 1 of its 5 is 0xc3"},
		`{"access_token":""`:                         {none, ""},
		`{"other":"abc"`:                             {none, ""},
		`{"access_token":"abc.def","expires_in":"x"`: {not, ""},
		`<html>abc.def`:                              {not, ""},
	} {
		for _, managed := range []bool{false, true} {
			l, d := loginAt(t, managed)
			endpoint := "token"
			if managed {
				endpoint, want.text = "metadata", strings.Replace(want.text, not, none, 1)
			}
			answer := body
			if body[0] == '{' {
				answer += `,"token_type":"Bearer","expires_on":"4102444800","resource":"x"`
				if !strings.Contains(body, "expires_in") {
					answer += `,"expires_in":3600`
				}
				answer += "}"
			}
			if err := d.Inject(sandbox.Fault{Endpoint: endpoint, Status: 200, Body: answer}); err != nil {
				t.Fatal(err)
			}
			a := refusedLogin(t, l)
			outcomes := map[bool]outcome.Outcome{false: outcome.Hold, true: outcome.Retry}
			if a.Outcome != outcomes[!managed && want.text != odd] || a.Scope != identity ||
				!strings.Contains(a.Text, want.text) ||
				len(a.Text) > 100 || a.Advice == "" || strings.Contains(a.Detail, "abc") ||
				want.detail != "" && a.Detail != want.detail {
				t.Errorf("%s, managed %v: %+v", answer, managed, a)
			}
		}
	}
}

// loginAt is a login at a double, with a secret or as the machine.
func loginAt(t *testing.T, managed bool) (*Login, *sandbox.Double) {
	t.Helper()
	d, cfg := imitated(t, sandbox.Options{})
	if managed {
		cfg.ManagedIdentity = &ManagedIdentity{}
		l := mustNew(t, cfg)
		atMetadata(t, d, l)
		return l, d
	}
	cfg.SecretFile = filepath.Join(t.TempDir(), "secret.txt")
	writeFile(t, cfg.SecretFile, []byte(d.Secret()))
	return mustNew(t, cfg), d
}
