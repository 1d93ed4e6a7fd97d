package wiring

import (
	"crypto/tls"
	"log/slog"
	"time"

	"graphrelay/config"
	"graphrelay/relay/smtpd"
)

// SMTP returns the limits that all listeners share.
func SMTP(c *config.Config, log *slog.Logger) smtpd.Config {
	return smtpd.Config{
		Hostname: string(c.Hostname), MaxMessageSize: int64(c.SMTP.MaxMessageSize),
		MaxRecipients: c.SMTP.MaxRecipients, MaxConnections: c.SMTP.MaxConnections,
		IdleTimeout: time.Duration(c.SMTP.IdleTimeout), Log: log,
	}
}

// KeyPair returns the files of the listeners' certificate, "" without TLS.
func KeyPair(c *config.Config) (certificate, key string) {
	if c.SMTP.TLS == nil {
		return "", ""
	}
	return string(c.SMTP.TLS.CertificateFile), string(c.SMTP.TLS.KeyFile)
}

// Listener is where SMTP clients connect: IP:PORT, unix:PATH, or systemd:NAME for
// the sockets that systemd passes under this name.
type Listener struct {
	Address string
	Options smtpd.ListenerOptions
}

// SubmitUnit is the FileDescriptorName= of graphrelay-submit.socket.
const SubmitUnit = "submit"

// Submit is the socket where sendmail hands over. It needs no entry in the
// configuration.
type Submit struct {
	Path    string // absolute; "" for none
	Systemd bool   // systemd listens on it
}

// Listeners returns those of the configuration, and the submit socket unless the
// configuration names it with options of its own. certificate may be nil.
func Listeners(c *config.Config, submit Submit, certificate Certificate) (list []Listener) {
	path, address := "unix:"+submit.Path, "unix:"+submit.Path
	if submit.Systemd {
		address = "systemd:" + SubmitUnit
	}
	named := submit.Path == ""
	for _, l := range c.SMTP.Listeners {
		at := l.Address.String()
		if at == path {
			at = address
		}
		named = named || at == address
		list = append(list, Listener{at, listenerOptions(l, certificate)})
	}
	if !named {
		list = append(list, Listener{address, smtpd.ListenerOptions{Name: path}})
	}
	return list
}

// Certificate returns the certificate for a handshake.
type Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

func listenerOptions(l config.Listener, certificate Certificate) smtpd.ListenerOptions {
	modes := map[string]smtpd.TLSMode{
		"off": smtpd.TLSOff, "starttls": smtpd.TLSOptional,
		"required": smtpd.TLSRequired, "implicit": smtpd.TLSImplicit,
	}
	auth := map[string]smtpd.AuthMode{
		"off": smtpd.AuthOff, "optional": smtpd.AuthOptional, "required": smtpd.AuthRequired,
	}
	return smtpd.ListenerOptions{
		Name: l.Address.String(), RejectBareLF: l.BareLF == "reject", ProxyProtocol: prefixes(l.ProxyProtocol),
		TLS: modes[l.TLS], Certificate: certificate, LegacyTLS: l.LegacyTLS,
		Auth: auth[l.Auth], PlaintextAuth: prefixes(l.PlaintextAuth), LegacyAuthLine: l.LegacyAuthLine,
	}
}
