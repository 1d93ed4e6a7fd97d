package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"graphrelay/relay/sandbox"
)

func inject(t *testing.T, d *sandbox.Double, f sandbox.Fault) {
	t.Helper()
	if err := d.Inject(f); err != nil {
		t.Fatal(err)
	}
}

// Each action, once, and afterwards the double answers normally again.
func TestFaultActions(t *testing.T) {
	for _, row := range []struct {
		name   string
		fault  sandbox.Fault
		status int // 0: the connection is lost
		header map[string]string
		body   string // a part of it; "-": none at all
		stored int
	}{
		{"error", sandbox.Fault{Status: 503}, 503, nil, `"code":"ServiceUnavailable"`, 0},
		{"code and message", sandbox.Fault{Status: 403, Code: "ErrorAccountSuspend", Message: "Why not"}, 403, nil,
			`"message":"Why not"`, 0},
		{"Retry-After in seconds", sandbox.Fault{Status: 429, RetryAfter: 1500 * time.Millisecond}, 429,
			map[string]string{"Retry-After": "2"}, "ApplicationThrottled", 0},
		{"own header", sandbox.Fault{Status: 307, Headers: map[string]string{"Location": "https://127.0.0.1:1/"}}, 307,
			map[string]string{"Location": "https://127.0.0.1:1/"}, "", 0},
		{"200 instead of 202", sandbox.Fault{Status: 200}, 200, nil, "-", 0},
		{"202 and lost", sandbox.Fault{Status: 202}, 202, nil, "-", 0},
		{"HTML", sandbox.Fault{Status: 502, Body: sandbox.BodyHTML}, 502,
			map[string]string{"Content-Type": "text/html"}, "<html>", 0},
		{"empty body", sandbox.Fault{Status: 503, Body: sandbox.BodyEmpty}, 503,
			map[string]string{"Content-Type": ""}, "-", 0},
		{"broken JSON", sandbox.Fault{Status: 500, Body: sandbox.BodyBroken}, 500,
			map[string]string{"Content-Type": "application/json"}, `{"error":{"code":"Unkno`, 0},
		{"empty object", sandbox.Fault{Status: 500, Body: sandbox.BodyNull}, 500, nil, "{}", 0},
		{"literal body", sandbox.Fault{Status: 400, Body: `{"error":{"code":"X"}}`}, 400,
			map[string]string{"Content-Type": "application/json"}, `{"error":{"code":"X"}}`, 0},
		{"504 after storing", sandbox.Fault{Status: 504, Stored: true}, 504, nil, "UnknownError", 1},
		{"dropped at the header", sandbox.Fault{Drop: sandbox.DropHeaders}, 0, nil, "", 0},
		{"dropped within the body", sandbox.Fault{Drop: sandbox.DropPartial, DropAfter: 10}, 0, nil, "", 0},
		{"dropped after the body", sandbox.Fault{Drop: sandbox.DropBody}, 0, nil, "", 0},
		{"dropped after storing", sandbox.Fault{Drop: sandbox.DropStored}, 0, nil, "", 1},
		{"dropped at connect", sandbox.Fault{Drop: sandbox.DropConnect}, 0, nil, "", 0},
	} {
		for _, http2 := range []bool{true, false} {
			t.Run(row.name+map[bool]string{true: " h2", false: " h1"}[http2], func(t *testing.T) {
				d := start(t, sandbox.Options{})
				c := signIn(t, d)
				c.http = freshClient(d, http2)
				row.fault.Count = 1
				inject(t, d, row.fault)
				response, err := c.http.Do(c.request(mailbox, "text/plain", encode(simple)))
				if (err != nil) != (row.status == 0) {
					t.Fatalf("%v", err)
				}
				if err == nil {
					checkScripted(t, read(t, response), row.status, row.header, row.body)
				}
				if d.Count() != row.stored || len(d.Faults()) != 0 {
					t.Errorf("%d recorded, faults left: %v", d.Count(), d.Faults())
				}
				c.http.CloseIdleConnections()
				if g := c.send(mailbox, simple); g.status != 202 {
					t.Errorf("then: %d %s", g.status, g.body)
				}
			})
		}
	}
}

// freshClient follows no redirect, and repeats nothing unasked: a client that
// has no GetBody sends each request once.
func freshClient(d *sandbox.Double, http2 bool) *http.Client {
	c := d.HTTPClient()
	transport := c.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = http2
	c.Transport = once{transport}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

type once struct{ *http.Transport }

func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	r.GetBody = nil
	return o.Transport.RoundTrip(r)
}

func checkScripted(t *testing.T, g got, status int, header map[string]string, body string) {
	t.Helper()
	if g.status != status {
		t.Errorf("%d, want %d", g.status, status)
	}
	for name, value := range header {
		if g.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, g.header.Get(name), value)
		}
	}
	if body == "-" && len(g.body) != 0 || body != "-" && !strings.Contains(string(g.body), body) {
		t.Errorf("%s", g.body)
	}
}

func TestRetryAfterAsDate(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	inject(t, d, sandbox.Fault{Status: 503, RetryAfter: time.Hour, RetryAfterDate: true})
	g := c.send(mailbox, simple)
	when, err := http.ParseTime(g.header.Get("Retry-After"))
	if in := time.Until(when); err != nil || in < 59*time.Minute || in > time.Hour {
		t.Errorf("%v %v", when, err)
	}
}

// Whom a fault meets.
func TestFaultMatching(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	other := header("From: other@contoso.com", "To: a@example.com", "Subject: Odd one", "Message-ID: <odd@x>")
	ask := func() (first, second int) {
		return c.send(mailbox, simple).status, c.send("other@contoso.com", other).status
	}
	for _, row := range []struct {
		name          string
		fault         sandbox.Fault
		first, second int
	}{
		{"everything", sandbox.Fault{}, 500, 500},
		{"mailbox", sandbox.Fault{Mailbox: "Other@contoso.com"}, 202, 500},
		{"endpoint", sandbox.Fault{Endpoint: "sendMail"}, 500, 500},
		{"other endpoint", sandbox.Fault{Endpoint: "token"}, 202, 202},
		{"From", sandbox.Fault{From: "RELAY@contoso.com"}, 500, 202},
		{"Subject", sandbox.Fault{Subject: "Odd"}, 202, 500},
		{"Message-ID", sandbox.Fault{MessageID: "<odd@x>"}, 202, 500},
		{"count", sandbox.Fault{Count: 1}, 500, 202},
		{"skip", sandbox.Fault{Skip: 1}, 202, 500},
	} {
		row.fault.Status = 500
		inject(t, d, row.fault)
		if first, second := ask(); first != row.first || second != row.second {
			t.Errorf("%s: %d %d", row.name, first, second)
		}
		d.ClearFaults()
	}
	inject(t, d, sandbox.Fault{Status: 500, Count: 1})
	inject(t, d, sandbox.Fault{Status: 503, Count: 1})
	if first, second := ask(); first != 500 || second != 503 {
		t.Errorf("in order: %d %d", first, second)
	}
}

func TestFaultPercent(t *testing.T) {
	d := start(t, sandbox.Options{Keep: -1})
	c := signIn(t, d)
	inject(t, d, sandbox.Fault{Status: 503, Percent: 50})
	for range 60 {
		c.send(mailbox, simple)
	}
	if n := d.Count(); n == 0 || n == 60 { // one in 2^59
		t.Errorf("%d of 60 passed", n)
	}
}

// A late fault needs something to be late for: a message that is refused gets
// its refusal.
func TestLateFaultLeavesRefusals(t *testing.T) {
	d := start(t, sandbox.Options{Allowed: []string{"other@contoso.com"}})
	c := signIn(t, d)
	inject(t, d, sandbox.Fault{Status: 504, Stored: true})
	if g := c.send(mailbox, simple); g.status != 403 || d.Count() != 0 {
		t.Errorf("%d", g.status)
	}
}

// A client that gives up while its request is worked on cannot take it back.
func TestImpatientClient(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	sendAll(t, c, 1) // opens the connection
	inject(t, d, sandbox.Fault{Latency: 1200 * time.Millisecond, Count: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 600*time.Millisecond)
	defer cancel()
	if _, err := c.http.Do(c.request(mailbox, "text/plain", encode(simple)).WithContext(ctx)); !errors.Is(err,
		context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	wait, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := d.Wait(wait, 2); err != nil {
		t.Error(err)
	}
}

func TestTokenFaults(t *testing.T) {
	d := start(t, sandbox.Options{})
	inject(t, d, sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: 7000222,
		Message: "The provided client secret keys for app are expired.", Count: 1})
	inject(t, d, sandbox.Fault{Endpoint: "token", Drop: sandbox.DropBody, Count: 1})
	credential, err := azidentity.NewClientSecretCredential(d.TenantID(), d.ClientID(), d.Secret(),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: azure(d), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"AADSTS7000222", "EOF", ""} {
		_, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{scope}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestImpossibleFaults(t *testing.T) {
	d := start(t, sandbox.Options{})
	for _, f := range []sandbox.Fault{
		{Endpoint: "sendmail", Status: 500}, {Status: 99}, {Status: 600}, {Count: -1, Status: 500}, {Percent: 100,
			Status: 500},
		{Code: "X"}, {Body: "x"}, {RetryAfter: time.Second}, {Stored: true}, {Drop: "late"},
		{Drop: sandbox.DropHeaders, Subject: "x"}, {Drop: sandbox.DropConnect, Mailbox: "x"},
	} {
		if d.Inject(f) == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}
