package graph

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
)

const (
	testTenant = "11111111-1111-1111-1111-111111111111"
	testApp    = "22222222-2222-2222-2222-222222222222"
	testSecret = "p8Q~secret-value-of-the-test"
)

// double plays Entra and Graph on one TLS listener of the loopback.
type double struct {
	*httptest.Server
	t    testing.TB
	cert *x509.Certificate // accepted for assertions; nil: the secret

	mu     sync.Mutex
	logins []url.Values
	sends  []received
	login  http.HandlerFunc                                                  // in place of a good answer, if set
	early  bool                                                              // 202 without reading the body
	send   func(n int, w http.ResponseWriter, r *http.Request, rec received) // n counts from 1; nil is 202
}

type received struct {
	path   string
	header http.Header
	length int64
	body   string
	proto  int
}

func newDouble(t testing.TB) *double {
	d := &double{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", d.discovery)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", d.token)
	mux.HandleFunc("POST /v1.0/users/{user}/sendMail", d.sendMail)
	d.Server = httptest.NewUnstartedServer(mux)
	d.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	d.EnableHTTP2 = true
	d.StartTLS()
	t.Cleanup(d.Close)
	return d
}

func (d *double) discovery(w http.ResponseWriter, r *http.Request) {
	base := d.URL + "/" + r.PathValue("tenant")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base +
			"/oauth2/v2.0/authorize", "issuer": base + "/v2.0",
	})
}

func (d *double) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		d.t.Error(err)
	}
	d.mu.Lock()
	d.logins = append(d.logins, r.PostForm)
	n, login := len(d.logins), d.login
	d.mu.Unlock()
	if login != nil {
		login(w, r)
		return
	}
	if problem := d.checkLogin(r.PostForm); problem != "" {
		d.t.Errorf("login %d: %s", n, problem)
		loginFails(401, "invalid_client", 7000215)(w, r)
		return
	}
	grantToken(w, fmt.Sprintf("token-%d", n), 3600)
}

func grantToken(w http.ResponseWriter, token string, seconds int) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "access_token": token, "expires_in": seconds})
}

// loginFails answers as Entra does.
func loginFails(code int, word string, number int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": word, "error_codes": []int{number},
			"correlation_id": "corr-1",
			"error_description": fmt.Sprintf("AADSTS%d: It fails for %s.\r\nTrace ID: x", number,
				r.PostFormValue("client_secret"))})
	}
}

// checkLogin verifies the form as Entra documents it.
func (d *double) checkLogin(f url.Values) string {
	switch {
	case f.Get("grant_type") != "client_credentials" || f.Get("client_id") != testApp:
		return fmt.Sprintf("wrong form %v", f)
	case !strings.HasPrefix(f.Get("scope"), "https://graph.microsoft.com/.default"):
		return "wrong scope " + f.Get("scope")
	case d.cert == nil && f.Get("client_secret") != testSecret:
		return "wrong secret"
	case d.cert != nil:
		return d.checkAssertion(f)
	}
	return ""
}

func (d *double) checkAssertion(f url.Values) string {
	if f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "wrong assertion type"
	}
	_, err := jwt.Parse(f.Get("client_assertion"), func(*jwt.Token) (any, error) { return d.cert.PublicKey, nil },
		jwt.WithValidMethods([]string{"PS256", "RS256"}), jwt.WithAudience(d.URL+"/"+testTenant+"/oauth2/v2.0/token"),
		jwt.WithIssuer(testApp), jwt.WithSubject(testApp), jwt.WithExpirationRequired())
	if err != nil {
		return err.Error()
	}
	return ""
}

func (d *double) sendMail(w http.ResponseWriter, r *http.Request) {
	if d.early {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	body, _ := io.ReadAll(r.Body)
	rec := received{path: r.URL.EscapedPath(), header: r.Header, length: r.ContentLength, body: string(body),
		proto: r.ProtoMajor}
	d.mu.Lock()
	d.sends = append(d.sends, rec)
	n, send := len(d.sends), d.send
	d.mu.Unlock()
	w.Header().Set("request-id", fmt.Sprintf("graph-%d", n))
	if send != nil {
		send(n, w, r, rec)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (d *double) counts() (logins, sends int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.logins), len(d.sends)
}

func (d *double) sent(i int) received {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sends[i]
}

// config is one that works with the double.
func (d *double) config() Config {
	dir := d.t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	writeFile(d.t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw}))
	secret := filepath.Join(dir, "secret.txt")
	writeFile(d.t, secret, []byte(testSecret+"\n"))
	u, err := url.Parse(d.URL)
	if err != nil {
		d.t.Fatal(err)
	}
	identity := entra.Identity{TenantID: testTenant, ClientID: testApp, SecretFile: secret}
	return Config{Name: "test", Identity: identity, CAFile: ca, Login: u, Graph: u}
}

func (d *double) client() *Client { return mustNew(d.t, d.config()) }

func mustNew(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.network.CloseIdleConnections)
	return c
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// mail makes a message that says its size right.
func mail(s string) Mail {
	return Mail{ID: "q", Size: int64(len(s)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
}

func address(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func unbase64(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func within10s(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// selfSigned makes a key and a certificate for it.
func selfSigned(t testing.TB, notAfter time.Time) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024) // as small as crypto/rsa allows: fast
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "graphrelay test"},
		NotBefore: notAfter.AddDate(-1, 0, 0), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}
