//go:build interop

package interop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// judging is how long a run of testssl may take on a very busy machine; on an
// idle one it takes about a minute.
const judging = 20 * time.Minute

// What testssl finds wrong with every listener, by ID.
var always = []string{
	"cert_chain_of_trust", // the certificate is signed by itself
	"cert_revocation",     // and so has no issuer who could revoke it
}

// What it finds wrong with a legacy listener besides.
var legacy = []string{
	"TLS1", "TLS1_1", // what the listener is for
	"BEAST", "BEAST_CBC_TLS1", // TLS 1.0 has only CBC suites; the attack needs a browser
	"LUCKY13", "cipherlist_AVERAGE", // CBC and RSA key exchange, all that old devices know
	"SWEET32", "cipherlist_3DES_IDEA", // and some of them only 3DES
}

// testssl judges listeners with either kind of key. What it finds must be what
// is expected, no more and no less, and what it is offered what the manual
// lists. The vulnerabilities do not depend on the key, so are looked for once.
func TestTestSSL(t *testing.T) {
	offers, everything := []string{"-p", "-E"}, []string{"-p", "-E", "-s", "-S", "-U"}
	for _, c := range []struct {
		key     string // kind of the certificate's
		column  string // of the manual's table
		options []string
		checks  []string
		finds   []string
	}{
		{"RSA", "default", nil, everything, always},
		{"ECDSA", "default", nil, offers, nil},
		{"RSA", "`legacy_tls`", []string{"    legacy_tls: true"}, everything, slices.Concat(always, legacy)},
		{"ECDSA", "`legacy_tls`", []string{"    legacy_tls: true"}, offers, []string{"TLS1", "TLS1_1"}},
	} {
		t.Run(strings.Trim(c.column, "`")+" "+c.key, func(t *testing.T) {
			t.Parallel() // testssl uses one processor
			report := judge(t, startTLS(t, c.key, c.options...), c.checks...)
			compareFindings(t, report, c.finds)
			got, want := offered(report), listed(t, c.column, c.key)
			if !slices.Equal(got, want) {
				t.Errorf("the listener offers\n%s\n%s lists\n%s", strings.Join(got, "\n"), suitesPage,
					strings.Join(want, "\n"))
			}
		})
	}
}

// startTLS starts a relay under implicit TLS, with a key of the kind and more
// lines of the listener, and returns the address.
func startTLS(t *testing.T, kind string, options ...string) string {
	t.Helper()
	certificate, key := harness.Certificate(t)
	if kind == "ECDSA" {
		certificate, key = ecdsaCertificate(t)
	}
	lines := append([]string{"    tls: implicit"}, options...)
	lines = append(lines, fmt.Sprintf("tls: {certificate_file: %q, key_file: %q}", certificate, key))
	return harness.StartRelay(t, harness.StartDouble(t), harness.With("smtp", lines...)).Addr
}

// ecdsaCertificate writes a self-signed one.
func ecdsaCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	harness.WriteFile(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	harness.WriteFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	return certificate, key
}

// finding is an entry of testssl's report. The severity is OK, INFO or DEBUG
// where nothing is wrong with the server or with the scan.
type finding struct{ ID, Severity, Finding string }

// judge has testssl make the checks and returns its report. The exit code says
// nothing: it is not 0 even for a server without HTTP.
func judge(t *testing.T, addr string, checks ...string) []finding {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.json")
	args := append([]string{"--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1",
		"--jsonfile", path}, checks...)
	cmd := foreign.TestSSL(t)(append(args, addr)...)
	cmd.Dir = t.TempDir()
	cmd.WaitDelay = 10 * time.Second // its own children may outlive it
	p := harness.Start(t, cmd)
	exit := p.Wait(judging)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("testssl: %v, %v\n%s", exit, err, p.Tail())
	}
	var report []finding
	if err := json.Unmarshal(b, &report); err != nil {
		t.Fatalf("testssl's report: %v\n%s\n%s", err, b, p.Tail())
	}
	return report
}

// compareFindings wants exactly the IDs in want rated as worse than good.
func compareFindings(t *testing.T, report []finding, want []string) {
	t.Helper()
	var found []string
	for _, f := range report {
		if slices.Contains([]string{"OK", "INFO", "DEBUG"}, f.Severity) {
			continue
		}
		found = append(found, f.ID)
		if !slices.Contains(want, f.ID) {
			t.Errorf("testssl finds %s %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	for _, id := range want {
		if !slices.Contains(found, id) {
			t.Errorf("testssl does not find %s", id)
		}
	}
}

// offered are the protocols and suites of a report by their names in Go, sorted.
func offered(report []finding) []string {
	protocols := map[string]string{"SSLv2": "SSL 2", "SSLv3": "SSL 3", "TLS1": tls.VersionName(tls.VersionTLS10),
		"TLS1_1": tls.VersionName(tls.VersionTLS11), "TLS1_2": tls.VersionName(
			tls.VersionTLS12), "TLS1_3": tls.VersionName(tls.VersionTLS13)}
	var list []string
	for _, f := range report {
		if name, ok := protocols[f.ID]; ok && !strings.HasPrefix(f.Finding, "not offered") {
			list = append(list, name)
		}
		// "TLS 1.2 xc02f ECDHE-RSA-AES128-GCM-SHA256 ECDH 253 AESGCM 128 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
		if words := strings.Fields(f.Finding); strings.HasPrefix(f.ID, "cipher-") && len(words) > 0 {
			list = append(list, words[len(words)-1])
		}
	}
	slices.Sort(list)
	return slices.Compact(list) // most suites go with several protocols
}

const suitesPage = "packaging/doc/front-door.md"

// listed are the protocols and suites that a column of the manual's table
// says yes to, sorted, without the suites for the other kind of key.
func listed(t *testing.T, column, kind string) []string {
	t.Helper()
	page, err := os.ReadFile("../../../" + suitesPage)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| Protocol or suite |"
	_, table, found := strings.Cut(string(page), head)
	table, _, _ = strings.Cut(table, "\n\n")
	at := slices.Index(strings.Split(head+strings.SplitN(table, "\n", 2)[0], "|"), " "+column+" ")
	if !found || at < 0 {
		t.Fatalf("%s has no table with %s and %s", suitesPage, head, column)
	}
	other := map[string]string{"RSA": "_ECDSA_", "ECDSA": "_RSA_"}[kind]
	var list []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) > at && cells[at] == " yes " && !strings.Contains(cells[1], other) {
			list = append(list, strings.TrimSpace(cells[1]))
		}
	}
	slices.Sort(list)
	return list
}
