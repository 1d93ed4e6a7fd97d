package graph

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/outcome"
)

func writeCertificate(t testing.TB, key *rsa.PrivateKey, certs ...*x509.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, c := range certs {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	path := filepath.Join(t.TempDir(), "entra.pem")
	writeFile(t, path, data)
	return path
}

func TestCertificateLogsIn(t *testing.T) {
	key, cert := selfSigned(t, time.Now().AddDate(1, 0, 0))
	_, ca := selfSigned(t, time.Now().AddDate(1, 0, 0))
	for name, chain := range map[string][]*x509.Certificate{"alone": {cert}, "chain": {ca, cert}} {
		d := newDouble(t)
		d.cert = cert
		cfg := d.config()
		cfg.SecretFile, cfg.CertificateFile = "", writeCertificate(t, key, chain...)
		c := mustNew(t, cfg)
		if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
			t.Errorf("%s: %+v", name, a)
		}
		i := c.Credential()
		if i.Kind != "certificate" || len(i.Thumbprint) != 40 || !i.NotAfter.Equal(cert.NotAfter) ||
			i.Subject != "CN=graphrelay test" {
			t.Errorf("%s: %+v", name, i)
		}
	}
}

// A renewed file is used from the next login on, and a file that is gone for a
// moment does not stop anything.
func TestRenewedSecretIsUsed(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
	writeFile(t, cfg.SecretFile, []byte("the-wrong-secret"))
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	var later atomic.Int64
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	c := mustNew(t, cfg)
	d.login = loginFails(401, "invalid_client", 7000215)
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || a.RequestID != "corr-1" ||
		!strings.Contains(a.Advice, "Value") {
		t.Fatalf("%+v", a)
	}
	// The double's answer echoes the secret.
	if s := a.Cause().String() + log.String(); strings.Contains(s, "the-wrong-secret") ||
		!strings.Contains(a.Detail, "[secret]") {
		t.Errorf("the secret is in %s", s)
	}
	d.login = nil
	writeFile(t, cfg.SecretFile, []byte(testSecret))
	later.Store(int64(5 * time.Second))
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	writeFile(t, cfg.SecretFile, nil)
	if err := c.login.Renew(within10s(t), "token-2", ""); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "earlier credential") {
		t.Error(log.String())
	}
}
