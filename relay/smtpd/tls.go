package smtpd

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// handshakeTimeout bounds a handshake as a whole; a slow device needs seconds.
const handshakeTimeout = 30 * time.Second

// tlsConfig returns the settings of a listener's handshakes. In TLS 1.2 only
// suites with forward secrecy and AEAD are offered; Go chooses their order.
func (o *ListenerOptions) tlsConfig() *tls.Config {
	c := &tls.Config{
		GetCertificate: o.Certificate, MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		// A ticket would be valid for a week, which weakens forward secrecy, and
		// devices that connect for each message seldom keep one.
		SessionTicketsDisabled: true,
	}
	if o.LegacyTLS {
		c.MinVersion, c.CipherSuites = tls.VersionTLS10, legacySuites()
	}
	return c
}

// legacySuites are all that Go knows except RC4, which RFC 7465 forbids and which
// no device with 3DES needs.
func legacySuites() []uint16 {
	var ids []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !strings.Contains(s.Name, "RC4") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// starttls answers STARTTLS. Plain text that came behind it is dropped: an attacker
// in between could have added it (CVE-2011-0411).
func (c *conn) starttls(arg string) error {
	o := c.loop.options
	switch {
	case c.secure:
		return c.refuse(errSecure)
	case o.TLS == TLSOff || o.TLS == TLSImplicit:
		return c.refuse(errNotImplemented)
	case arg != "":
		return c.refuse(errNoArgument)
	case c.tx != nil:
		return c.refuse(errInTransaction)
	case c.authenticated:
		// A login in plain text may be that of an attacker in between: under TLS
		// the client's mail would be sent under that name.
		return c.refuse(errAuthenticated)
	}
	c.out = append(c.out, "220 2.0.0 Ready to start TLS\r\n"...)
	if err := c.flush(); err != nil {
		return err
	}
	if n := len(c.in.Bytes()); n > 0 {
		c.in.Skip(n)
		c.note(slog.LevelWarn, "plaintext after STARTTLS", "plaintext after STARTTLS dropped", slog.Int("bytes", n))
	}
	// RFC 3207 section 4.2: nothing that was said before counts any more.
	c.helo, c.esmtp = "", false
	return c.handshake()
}

// handshake puts TLS between the socket and c. If it fails, the connection ends:
// an attacker would want it to continue in plain text.
func (c *conn) handshake() error {
	t := tls.Server(c.nc, c.loop.tls)
	until := time.Now().Add(handshakeTimeout)
	if err := c.awaitUntil(until, true); err != nil {
		return err
	}
	_ = c.raw.SetWriteDeadline(until)
	if err := t.Handshake(); err != nil { //nolint:noctx // kill closes the socket
		c.logHandshake(err)
		return c.finish("TLS handshake failed")
	}
	c.nc, c.secure = t, true
	return nil
}

func (c *conn) logHandshake(err error) {
	level := slog.LevelWarn
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		level = slog.LevelDebug // a scanner, or a client that changed its mind
	}
	c.note(level, "TLS handshake failed", "TLS handshake failed",
		slog.String("error", err.Error()), slog.String("remedy", handshakeRemedy(err)))
}

// handshakeRemedy is the advice for the most common failures of old and of wrongly
// configured clients.
func handshakeRemedy(err error) string {
	var noTLS tls.RecordHeaderError
	has := func(part string) bool { return strings.Contains(err.Error(), part) }
	switch {
	case errors.As(err, &noTLS):
		return "the client does not start TLS here: choose the same in the client and in the listener's tls, " +
			"STARTTLS or implicit TLS"
	case has("unsupported versions"), has("no cipher suite"), has("protocol version"):
		return "the client is too old for modern TLS: give it a listener of its own with legacy_tls: true"
	case has("remote error") && has("certificate"), has("bad record MAC"): // what OpenSSL says in TLS 1.3
		return "the client does not trust smtp.tls.certificate_file: install its issuer in the client, " +
			"or use a certificate that the client trusts"
	}
	return "check that the client and the listener's tls agree"
}
