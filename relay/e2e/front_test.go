package e2e_test

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/e2e/harness"
)

const goodPassword = "right"

// aDay is how long a certificate is valid.
const aDay = 24 * time.Hour

// front is a relay with a listener and a client of each kind. Clients are told
// apart by the loopback address that they come from.
type front struct {
	*harness.Relay
	required string // tls: required
	auth     string // auth: optional, also without TLS
	authTLS  string // auth: optional, with TLS only
	authOnly string // auth: required, also without TLS
	noLogin  string // auth: required, and no way to log in
	strictLF string // bare_lf: reject
}

// Addresses of the clients of a front.
const (
	fromEverybody = "127.0.0.1"
	fromSlow      = "127.0.0.2" // rate: 1/h
	fromFew       = "127.0.0.3" // max_connections: 1
	fromUnmended  = "127.0.0.4" // repair: none
	fromNarrow    = "127.0.0.5" // recipients: one domain
	fromStranger  = "127.0.0.6" // no client
	fromGuesser   = "127.0.0.7" // no client
)

func newFront(t *testing.T) *front {
	t.Helper()
	certificate, key := makeCertificate(t)
	hash := hashOf(t, goodPassword)
	f := &front{required: harness.FreeAddr(t), auth: harness.FreeAddr(t), authTLS: harness.FreeAddr(t),
		authOnly: harness.FreeAddr(t), noLogin: harness.FreeAddr(t), strictLF: harness.FreeAddr(t)}
	f.Relay, _ = start(t, harness.With("smtp",
		"  - {address: "+f.required+", tls: required}",
		"  - {address: "+f.auth+", auth: optional, plaintext_auth: [127.0.0.0/8]}",
		"  - {address: "+f.authTLS+", auth: optional}",
		"  - {address: "+f.authOnly+", auth: required, plaintext_auth: [127.0.0.0/8]}",
		"  - {address: "+f.noLogin+", auth: required, tls: off, plaintext_auth: [10.0.0.0/8]}",
		"  - {address: "+f.strictLF+", bare_lf: reject}",
		"tls: {certificate_file: "+certificate+", key_file: "+key+"}",
	), harness.With("top",
		"local_client: false",
		"clients:",
		"  - {name: everybody, networks: [127.0.0.1], max_connections: 150}",
		"  - {name: slow, networks: [127.0.0.2], rate: 1/h}",
		"  - {name: few, networks: [127.0.0.3], max_connections: 1}",
		"  - {name: unmended, networks: [127.0.0.4], repair: none}",
		"  - {name: narrow, networks: [127.0.0.5], recipients: [\"*@contoso.com\"]}",
		"  - {name: scanner, username: scanner, password_hash: \""+hash+"\"}",
	))
	return f
}

func hashOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// makeCertificate writes a self-signed one with an ECDSA key.
func makeCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certificateFor(t, private, aDay)
}

func certificateFor(t *testing.T, private crypto.Signer, valid time.Duration) (certificate, key string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"relay.contoso.local"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der},
		key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// talk is a connection from one of the addresses of this host.
type talk struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dialFrom(t *testing.T, from, addr string) *talk {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &talk{t, c, bufio.NewReader(c)}
}

// say sends text and a line end.
func (k *talk) say(text string) {
	_ = k.c.SetWriteDeadline(time.Now().Add(patience))
	_, _ = k.c.Write([]byte(text + "\r\n")) // the server may have closed: the reply tells
}

// reply is the last line of the next reply; empty where the connection ended.
func (k *talk) reply() string {
	k.t.Helper()
	r, err := harness.ReadReply(k.c, k.r)
	if err != nil || len(r.Lines) == 0 {
		return ""
	}
	return strconv.Itoa(r.Code) + " " + r.Lines[len(r.Lines)-1]
}

// ask says each text and returns the reply to the last.
func (k *talk) ask(texts ...string) string {
	k.t.Helper()
	var last string
	for _, text := range texts {
		k.say(text)
		last = k.reply()
	}
	return last
}

func (k *talk) startTLS() {
	k.t.Helper()
	if got := k.ask("STARTTLS"); !strings.HasPrefix(got, "220 ") {
		k.t.Fatalf("STARTTLS is answered %q", got)
	}
	c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true}) // the certificate is made for this test
	k.c, k.r = c, bufio.NewReader(c)
}
