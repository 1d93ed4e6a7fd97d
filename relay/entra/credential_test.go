package entra

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
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

func TestParseCertificate(t *testing.T) {
	key, cert := selfSigned(t, time.Now().AddDate(1, 0, 0))
	_, ca := selfSigned(t, time.Now().AddDate(1, 0, 0))
	c, chain := pemBlock("CERTIFICATE", cert.Raw), pemBlock("CERTIFICATE", ca.Raw)
	p1, p8 := pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), pkcs8PEM(t, key)
	for name, data := range map[string]string{
		"PKCS#8":         c + p8,
		"PKCS#1":         c + p1,
		"key first":      p8 + c,
		"chain behind":   p8 + c + chain,
		"chain in front": chain + p8 + c,
		"openssl bag text": "Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n" + p8 +
			"subject=CN = x\n\n" + c,
		"CRLF":       strings.ReplaceAll(c+p8, "\n", "\r\n"),
		"parameters": pemBlock("DH PARAMETERS", []byte("x")) + c + p8,
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
	legacy := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")}))
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
	for in, want := range map[string]string{"abc~D.e-f\n": "abc~D.e-f", "\xef\xbb\xbfabc\r\n": "abc",
		"  abc  ": "abc"} {
		if got, err := parseSecret([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\n", "two words", "two\nlines", "a\x00b", "gehei\u00df",
		"-----BEGIN PRIVATE KEY-----\nx"} {
		if _, err := parseSecret([]byte(in)); err == nil || !strings.Contains(err.Error(), "Value") {
			t.Errorf("%q: %v", in, err)
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
