package verify_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/verify"
)

func TestReach(t *testing.T) {
	x := newTenant(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(x.CAPEM())
	direct := func(*http.Request) (*url.URL, error) { return nil, nil }
	for name, tc := range map[string]struct {
		host    string
		roots   *x509.CertPool
		advance time.Duration
		mark    verify.Mark
		say     string
	}{
		"well":            {x.URL(), roots, 0, verify.OK, "answers (directly)"},
		"clock a bit off": {x.URL(), roots, 3 * time.Minute, verify.Warn, "off by -"},
		"clock far off":   {x.URL(), roots, -10 * time.Minute, verify.Fail, "off by 10m"},
		"TLS opened":      {x.URL(), x509.NewCertPool(), 0, verify.Fail, "TLS"},
		"nobody there":    {"https://127.0.0.1:1", roots, 0, verify.Fail, "the connection"},
		"no such name":    {"https://login.invalid", roots, 0, verify.Fail, "failed at its name"},
	} {
		t.Run(name, func(t *testing.T) {
			x.Advance(tc.advance)
			defer x.Advance(-tc.advance)
			u, err := url.Parse(tc.host + "/" + x.TenantID() + "/v2.0/.well-known/openid-configuration")
			if err != nil {
				t.Fatal(err)
			}
			f := verify.Reach{URL: u, Proxy: direct, Roots: tc.roots, Now: time.Now}.Try(context.Background())
			if f.Mark != tc.mark || !strings.Contains(f.Text, tc.say) || (f.Remedy == "") != (f.Mark == verify.OK) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A login fails from 5 minutes on, and not before; from 2 minutes on there is a
// warning.
func TestClockBorders(t *testing.T) {
	server := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", server.Format(http.TimeFormat))
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	direct := func(*http.Request) (*url.URL, error) { return nil, nil }
	for off, want := range map[time.Duration]verify.Mark{
		0:                              verify.OK,
		2*time.Minute - time.Second:    verify.OK,
		2 * time.Minute:                verify.Warn,
		2*time.Minute + time.Second:    verify.Warn,
		5*time.Minute - time.Second:    verify.Warn,
		5 * time.Minute:                verify.Fail,
		5*time.Minute + time.Second:    verify.Fail,
		-5*time.Minute + time.Second:   verify.Warn,
		-5 * time.Minute:               verify.Fail,
		-(5*time.Minute + time.Second): verify.Fail,
	} {
		now := func() time.Time { return server.Add(off) }
		f := verify.Reach{URL: u, Proxy: direct, Roots: roots, Now: now}.Try(t.Context())
		if f.Mark != want || (want == verify.OK) == strings.Contains(f.Text, "is off by "+off.String()) {
			t.Errorf("off by %s: %+v, want %s", off, f, want)
		}
	}
}

// The examination sends nothing, and says of the refusal that reports know
// without any policy what it may mean.
func TestExamine(t *testing.T) {
	x := newTenant(t)
	a := policy(sender)
	a.ClosedByDefault = true
	x.set(a, 0)
	var found []verify.Finding
	verify.Examine(context.Background(), x.id, verify.Verifier{}, func(f verify.Finding) { found = append(found, f) })
	said := false
	for _, f := range found {
		said = said || f.Step == verify.StepAllowed && f.Mark == verify.Fail &&
			strings.Contains(f.Remedy, "without any policy")
	}
	if !said || x.Count() != 0 {
		t.Errorf("%d mails, %+v", x.Count(), found)
	}
}
