package entra

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

const (
	testTenant = "11111111-1111-1111-1111-111111111111"
	testSecret = "p8Q~secret-value-of-the-test"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// direct is a Route without a proxy.
type direct struct{ http.RoundTripper }

func (*direct) Files() []string     { return nil }
func (*direct) Load() (bool, error) { return false, nil }
func (*direct) Secrets() []string   { return nil }
func (*direct) NoAnswer(err error) outcome.Answer {
	return outcome.On("", "", "").Retry(identity, "4.4.1", "no answer: "+ErrorText(err), "").Answer()
}

// imitated is a config for a sandbox, without a credential.
func imitated(t *testing.T, o sandbox.Options) (*sandbox.Double, Config) {
	t.Helper()
	d, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Start(""); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(d.CAPEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return d, Config{
		Identity:  Identity{TenantID: d.TenantID(), ClientID: d.ClientID()},
		Endpoints: Endpoints{Login: u, Graph: u},
		Now:       time.Now, Log: slog.New(slog.DiscardHandler), Route: &direct{transport}, OnChange: func() {},
	}
}

func mustNew(t *testing.T, cfg Config) *Login {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// delivers sends a message with the login's token, with a new one after a 401.
func delivers(t *testing.T, l *Login) {
	t.Helper()
	var status int
	for range 2 {
		at, err := l.GetToken(within10s(t), policy.TokenRequestOptions{})
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		if status = sendMail(t, l, at.Token); status != http.StatusUnauthorized {
			break
		}
		if err := l.Renew(within10s(t), at.Token, ""); err != nil {
			t.Errorf("%v", err)
		}
	}
	if status != http.StatusAccepted {
		t.Errorf("Graph answered %d", status)
	}
}

func sendMail(t *testing.T, l *Login, token string) (status int) {
	t.Helper()
	const text = "From: relay@contoso.com\r\nTo: a@example.com\r\n\r\nx\r\n"
	u := l.cfg.Endpoints.Graph.JoinPath("v1.0/users/relay@contoso.com/sendMail").String()
	body := bytes.NewReader([]byte(base64.StdEncoding.EncodeToString([]byte(text))))
	req, err := http.NewRequestWithContext(within10s(t), http.MethodPost, u, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := l.cfg.Route.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// refusedLogin is the answer of a login that fails.
func refusedLogin(t *testing.T, l *Login) outcome.Answer {
	t.Helper()
	var e *LoginError
	if _, err := l.GetToken(within10s(t), policy.TokenRequestOptions{}); !errors.As(err, &e) {
		t.Fatalf("the login gives %v", err)
	}
	return e.Answer
}

// atMetadata makes the login find the sandbox at 169.254.169.254, and keeps a
// proxy of the environment out of its way.
func atMetadata(t *testing.T, d *sandbox.Double, l *Login) {
	t.Helper()
	if err := d.StartMetadata(""); err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(d.MetadataURL())
	l.metadata.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "169.254.169.254:80" {
			t.Errorf("a token is asked for at %s", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, u.Host)
	}
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func within10s(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
