package e2e_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// The protocols and cipher suites in the manual are those that the program
// agrees to: each is tried against it, with a certificate of either kind.
func TestManualListsEveryCipherSuite(t *testing.T) {
	const page, head = "front-door.md", "| Protocol or suite |"
	text := readPage(t, page)
	before, rest, found := strings.Cut(text, head)
	_, after, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatalf("%s has no table that begins with %s", page, head)
	}
	table := suiteTable(t)
	if strings.Count(table, "\n") < 20 || !strings.Contains(table, "| TLS 1.1 | no | yes |") {
		t.Fatalf("the table lacks what it must have:\n%s", table)
	}
	want := before + table + "\n" + after
	if *update && text != want {
		if err := os.WriteFile(manual(page), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != want {
		t.Errorf("the table of suites in %s must be\n%s", page, table)
	}
}

// suiteTable tries everything that Go knows at a modern and at a legacy listener.
func suiteTable(t *testing.T) string {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var modern, legacy []string // the listeners, one for each kind of key
	for _, key := range []crypto.Signer{rsaKey, ecdsaKey} {
		m, l := tlsPorts(t, key)
		modern, legacy = append(modern, m), append(legacy, l)
	}
	var b strings.Builder
	b.WriteString("| Protocol or suite | default | `legacy_tls` |\n|---|---|---|\n")
	row := func(name string, c *tls.Config) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, agrees(modern, c), agrees(legacy, c))
	}
	all := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	var ids []uint16
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	for _, v := range []uint16{tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10} {
		row(tls.VersionName(v), &tls.Config{MinVersion: v, MaxVersion: v, CipherSuites: ids})
	}
	for _, s := range all {
		if s.SupportedVersions[0] < tls.VersionTLS13 {
			row(s.Name, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12,
				CipherSuites: []uint16{s.ID}})
		} else {
			row(s.Name, &tls.Config{MinVersion: tls.VersionTLS13}) // Go lets nobody choose among these
		}
	}
	return b.String()
}

// tlsPorts runs a relay with a modern and a legacy listener under implicit TLS.
func tlsPorts(t *testing.T, key crypto.Signer) (modern, legacy string) {
	t.Helper()
	certificate, keyFile := certificateFor(t, key, aDay)
	modern, legacy = harness.FreeAddr(t), harness.FreeAddr(t)
	start(t, harness.With("smtp",
		"  - {address: "+modern+", tls: implicit}",
		"  - {address: "+legacy+", tls: implicit, legacy_tls: true}",
		"tls: {certificate_file: "+certificate+", key_file: "+keyFile+"}"))
	return modern, legacy
}

// agrees tells whether one of the ports takes a handshake as c has it.
func agrees(ports []string, c *tls.Config) string {
	c.InsecureSkipVerify = true // the certificate is made for this test
	for _, port := range ports {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", port, c)
		if err == nil {
			conn.Close()
			return "yes"
		}
	}
	return "no"
}
