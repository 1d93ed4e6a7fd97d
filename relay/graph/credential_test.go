package graph

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/outcome"
)

func pemBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8PEM(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("PRIVATE KEY", der)
}

func TestParseCertificate(t *testing.T) {
	key, cert := selfSigned(t, time.Now().AddDate(1, 0, 0))
	_, ca := selfSigned(t, time.Now().AddDate(1, 0, 0))
	c, chain := pemBlock("CERTIFICATE", cert.Raw), pemBlock("CERTIFICATE", ca.Raw)
	p1, p8 := pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), pkcs8PEM(t, key)
	for name, data := range map[string]string{
		"PKCS#8":           c + p8,
		"PKCS#1":           c + p1,
		"key first":        p8 + c,
		"chain behind":     p8 + c + chain,
		"chain in front":   chain + p8 + c,
		"openssl bag text": "Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n" + p8 + "subject=CN = x\n\n" + c,
		"CRLF":             strings.ReplaceAll(c+p8, "\n", "\r\n"),
		"parameters":       pemBlock("DH PARAMETERS", []byte("x")) + c + p8,
	} {
		k, certs, err := parseCertificate([]byte(data), "")
		if err != nil || !k.Equal(key) || !certs[0].Equal(cert) || len(certs) != 1+strings.Count(name, "chain") {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	key, cert := selfSigned(t, time.Now().AddDate(1, 0, 0))
	other, _ := selfSigned(t, time.Now().AddDate(1, 0, 0))
	c := pemBlock("CERTIFICATE", cert.Raw)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	sec1, _ := x509.MarshalECPrivateKey(ec)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	legacy := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")}))
	for name, x := range map[string]struct{ data, want string }{
		"no key":           {c, "holds no private key"},
		"no certificate":   {pkcs8PEM(t, key), "holds no certificate"},
		"neither":          {pemBlock("DH PARAMETERS", []byte("x")), "neither"},
		"wrong key":        {c + pkcs8PEM(t, other), "belongs to none"},
		"two keys":         {c + pkcs8PEM(t, key) + pkcs8PEM(t, other), "more than one"},
		"EC, PKCS#8":       {c + pkcs8PEM(t, ec), "RSA only"},
		"EC, SEC1":         {c + pemBlock("EC PRIVATE KEY", sec1), "RSA only"},
		"Ed25519":          {c + pkcs8PEM(t, ed), "RSA only"},
		"encrypted PKCS#8": {c + pemBlock("ENCRYPTED PRIVATE KEY", []byte("x")), "certificate_password_file"},
		"encrypted PKCS#1": {c + legacy, "openssl pkey"},
		"broken key":       {c + pemBlock("PRIVATE KEY", []byte("x")), "export it again"},
		"broken PKCS#1":    {c + pemBlock("RSA PRIVATE KEY", []byte("x")), "export it again"},
		"broken cert":      {pemBlock("CERTIFICATE", []byte("x")), "export it again"},
		"PFX":              {"\x30\x03\x02\x01\x03", "openssl pkcs12"},
		"cut short":        {"\x30\x82\x0a\x00\x02\x01\x03", "neither PEM"},
		"DER":              {string(cert.Raw), "openssl x509 -inform der"},
		"empty":            {" \n", "is empty"},
		"text":             {"hello", "PEM"},
	} {
		if _, _, err := parseCertificate([]byte(x.data), ""); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseSecret(t *testing.T) {
	for in, want := range map[string]string{"abc~D.e-f\n": "abc~D.e-f", "\xef\xbb\xbfabc\r\n": "abc", "  abc  ": "abc"} {
		if got, err := parseSecret([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\n", "two words", "two\nlines", "a\x00b", "gehei\u00df", "-----BEGIN PRIVATE KEY-----\nx"} {
		if _, err := parseSecret([]byte(in)); err == nil || !strings.Contains(err.Error(), "Value") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// Every mistake in a configuration is told with its remedy and without network.
func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "secret")
	writeFile(t, good, []byte(testSecret))
	big := filepath.Join(dir, "big")
	writeFile(t, big, bytes.Repeat([]byte("x"), maxCredentialFile+1))
	u := func(s string) *url.URL { v, _ := url.Parse(s); return v }
	base := Config{TenantID: testTenant, ClientID: testApp, SecretFile: good}
	for name, x := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no tenant":       {func(c *Config) { c.TenantID = "" }, "Directory (tenant) ID"},
		"odd tenant":      {func(c *Config) { c.TenantID = "a/b" }, "Directory (tenant) ID"},
		"common":          {func(c *Config) { c.TenantID = "Common" }, "no single tenant"},
		"no client":       {func(c *Config) { c.ClientID = "" }, "Application (client) ID"},
		"no credential":   {func(c *Config) { c.SecretFile = "" }, "exactly one credential"},
		"two credentials": {func(c *Config) { c.CertificateFile = good }, "exactly one credential"},
		"no file":         {func(c *Config) { c.SecretFile = filepath.Join(dir, "none") }, "correct the path"},
		"a folder":        {func(c *Config) { c.SecretFile = dir }, "must be a file"},
		"a big file":      {func(c *Config) { c.SecretFile = big }, "more than 256 KiB"},
		"three":           {func(c *Config) { c.SecretFile, c.ManagedIdentity, c.WorkloadIdentity = "", &ManagedIdentity{}, true }, "exactly one credential"},
		"password alone":  {func(c *Config) { c.CertificatePasswordFile = good }, "without a certificate file"},
		"no token file":   {func(c *Config) { c.SecretFile, c.WorkloadIdentity = "", true }, "AZURE_FEDERATED_TOKEN_FILE"},
		"no such cloud":   {func(c *Config) { c.Cloud = "mars" }, "usgov-dod"},
		"cloud, too":      {func(c *Config) { c.Cloud, c.Login, c.Graph = "china", u("https://localhost"), u("https://localhost") }, "both a cloud"},
		"proxy and file":  {func(c *Config) { c.Proxy, c.ProxyFile = u("http://localhost:3128"), good }, "one of them"},
		"proxy password":  {func(c *Config) { c.Proxy = u("http://u:p4ss@localhost:3128") }, "into a file"},
		"socks proxy":     {func(c *Config) { c.Proxy = u("socks5://localhost:3128") }, "http://host:port"},
		"proxy with path": {func(c *Config) { c.Proxy = u("http://localhost:3128/p4ss") }, "http://host:port"},
		"no proxy file":   {func(c *Config) { c.ProxyFile = filepath.Join(dir, "none") }, "correct the path"},
		"bad proxy file":  {func(c *Config) { c.ProxyFile = good }, "holds no URL of a proxy"},
		"not PEM":         {func(c *Config) { c.SecretFile, c.CertificateFile = "", good }, "PEM"},
		"one endpoint":    {func(c *Config) { c.Graph = u("https://localhost") }, "both or neither"},
		"http login":      {func(c *Config) { c.Login, c.Graph = u("http://localhost"), u("https://localhost") }, "https://host"},
		"http graph":      {func(c *Config) { c.Login, c.Graph = u("https://localhost"), u("http://localhost") }, "https://host"},
		"user in URL":     {func(c *Config) { c.Login, c.Graph = u("https://u:p4ss@localhost"), u("https://localhost") }, "https://host"},
		"no CA":           {func(c *Config) { c.CAFile = filepath.Join(dir, "none") }, "correct the path"},
		"CA not PEM":      {func(c *Config) { c.CAFile = good }, "must be PEM"},
	} {
		cfg := base
		x.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), "u:p4ss") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMicrosoft(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	writeFile(t, secret, []byte(testSecret))
	u := func(s string) *url.URL { v, _ := url.Parse(s); return v }
	for _, x := range []struct {
		login, graph string
		microsoft    bool
		scope        string
	}{
		{"", "", true, "https://graph.microsoft.com/.default"},
		{"https://login.microsoftonline.us", "https://graph.microsoft.us", true, "https://graph.microsoft.us/.default"},
		{"https://127.0.0.1:8443", "https://127.0.0.1:8443", false, "https://graph.microsoft.com/.default"},
		{"https://login.microsoftonline.com", "https://graph.example.org", false, "https://graph.microsoft.com/.default"},
	} {
		cfg := Config{TenantID: testTenant, ClientID: testApp, SecretFile: secret}
		if x.login != "" {
			cfg.Login, cfg.Graph = u(x.login), u(x.graph)
		}
		c := mustNew(t, cfg)
		if c.Microsoft() != x.microsoft || scopeFor(c.cfg.Graph) != x.scope {
			t.Errorf("%s %s: %v %s", x.login, x.graph, c.Microsoft(), scopeFor(c.cfg.Graph))
		}
	}
}

func writeCertificate(t testing.TB, key *rsa.PrivateKey, certs ...*x509.Certificate) string {
	t.Helper()
	text := pkcs8PEM(t, key)
	for _, c := range certs {
		text += pemBlock("CERTIFICATE", c.Raw)
	}
	path := filepath.Join(t.TempDir(), "entra.pem")
	writeFile(t, path, []byte(text))
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
		if i.Kind != "certificate" || len(i.Thumbprint) != 40 || !i.NotAfter.Equal(cert.NotAfter) || i.Subject != "CN=graphrelay test" {
			t.Errorf("%s: %+v", name, i)
		}
	}
}

func TestCredentialWarnings(t *testing.T) {
	now := time.Now()
	key, early := selfSigned(t, now.AddDate(2, 0, 0))
	for want, c := range map[string]credential{
		"not valid before": {kind: KindCertificate, key: key, chain: []*x509.Certificate{early}},
		"secret ID":        {kind: KindSecret, secret: testTenant},
		"renews its file":  {kind: KindWorkload, expires: now.Add(-time.Hour)},
	} {
		if got := c.warning(now); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (credential{kind: KindSecret, secret: testSecret}).warning(now); got != "" {
		t.Error(got)
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
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	c := mustNew(t, cfg)
	d.login = loginFails(401, "invalid_client", 7000215)
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || a.RequestID != "corr-1" || !strings.Contains(a.Advice, "Value") {
		t.Fatalf("%+v", a)
	}
	// The double's answer echoes the secret.
	if s := a.Text + a.Advice + log.String(); strings.Contains(s, "the-wrong-secret") || !strings.Contains(a.Text, "[secret]") {
		t.Errorf("the secret is in %s", s)
	}
	d.login = nil
	writeFile(t, cfg.SecretFile, []byte(testSecret))
	now = now.Add(failurePause)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	writeFile(t, cfg.SecretFile, nil)
	if err := c.tokens.renew(within10s(t), "token-2", ""); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "earlier credential") {
		t.Error(log.String())
	}
}

func FuzzParseCertificate(f *testing.F) {
	key, cert := selfSigned(f, time.Now().AddDate(1, 0, 0))
	f.Add([]byte(pkcs8PEM(f, key) + pemBlock("CERTIFICATE", cert.Raw)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte{0x30, 0x82})
	f.Fuzz(func(t *testing.T, data []byte) {
		if looksLikePFX(data) {
			return // another library's parser, and it counts rounds as the file says
		}
		k, certs, err := parseCertificate(data, "")
		if (err == nil) != (k != nil && len(certs) > 0) {
			t.Fatal(k, certs, err)
		}
	})
}
