package wiring

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/intake"
	"graphrelay/relay/message"
	"graphrelay/relay/pacing"
	"graphrelay/relay/policy"
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

// Intake returns the rules that each message is checked against. host is the
// name of this host as the system knows it.
func Intake(c *config.Config, host string) intake.Rules {
	received := map[string]intake.ReceivedForm{
		"full": intake.ReceivedFull, "short": intake.ReceivedShort, "off": intake.ReceivedOff,
	}
	extra := map[string]message.ExtraRecipients{"trim": message.TrimExtra, "reject": message.RejectExtra}
	return intake.Rules{
		Policy: policy.New(Policy(c, host)), Hostname: string(c.Hostname),
		Received: received[c.SMTP.Received], Extra: extra[c.SMTP.ExtraRecipients],
		IDHeader: c.Delivery.IDHeader,
		MaxSize:  c.Largest(), MaxOfUser: max(1, c.SMTP.MaxConnections/4),
	}
}

// Policy returns who may send, and as whom. host may be "".
func Policy(c *config.Config, host string) policy.Rules {
	rules := policy.Rules{
		LocalClient: c.LocalClient,
		LocalRepair: policy.Repair{DisplayName: true, MissingFrom: true, LocalSender: true},
		LocalSender: c.DefaultSender,
		Aliases:     map[string]envelope.Address{},
		Hosts:       []string{string(c.Hostname)},
	}
	if host != "" {
		rules.Hosts = append(rules.Hosts, host)
	}
	for _, s := range c.Senders {
		rules.Senders = append(rules.Senders, policy.Sender{Address: s.Address, Mailbox: s.Mailbox})
	}
	for local, to := range c.Aliases {
		rules.Aliases[string(local)] = to
	}
	for _, client := range c.Clients {
		rules.Clients = append(rules.Clients, clientRule(client))
	}
	return rules
}

func clientRule(c config.Client) policy.ClientRule {
	return policy.ClientRule{
		Name: string(c.Name), Networks: prefixes(c.Networks),
		Username: string(c.Username), PasswordHash: string(c.PasswordHash),
		Senders: c.Senders, Rewrite: c.OtherSenders == "rewrite", Recipients: c.Recipients,
		Rate: rateOf(c.Rate), RatePerAddress: rateOf(c.RatePerAddress), MaxConnections: c.MaxConnections,
		Repair: policy.Repair{
			DisplayName: c.Repair.Has(config.RepairDisplayName),
			MissingFrom: c.Repair.Has(config.RepairMissingFrom),
			LocalSender: c.Repair.Has(config.RepairLocalSender),
		},
	}
}

func rateOf(r config.Rate) pacing.Rate { return pacing.Rate{Count: r.Count, Per: r.Per} }

// ExactSenders returns the sender addresses that are no wildcards.
func ExactSenders(c *config.Config) (list []envelope.Address) {
	for _, s := range c.Senders {
		if !s.Address.Wildcard() {
			list = append(list, s.Address)
		}
	}
	return list
}

func prefixes(networks []config.Network) (list []netip.Prefix) {
	for _, n := range networks {
		list = append(list, n.Prefix)
	}
	return list
}
