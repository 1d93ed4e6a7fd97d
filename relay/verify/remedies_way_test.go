package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/verify"
)

// cloudName is a name that no server of names knows.
const cloudName = "login.invalid"

// named starts a server of cloudName whose certificate ends then, and has it trusted.
func named(t *testing.T, roots *x509.CertPool, end time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{cloudName}, NotAfter: end,
		NotBefore: end.AddDate(-1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(cert)
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// way is a proxy, which connects to one server whatever it is asked for; to none it
// refuses.
type way struct{ to string }

func (w *way) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		http.Error(rw, "not allowed", http.StatusForbidden)
		return
	}
	defer server.Close()
	rw.WriteHeader(http.StatusOK)
	client, _, err := rw.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	go func() { _, _ = io.Copy(server, client) }()
	_, _ = io.Copy(client, server)
}

// Each remedy of a server that does not answer is followed, and it answers.
func TestRemediesOfTheWayAreFollowed(t *testing.T) {
	roots := x509.NewCertPool()
	good, late := named(t, roots, time.Now().AddDate(0, 6, 0)), named(t, roots, time.Now().AddDate(0, -1, 0))
	cloud := &url.URL{Scheme: "https", Host: cloudName}
	proxy := &way{to: good}
	srv := httptest.NewServer(proxy)
	defer srv.Close()
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	direct, through := http.ProxyURL(nil), http.ProxyURL(at)
	for remedy, row := range map[string]struct {
		broken, follow func(*verify.Reach)
	}{
		"correct the endpoint in the configuration": {
			func(r *verify.Reach) { r.URL = &url.URL{Scheme: "https", Host: "login invalid"} },
			func(r *verify.Reach) { r.URL = cloud }},
		"make sure that this host can look up names (resolvectl query login.invalid), or set proxy (or HTTPS_PROXY) " +
			"where a proxy has to do it": {
			func(r *verify.Reach) { r.Proxy = direct }, func(r *verify.Reach) { r.Proxy = through }},
		"allow this host to connect to login.invalid, or set proxy (or HTTPS_PROXY); where one is set, check that it " +
			"allows CONNECT": {func(*verify.Reach) { proxy.to = "" }, func(*verify.Reach) { proxy.to = good }},
		"check this host's clock, and what opens TLS on the way": {
			func(*verify.Reach) { proxy.to = late }, func(*verify.Reach) { proxy.to = good }},
	} {
		r := verify.Reach{URL: cloud, Proxy: through, Roots: roots, Now: time.Now}
		row.broken(&r)
		if f := r.Try(t.Context()); f.Mark != verify.Fail || !strings.HasPrefix(f.Remedy, remedy[:30]) ||
			strings.ReplaceAll(f.Remedy, ":443", "") != remedy {
			t.Errorf("%+v, want it to say %q", f, remedy)
		}
		row.follow(&r)
		if f := r.Try(t.Context()); f.Mark != verify.OK {
			t.Errorf("after %q: %+v", remedy, f)
		}
	}
}
