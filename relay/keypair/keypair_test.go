package keypair_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/keypair"
)

// The files of a renewed certificate are used by the next handshake; a broken
// one changes nothing, and an open connection lives through it all.
func TestPairReloads(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func(file string, b []byte, age time.Duration) {
		t.Helper()
		tmp := file + ".new"
		if err := os.WriteFile(tmp, b, 0o600); err != nil {
			t.Fatal(err)
		}
		modified := time.Now().Add(-age)
		if err := os.Chtimes(tmp, modified, modified); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, file); err != nil {
			t.Fatal(err)
		}
	}
	key, keyPEM := newKey(t)
	first, second := certificatePEM(t, key, "first.example"), certificatePEM(t, key, "second.example")
	write(certFile, first, 0)
	write(keyFile, keyPEM, 0)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		k, err := keypair.Load(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		expect := func(name string) {
			t.Helper()
			pair, err := k.Certificate(nil)
			if err != nil || pair.Leaf.Subject.CommonName != name {
				t.Errorf("certificate of %v, %v; want %s", pair.Leaf.Subject, err, name)
			}
		}
		expect("first.example")
		write(certFile, second, time.Hour) // older than the first, as a restored backup
		expect("first.example")            // at most one look a second
		time.Sleep(time.Second)
		expect("second.example")
		write(certFile, []byte("half"), 2*time.Hour)
		for range 3 {
			time.Sleep(time.Second)
			expect("second.example")
		}
		if n := strings.Count(log.String(), "keeping the previous one"); n != 1 {
			t.Errorf("%d lines about one broken file: %s", n, log.String())
		}
		if _, unread := k.State(); !strings.Contains(unread, "must be PEM files that the service can read") {
			t.Errorf("the state says of a broken file %q", unread)
		}
		_ = os.Remove(certFile)
		time.Sleep(time.Second)
		expect("second.example")
		write(certFile, first, 3*time.Hour)
		time.Sleep(time.Second)
		expect("first.example")
		if _, unread := k.State(); unread != "" {
			t.Errorf("the state says of a good file %q", unread)
		}
		log.Reset()
		time.Sleep(31 * 366 * 24 * time.Hour)
		time.Sleep(40 * 366 * 24 * time.Hour)
		write(certFile, second, 0)
		time.Sleep(time.Second)
		expect("second.example")
		if !strings.Contains(log.String(), `level=ERROR msg="the new certificate has expired"`) ||
			strings.Contains(log.String(), "level=INFO") {
			t.Errorf("an expired certificate is logged as %s", log.String())
		}
	})
	if _, err := keypair.Load(keyFile, certFile, nil); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Errorf("exchanged files: %v", err)
	}
}

// certificatePEM makes a self-signed certificate for name.
func certificatePEM(t *testing.T, key *ecdsa.PrivateKey, name string) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().AddDate(30, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newKey(t *testing.T) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
