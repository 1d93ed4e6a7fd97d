package graph

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/outcome"
)

func TestUnauthorizedGetsANewToken(t *testing.T) {
	d := newDouble(t)
	d.send = func(n int, w http.ResponseWriter, r *http.Request, rec received) {
		if rec.header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(401)
			_, _ = io.WriteString(w, `{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}`)
			return
		}
		w.WriteHeader(202)
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	logins, sends := d.counts()
	if a.Outcome != outcome.Delivered || logins != 2 || sends != 2 {
		t.Fatalf("%+v after %d logins and %d sends", a, logins, sends)
	}
	if unbase64(t, d.sent(1).body) != sample {
		t.Error("the second try must carry the whole message")
	}
}

func TestUnauthorizedTwiceHoldsTheIdentity(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, _ received) { w.WriteHeader(401) }
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if logins, sends := d.counts(); a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity ||
		logins != 2 || sends != 2 {
		t.Fatalf("%+v after %d logins and %d sends", a, logins, sends)
	}
}

func TestClaimsChallengeReachesTheLogin(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1652813508"}}}`
	d := newDouble(t)
	d.send = func(n int, w http.ResponseWriter, _ *http.Request, _ received) {
		if n == 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+
				base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(202)
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	if got := d.logins[1].Get("claims"); !strings.Contains(got, `"1652813508"`) || !strings.Contains(got, "CP1") {
		t.Errorf("claims of the second login: %s", got)
	}
}

func TestMalformedClaimsAreNoClaims(t *testing.T) {
	d := newDouble(t)
	d.send = func(n int, w http.ResponseWriter, _ *http.Request, _ received) {
		if n == 1 {
			w.Header().Set("WWW-Authenticate", `Bearer claims=, claims="%%%", claims`)
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(202)
	}
	if a := d.client().Send(within10s(t), address(t, "relay@contoso.com"),
		mail(sample)); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
}

func TestLoginFailureAfterUnauthorizedIsTheAnswer(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, _ received) {
		d.mu.Lock()
		d.login = loginFails(401, "invalid_client", 7000222)
		d.mu.Unlock()
		w.WriteHeader(401)
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || a.Code != "invalid_client" ||
		a.Text != "Client secret expired" {
		t.Fatalf("%+v", a)
	}
	if strings.Contains(a.Cause().String(), testSecret) {
		t.Errorf("the secret is in %q", a.Cause())
	}
}

func TestNothingLeavesWithoutAToken(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
	c := mustNew(t, cfg)
	// The SDK's provider now allows another host only, and then says nothing.
	other, _ := url.Parse("https://graph.example.org")
	c.cfg.Graph = other
	provider, err := c.newProvider()
	if err != nil {
		t.Fatal(err)
	}
	c.cfg.Graph, c.provider = cfg.Graph, provider
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if _, sends := d.counts(); sends != 0 || a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity ||
		!strings.Contains(a.Detail, "without a token") {
		t.Fatalf("%d sends, %+v", sends, a)
	}
}

func TestNothingLeavesForAnotherHost(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	other := newDouble(t)
	c.base = other.URL + "/v1.0" // same name, other port: the SDK does not mind
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if _, sends := other.counts(); sends != 0 || a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity {
		t.Fatalf("%d sends, %+v", sends, a)
	}
}

func TestRequestIDIsAUUID(t *testing.T) {
	c, seen := newDouble(t).client(), map[string]bool{}
	for range 100 {
		_, id, err := c.newRequest(t.Context(), address(t, "relay@contoso.com"), Request{Method: http.MethodGet})
		if err != nil {
			t.Fatal(err)
		}
		if len(id) != 36 || id[14] != '4' || seen[id] {
			t.Fatal(id)
		}
		seen[id] = true
	}
}

func BenchmarkNewRequest(b *testing.B) {
	d := newDouble(b)
	c, to := d.client(), address(b, "relay@contoso.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.newRequest(b.Context(), to,
			Request{Method: http.MethodPost, Path: []string{"sendMail"}}); err != nil {
			b.Fatal(err)
		}
	}
}

// A hundred senders without a token make one login.
func TestManySendersOneLogin(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if a := c.Send(within10s(t), address(t, "relay@contoso.com"),
				mail(sample)); a.Outcome != outcome.Delivered {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if logins, sends := d.counts(); logins != 1 || sends != 100 {
		t.Errorf("%d logins, %d sends", logins, sends)
	}
}

// A hundred senders whose token is refused make one new login.
func TestManyUnauthorizedOneLogin(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, rec received) {
		if rec.header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(202)
	}
	c := d.client()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if a := c.Send(within10s(t), address(t, "relay@contoso.com"),
				mail(sample)); a.Outcome != outcome.Delivered {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if logins, _ := d.counts(); logins != 2 {
		t.Errorf("%d logins", logins)
	}
}

// Run fetches the token before anyone needs it, and Token reads it.
func TestRunFetchesAheadAndTokenTells(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	ctx, cancel := context.WithCancel(within10s(t))
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	for logins := 0; logins == 0 && ctx.Err() == nil; logins, _ = d.counts() {
		time.Sleep(time.Millisecond)
	}
	i, err := c.Token(ctx)
	if err != nil || time.Until(i.Expires) < 50*time.Minute || i.Tenant != "" {
		t.Errorf("%+v, %v", i, err)
	}
	if logins, _ := d.counts(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	cancel()
	<-done
}

func TestTokenTellsWhyThereIsNone(t *testing.T) {
	d := newDouble(t)
	d.login = loginFails(401, "invalid_client", 7000222)
	var refused *entra.LoginError
	if _, err := d.client().Token(within10s(t)); !errors.As(err, &refused) || refused.Answer.Outcome != outcome.Hold ||
		!strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

// Answers of Entra that no one expects end in an Answer too.
func TestOddLogins(t *testing.T) {
	var endless int
	for name, c := range map[string]struct {
		login   http.HandlerFunc
		outcome outcome.Outcome
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusFound)
		}, outcome.Hold},
		"html": {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") },
			outcome.Retry},
		"no token": {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") }, outcome.Retry},
		"throttled": {func(w http.ResponseWriter,
			r *http.Request) {
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(429)
		}, outcome.Retry},
		"busy": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, outcome.Retry},
		"cut":  {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, outcome.Retry},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			for err := error(nil); err == nil && endless < 256<<20; endless += 64 << 10 {
				_, err = io.WriteString(w, strings.Repeat(" ", 64<<10))
			}
		}, outcome.Hold},
	} {
		d := newDouble(t)
		d.login = c.login
		start := time.Now()
		a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
		logins, sends := d.counts()
		if a.Outcome != c.outcome || a.Scope != outcome.ScopeIdentity || sends != 0 || logins != 1 ||
			time.Since(start) > 5*time.Second {
			t.Errorf("%s: %d logins, %d sends, %+v", name, logins, sends, a)
		}
		if d.Close(); endless > 64<<20 {
			t.Errorf("%s: %d bytes of an answer were read", name, endless)
		}
		if name == "throttled" && a.RetryAfter != 9*time.Second {
			t.Errorf("%+v", a)
		}
	}
}
