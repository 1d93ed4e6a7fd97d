package smtpd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// rsaKey is one key for all tests: making it takes time.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// certificatePEM makes a self-signed certificate for name.
func certificatePEM(t testing.TB, name string) (cert, key []byte) {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().AddDate(-30, 0, 0), NotAfter: time.Now().AddDate(30, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, rsaKey().Public(), rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
}

// withTLS are the options of a listener with a certificate.
func withTLS(t testing.TB, mode smtpd.TLSMode) smtpd.ListenerOptions {
	t.Helper()
	cert, key := certificatePEM(t, "relay.example")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return smtpd.ListenerOptions{
		Name: "test", TLS: mode,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil },
	}
}

var trusting = &tls.Config{InsecureSkipVerify: true}

// secure makes the client speak TLS from now on.
func (c *client) secure(cfg *tls.Config) {
	c.t.Helper()
	nc := tls.Client(c.nc, cfg)
	if err := nc.Handshake(); err != nil {
		c.t.Fatalf("handshake: %v", err)
	}
	c.nc, c.r = nc, newReader(nc)
}

func TestSTARTTLS(t *testing.T) {
	h := &recorder{}
	_, addr := startOn(t, smtpd.Config{}, withTLS(t, smtpd.TLSOptional), h)
	c := dial(t, addr)
	c.expect("220")
	if got := c.say("EHLO before", "250-"); !strings.Contains(got, "|250-STARTTLS|") {
		t.Errorf("EHLO %q", got)
	}
	c.dialog(
		"STARTTLS now -> 501 5.5.4", "MAIL FROM:<a@example.org> -> 250", "STARTTLS -> 503 5.5.1", "RSET -> 250",
		"starttls -> 220 2.0.0",
	)
	c.secure(trusting)
	// Nothing from before is left (RFC 3207 section 4.2).
	c.dialog("MAIL FROM:<a@example.org> -> 503 5.5.1", "RCPT TO:<a@example.org> -> 503 5.5.1", "DATA -> 503 5.5.1")
	if got := c.say("EHLO after", "250-"); strings.Contains(got, "STARTTLS") {
		t.Errorf("EHLO %q", got)
	}
	c.say("STARTTLS", "503 5.5.1")
	c.begin()
	c.dialog("DATA -> 354", "body\r\n. -> 250", "QUIT -> 221")
	c.expectEnd()
	got := h.transactions()
	if len(h.accepted()) != 1 || got[0].TLS || !got[1].TLS || got[1].Helo != "after" {
		t.Errorf("%+v", got)
	}
}

// Plain text behind STARTTLS could come from an attacker in between.
func TestSTARTTLSInjection(t *testing.T) {
	var log logBuffer
	h := &recorder{}
	_, addr := startOn(t, smtpd.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, withTLS(t, smtpd.TLSOptional), h)
	c := dial(t, addr)
	c.expect("220")
	c.send("EHLO x\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@example.org>\r\n")
	c.expect("250-")
	c.expect("220 2.0.0")
	c.secure(trusting)
	c.say("NOOP", "250 2.0.0") // no reply to the injected lines comes first
	c.say("MAIL FROM:<a@example.org>", "503")
	if len(h.transactions()) != 0 {
		t.Error("an injected MAIL ran")
	}
	if !strings.Contains(log.String(), "plaintext after STARTTLS dropped") {
		t.Errorf("log %q", log.String())
	}
}

// The login before TLS may be that of an attacker in between: the client's mail must
// not be sent under it (RFC 3207 section 4.2).
func TestSTARTTLSAfterALogin(t *testing.T) {
	o := withTLS(t, smtpd.TLSOptional)
	o.Auth, o.PlaintextAuth = smtpd.AuthOptional, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	_, addr := startOn(t, smtpd.Config{}, o, &recorder{})
	c := dial(t, addr)
	c.expect("220")
	c.dialog("EHLO x -> 250-", "AUTH PLAIN AHNjYW5uZXIAc2VjcmV0 -> 235 2.7.0", "STARTTLS -> 503 5.5.1", "NOOP -> 250")
}

// A failed handshake ends the connection: nothing continues in plain text.
func TestSTARTTLSFailedHandshake(t *testing.T) {
	o := withTLS(t, smtpd.TLSOptional)
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		ours := pipeTo(t, o, h)
		c := &client{t, ours, newReader(ours)}
		c.expect("220")
		c.say("EHLO x", "250-")
		c.say("STARTTLS", "220")
		c.send("EHLO x\r\n")
		var rest []byte
		var reading sync.WaitGroup
		reading.Go(func() { rest, _ = io.ReadAll(c.r) })
		synctest.Wait()
		// The handshake has failed by now; a server that continues would answer.
		_, _ = io.WriteString(ours, "EHLO x\r\nMAIL FROM:<a@example.org>\r\nQUIT\r\n")
		reading.Wait()
		if bytes.Contains(rest, []byte("250")) || len(h.transactions()) > 0 {
			t.Errorf("went on with %q", rest)
		}
	})
}

// pipeTo serves one in-memory connection, on the fake clock of the test, and
// returns the client's end.
func pipeTo(t *testing.T, o smtpd.ListenerOptions, h smtpd.Handler) net.Conn {
	t.Helper()
	s := smtpd.New(smtpd.Config{}, h)
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	go func() { _ = s.Serve(l, o) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// deaf is a client that reads nothing.
type deaf struct {
	net.Conn
	closed chan struct{}
}

func (d deaf) Read([]byte) (int, error) { <-d.closed; return 0, io.EOF }

// A client that sends its part of a handshake and reads nothing does not keep its
// connection.
func TestTLSHandshakeOfADeafClient(t *testing.T) {
	o := withTLS(t, smtpd.TLSImplicit)
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		d := deaf{pipeTo(t, o, h), make(chan struct{})}
		go func() { _ = tls.Client(d, trusting).Handshake() }()
		time.Sleep(31 * time.Second)
		if h.log() != "close" {
			t.Errorf("after 31 s: %q", h.log())
		}
		close(d.closed)
	})
}

func TestTLSRequired(t *testing.T) {
	h := &recorder{}
	_, addr := startOn(t, smtpd.Config{}, withTLS(t, smtpd.TLSRequired), h)
	c := dial(t, addr)
	c.expect("220")
	c.dialog("EHLO x -> 250-", "NOOP -> 250", "HELO x -> 530 5.7.0", "MAIL FROM:<a@example.org> -> 530 5.7.0",
		"RCPT TO:<a@example.org> -> 530 5.7.0",
		"DATA -> 530 5.7.0", "RSET -> 530 5.7.0", "VRFY a -> 530 5.7.0", "AUTH PLAIN -> 530 5.7.0")
	// The bytes of a chunk are skipped as always.
	c.send("BDAT 6\r\nNOOP\r\n")
	c.expect("530 5.7.0")
	c.say("STARTTLS", "220")
	c.secure(trusting)
	c.say("EHLO x", "250-")
	c.begin()
	c.say("QUIT", "221")
}

func TestTLSImplicit(t *testing.T) {
	h := &recorder{}
	_, addr := startOn(t, smtpd.Config{MaxConnections: 2}, withTLS(t, smtpd.TLSImplicit), h)
	c := dial(t, addr)
	c.secure(trusting)
	c.expect("220")
	if got := c.say("EHLO x", "250-"); strings.Contains(got, "STARTTLS") {
		t.Errorf("EHLO %q", got)
	}
	c.say("STARTTLS", "503 5.5.1")
	c.begin()
	if !h.transactions()[0].TLS {
		t.Error("a transaction under implicit TLS does not say so")
	}
	// A client that is refused, or does not speak TLS, reads nothing.
	h.set(hooks{connect: func(smtpd.Peer) error { return reply.New(554, reply.Enhanced{5, 7, 1}, "No") }})
	refused := dial(t, addr)
	refused.expectEnd()
	h.set(hooks{})
	plain := dial(t, addr)
	plain.send("EHLO x\r\n")
	plain.expectEnd()
}

func TestTLSVersions(t *testing.T) {
	old := func(v uint16, suites ...uint16) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, MinVersion: v, MaxVersion: v, CipherSuites: suites}
	}
	for _, row := range []struct {
		name           string
		client         *tls.Config
		modern, legacy bool
	}{
		{"1.0", old(tls.VersionTLS10), false, true},
		{"1.0 RSA 3DES", old(tls.VersionTLS10, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA), false, true},
		{"1.1 RSA CBC", old(tls.VersionTLS11, tls.TLS_RSA_WITH_AES_128_CBC_SHA), false, true},
		{"1.2 RSA GCM", old(tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256), false, true},
		{"1.2 ECDHE CBC", old(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), false, true},
		{"1.2 RC4", old(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA), false, false},
		{"1.2 ECDHE GCM", old(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), true, true},
		{"1.3", old(tls.VersionTLS13), true, true},
	} {
		for _, legacy := range []bool{false, true} {
			o := withTLS(t, smtpd.TLSImplicit)
			o.LegacyTLS = legacy
			_, addr := startOn(t, smtpd.Config{}, o, &recorder{})
			want := row.modern
			if legacy {
				want = row.legacy
			}
			nc := tls.Client(dial(t, addr).nc, row.client)
			if err := nc.Handshake(); (err == nil) != want {
				t.Errorf("%s, legacy %v: %v", row.name, legacy, err)
			}
		}
	}
}

// A message cut off by a close_notify, in DATA or in the middle of a chunk, is
// not a message: only TLS could make that look like an end.
func TestTLSCutShort(t *testing.T) {
	for _, cut := range []string{"DATA\r\nhalf a message\r\n", "BDAT 1000 LAST\r\nhalf"} {
		h := &recorder{}
		s, addr := startOn(t, smtpd.Config{}, withTLS(t, smtpd.TLSImplicit), h)
		c := dial(t, addr)
		c.secure(trusting)
		c.expect("220")
		c.say("EHLO x", "250-")
		c.begin()
		c.send(cut)
		_ = c.nc.(*tls.Conn).CloseWrite()
		all, _ := io.ReadAll(c.r)
		waitGone(t, s)
		if h.log() != "mail failed close" {
			t.Errorf("%q: %s, replies %q", cut, h.log(), all)
		}
	}
}

// A handshake that stalls, or trickles, ends in time, and no plain text reply
// is mixed into it.
func TestTLSHandshakeDeadline(t *testing.T) {
	o := withTLS(t, smtpd.TLSImplicit)
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(smtpd.Config{}, &recorder{})
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go func() { _ = s.Serve(l, o) }()
		defer func() { _ = s.Shutdown(context.Background()) }()
		ours, theirs := net.Pipe()
		l.conns <- theirs
		at := time.Now()
		var trickle sync.WaitGroup
		trickle.Go(func() {
			for _, b := range append([]byte{22, 3, 1, 2, 0}, make([]byte, 1000)...) {
				if _, err := ours.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		rest, _ := io.ReadAll(ours)
		if d := time.Since(at); d != 30*time.Second || bytes.Contains(rest, []byte("421")) {
			t.Errorf("ended after %v with %q", d, rest)
		}
		trickle.Wait()
	})
}

// Shutdown does not wait for handshakes.
func TestTLSHandshakeStops(t *testing.T) {
	o := withTLS(t, smtpd.TLSImplicit)
	s, addr := startOn(t, smtpd.Config{}, o, &recorder{})
	c := dial(t, addr)
	for s.Stats().Connections == 0 {
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	c.expectEnd()
}

func TestServeWantsACertificate(t *testing.T) {
	s := smtpd.New(smtpd.Config{}, &recorder{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l, smtpd.ListenerOptions{TLS: smtpd.TLSOptional}); err == nil {
		t.Error("served TLS without a certificate")
	}
}

func TestTLSMemory(t *testing.T) {
	const connections = 200
	o := withTLS(t, smtpd.TLSOptional)
	s, addr := startOn(t, smtpd.Config{}, o, sink{})
	before := memory()
	var open []*client
	for range connections {
		c := dial(t, addr)
		c.expect("220")
		c.say("EHLO x", "250-")
		c.say("STARTTLS", "220")
		c.secure(trusting)
		c.say("EHLO x", "250-")
		open = append(open, c)
	}
	used := memory() - before
	t.Logf("%d idle TLS connections, the clients' ends included: %.1f MB", s.Stats().Connections, float64(used)/1e6)
	if used > connections*80e3 {
		t.Errorf("%d idle TLS connections cost %d bytes", connections, used)
	}
	slices.Reverse(open)
	open[0].say("NOOP", "250")
}
