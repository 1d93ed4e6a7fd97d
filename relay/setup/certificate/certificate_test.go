package certificate_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"graphrelay/relay/setup/certificate"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func pair(t testing.TB) certificate.Pair {
	t.Helper()
	p, err := certificate.New(certificate.Request{Name: "graphrelay", Days: 730, Bits: 2048, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestANewPairIsWhatEntraTakes(t *testing.T) {
	p := pair(t)
	cert, err := x509.ParseCertificate(p.Cer)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		t.Error("not self-signed:", err)
	}
	i := p.Info
	if i.Subject != "CN=graphrelay" || i.KeyType != "RSA 2048" || !i.HasKey || !i.KeyFits || i.Form != "PEM" {
		t.Errorf("%+v", i)
	}
	if len(i.SHA1) != 40 || strings.ToUpper(i.SHA1) != i.SHA1 || len(i.SHA256) != 64 {
		t.Errorf("thumbprints %s %s", i.SHA1, i.SHA256)
	}
	if !cert.NotAfter.Equal(noon.AddDate(0, 0, 730)) || !cert.NotBefore.Before(noon) {
		t.Errorf("valid %s to %s", cert.NotBefore, cert.NotAfter)
	}
	if strings.Contains(string(p.Cer), "PRIVATE") {
		t.Error("the file for the upload holds a private key")
	}
}

func TestPairRequestIsChecked(t *testing.T) {
	good := certificate.Request{Name: "graphrelay", Days: 1, Bits: 2048, Now: noon}
	for name, change := range map[string]func(*certificate.Request){
		"no name":        func(r *certificate.Request) { r.Name = "" },
		"long name":      func(r *certificate.Request) { r.Name = strings.Repeat("x", 65) },
		"line in a name": func(r *certificate.Request) { r.Name = "a\nb" },
		"no days":        func(r *certificate.Request) { r.Days = 0 },
		"too many days":  func(r *certificate.Request) { r.Days = 3651 },
		"weak key":       func(r *certificate.Request) { r.Bits = 1024 },
		"absurd key":     func(r *certificate.Request) { r.Bits = 1 << 20 },
	} {
		r := good
		change(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), ": write ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

func TestReadOfEachForm(t *testing.T) {
	p := pair(t)
	key, cert := parts(t, p)
	legacy, err := pkcs12.Legacy.Encode(key, cert, nil, "pass")
	if err != nil {
		t.Fatal(err)
	}
	modern, err := pkcs12.Modern.Encode(key, cert, nil, "pass")
	if err != nil {
		t.Fatal(err)
	}
	for form, data := range map[string][]byte{"PEM": p.PEM, "PFX": modern, "PFX ": legacy} {
		i, err := certificate.Read(data, "pass")
		if err != nil || i.Form != strings.TrimSpace(form) || i.SHA1 != p.Info.SHA1 || !i.KeyFits {
			t.Errorf("%s: %+v, %v", form, i, err)
		}
		if problem := i.Problem(noon); problem != "" {
			t.Errorf("%s: %s", form, problem)
		}
	}
	if i, err := certificate.Read(p.Cer, ""); err != nil || i.Form != "DER" || i.HasKey || i.Problem(noon) == "" {
		t.Errorf("DER: %+v, %v", i, err)
	}
	for password, want := range map[string]string{"": "--password-file", "wrong": "does not open"} {
		if _, err := certificate.Read(modern, password); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

func parts(t *testing.T, p certificate.Pair) (any, *x509.Certificate) {
	t.Helper()
	first, rest := pem.Decode(p.PEM)
	second, _ := pem.Decode(rest)
	cert, err := x509.ParseCertificate(first.Bytes)
	key, keyErr := x509.ParsePKCS8PrivateKey(second.Bytes)
	if err := errors.Join(err, keyErr); err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func TestProblemsOfAPair(t *testing.T) {
	p, other := pair(t), pair(t)
	_, rest := pem.Decode(p.PEM)
	foreign, _ := pem.Decode(other.PEM)
	mixed, err := certificate.Read(append(pem.EncodeToMemory(foreign), rest...), "")
	if err != nil {
		t.Fatal(err)
	}
	ec := ecPair(t)
	for want, problem := range map[string]string{
		"does not belong":  mixed.Problem(noon),
		"expired on":       p.Info.Problem(noon.AddDate(3, 0, 0)),
		"not valid before": p.Info.Problem(noon.AddDate(-1, 0, 0)),
		"needs an RSA key": ec.Problem(noon),
	} {
		if !strings.Contains(problem, want) {
			t.Errorf("%q does not say %q", problem, want)
		}
	}
}

func ecPair(t *testing.T) certificate.Info {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, cert := parts(t, pair(t))
	cert.SignatureAlgorithm, cert.PublicKey = x509.UnknownSignatureAlgorithm, nil
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...)
	i, err := certificate.Read(data, "")
	if err != nil || i.KeyType != "EC P-256" || !i.KeyFits {
		t.Fatalf("%+v, %v", i, err)
	}
	return i
}

// FuzzRead: no file makes it panic, and every refusal says what to do. PFX
// is the library's to parse, and its counts of iterations, which a file may put
// as high as it likes, would make the fuzzer stand still.
func FuzzRead(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.*")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range seeds {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "pass")
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), "")
	f.Add([]byte{0x30, 0x80}, "")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		if bytes.HasPrefix(data, []byte{0x30}) {
			if _, err := x509.ParseCertificate(data); err != nil {
				return
			}
		}
		i, err := certificate.Read(data, password)
		if err != nil && !strings.Contains(err.Error(), ": ") {
			t.Errorf("no remedy: %v", err)
		}
		if err == nil && (i.SHA1 == "" || i.KeyFits && !i.HasKey) {
			t.Errorf("%+v", i)
		}
	})
}
