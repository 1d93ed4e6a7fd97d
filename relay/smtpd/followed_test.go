package smtpd_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"graphrelay/relay/smtpd"
)

// TestRemediesOfConnectionsAreFollowed provokes what the log has a remedy for, does
// what the remedy says on the listener or in the client, and is served.
func TestRemediesOfConnectionsAreFollowed(t *testing.T) {
	implicit := withTLS(t, smtpd.TLSImplicit)
	pair, err := implicit.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trusts := x509.NewCertPool()
	trusts.AddCert(issuer)
	legacy, starttls := implicit, withTLS(t, smtpd.TLSOptional)
	legacy.LegacyTLS = true
	login := smtpd.ListenerOptions{Name: "test", Auth: smtpd.AuthRequired, PlaintextAuth: prefixes("10.0.0.0/8")}
	local, encrypted := login, starttls
	local.PlaintextAuth = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	encrypted.Auth = smtpd.AuthRequired
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	type peer struct {
		o       smtpd.ListenerOptions
		cfg     *tls.Config // nil speaks without TLS
		maximum int
	}
	for remedy, c := range map[string]struct {
		wrong peer
		right []peer
	}{
		"the client does not trust smtp.tls.certificate_file: install its issuer in the client": {
			peer{implicit, &tls.Config{ServerName: "relay.example", RootCAs: x509.NewCertPool()}, 2},
			[]peer{{implicit, &tls.Config{ServerName: "relay.example", RootCAs: trusts}, 2}}},
		"give it a listener of its own with legacy_tls: true": {peer{implicit, old, 2}, []peer{{legacy, old, 2}}},
		"choose the same in the client and in the listener's tls": {peer{implicit, nil, 2},
			[]peer{{implicit, trusting, 2}, {starttls, nil, 2}}},
		"add the client's network to plaintext_auth, or give the listener tls": {peer{login, nil, 2},
			[]peer{{local, nil, 2}, {encrypted, nil, 2}}},
		"or raise smtp.max_connections": {peer{starttls, nil, 1}, []peer{{starttls, nil, 2}}},
	} {
		serve := func(p peer) (greeting, logged string) {
			var log logBuffer
			_, addr := startOn(t, smtpd.Config{MaxConnections: p.maximum,
				Log: slog.New(slog.NewTextHandler(&log, nil))}, p.o, &recorder{})
			first := dial(t, addr)
			if p.o.TLS != smtpd.TLSImplicit && p.o.Auth != smtpd.AuthRequired {
				first.expect("220") // and it stays
			}
			return greetingOf(dial(t, addr).nc, p.cfg), log.String()
		}
		if greeting, log := serve(c.wrong); greeting == "220" || !strings.Contains(log, remedy) {
			t.Errorf("%s: greeted with %q, and the log has\n%s", remedy, greeting, log)
		}
		for i, p := range c.right {
			if greeting, log := serve(p); greeting != "220" || strings.Contains(log, "remedy") {
				t.Errorf("%s, way %d: greeted with %q, and the log has\n%s", remedy, i, greeting, log)
			}
		}
	}
}

// greetingOf is the code of the greeting; after another one it waits for the end.
func greetingOf(nc net.Conn, cfg *tls.Config) string {
	stream := nc
	if cfg != nil {
		stream = tls.Client(nc, cfg)
	} else {
		_, _ = io.WriteString(nc, "QUIT\r\n")
	}
	code := make([]byte, 3)
	if _, err := io.ReadFull(stream, code); err != nil || string(code) != "220" {
		_, _ = io.Copy(io.Discard, nc)
	}
	return string(code)
}
