package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

func TestNothingIsShownWithoutASession(t *testing.T) {
	b := newBench(t, record(1, spool.Held))
	for _, cookie := range []*http.Cookie{nil, {Name: cookieName, Value: "guess"}, {Name: cookieName, Value: ""}} {
		b.cookie = cookie
		for _, path := range everyPage {
			if w := b.get(path); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" ||
				strings.Contains(w.Body.String(), "Report") {
				t.Errorf("%s = %d %s", path, w.Code, w.Body)
			}
		}
		for _, path := range []string{"/messages/" + string(id(1)) + "/delete", "/test", "/logout"} {
			if w := b.do(http.MethodPost, path, url.Values{"from": {"a@example.org"},
				"to": {"b@example.org"}}); w.Code != http.StatusSeeOther || len(b.done) > 0 {
				t.Errorf("POST %s = %d, done %v", path, w.Code, b.done)
			}
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	b := newBench(t, record(1, spool.Held)).logIn()
	for _, path := range append(everyPage, "/login", "/static/style.css", "/static/script.js", "/static/none") {
		h := b.get(path).Header()
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'",
			"base-uri 'none'", "script-src 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") == "" ||
			h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

// What the policy forbids must not be in a page, or it would look broken.
func TestPagesKeepTheirOwnPolicy(t *testing.T) {
	b := newBench(t, record(1, spool.Held)).logIn()
	b.monitor.Refused("", "", state.Refused{Reply: "x"})
	bad := regexp.MustCompile(`(?i)<[^>]*\sstyle=|<style|<script(>| src="[^/])|<[^>]*\son[a-z]+=|https?://|src="//`)
	for _, path := range append(everyPage, "/login") {
		if m := bad.FindString(b.get(path).Body.String()); m != "" {
			t.Errorf("%s holds %q", path, m)
		}
	}
}

func TestHostHeader(t *testing.T) {
	b := newBench(t).logIn()
	for host, good := range map[string]bool{
		"127.0.0.1:8025": true, "localhost:8025": true, "localhost": true, "[::1]:8025": true, "127.0.0.9": true,
		"relay.example.org": true, "RELAY.example.org:8025": true,
		"evil.example": false, "evil.example:8025": false, "127.0.0.1.evil.example": false,
		"localhost.evil.example": false,
		"192.0.2.1:8025":         false, "": false, "evil.example@127.0.0.1": false,
		"relay.example.org.evil.example": false,
	} {
		w := b.do(http.MethodGet, "/setup", nil, func(r *http.Request) { r.Host = host })
		if (w.Code == http.StatusOK) != good || !good && strings.Contains(w.Body.String(), "contoso") {
			t.Errorf("Host %q = %d", host, w.Code)
		}
	}
}

// A listener on all addresses answers to the one that was connected to.
func TestHostHeaderIsTheAddressConnectedTo(t *testing.T) {
	b := newBench(t).logIn()
	connected := func(r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addrOf("192.0.2.1:8025")))
		r.Host = "192.0.2.1:8025"
	}
	if w := b.do(http.MethodGet, "/setup", nil, connected); w.Code != http.StatusOK {
		t.Errorf("= %d", w.Code)
	}
}

func TestForgedRequestsChangeNothing(t *testing.T) {
	b := newBench(t, record(1, spool.Held)).logIn()
	token := b.token()
	path := "/messages/" + string(id(1)) + "/delete"
	good := url.Values{"token": {token}}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no token":           b.do(http.MethodPost, path, nil),
		"wrong token":        b.do(http.MethodPost, path, url.Values{"token": {"AAAA"}}),
		"token in the query": b.do(http.MethodPost, path+"?token="+token, nil),
		"cross-site": b.do(http.MethodPost, path, good,
			func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }),
		"same-site": b.do(http.MethodPost, path, good,
			func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }),
		"foreign origin": b.do(http.MethodPost, path, good, func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "http://evil.example")
		}),
		"login from elsewhere": b.do(http.MethodPost, "/login", url.Values{"password": {password}},
			func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }),
		"get": b.do(http.MethodGet, path, good),
	} {
		if len(b.done) > 0 || name != "get" && w.Code != http.StatusForbidden {
			t.Errorf("%s = %d, done %v", name, w.Code, b.done)
		}
	}
	if w := b.do(http.MethodPut, path, good); w.Code < 400 || len(b.done) > 0 {
		t.Errorf("PUT = %d", w.Code)
	}
	if w := b.do(http.MethodPost, path, good); w.Code != http.StatusSeeOther || len(b.done) != 1 {
		t.Errorf("the real one = %d, done %v", w.Code, b.done)
	}
	other := newBench(t, record(1, spool.Held)).logIn()
	if w := other.do(http.MethodPost, path, good); w.Code != http.StatusForbidden || len(other.done) > 0 {
		t.Errorf("the token of another session = %d", w.Code)
	}
}
