package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/intake"
	"graphrelay/relay/message"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
)

// listener is an open socket and what of the configuration belongs to it.
type listener struct {
	net.Listener
	options smtpd.ListenerOptions
}

// name tells where clients connect.
func (l listener) name() string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}

func (r *Relay) openSMTP(ctx context.Context) error {
	if t := r.cfg.SMTP.TLS; t != nil {
		pair, err := smtpd.LoadKeyPair(string(t.CertificateFile), string(t.KeyFile), r.log)
		if err != nil {
			return fmt.Errorf("smtp.tls: %w", err)
		}
		r.keyPair = pair
	}
	r.intake = r.newIntake()
	r.smtp = smtpd.New(r.smtpConfig(), r.intake)
	return r.listen(ctx)
}

func (r *Relay) smtpConfig() smtpd.Config {
	s := r.cfg.SMTP
	return smtpd.Config{
		Hostname: string(r.cfg.Hostname), MaxMessageSize: int64(s.MaxMessageSize), MaxRecipients: s.MaxRecipients,
		MaxConnections: s.MaxConnections, IdleTimeout: time.Duration(s.IdleTimeout), Log: r.log,
	}
}

func (r *Relay) newIntake() *intake.Intake {
	received := map[string]intake.ReceivedForm{"full": intake.ReceivedFull, "short": intake.ReceivedShort, "off": intake.ReceivedOff}
	extra := map[string]message.ExtraRecipients{"trim": message.TrimExtra, "reject": message.RejectExtra}
	return intake.New(intake.Config{
		Policy: policy.New(policyRules(r.cfg)), Store: r.store, Hostname: string(r.cfg.Hostname),
		Received: received[r.cfg.SMTP.Received], Extra: extra[r.cfg.SMTP.ExtraRecipients],
		MaxSize: int64(r.cfg.Delivery.MIMELimit), Notify: r.delivery.Notify, OnEvent: r.countIntake, Now: time.Now, Log: r.log,
	})
}

// policyRules are what the configuration says about who may send.
func policyRules(c *config.Config) policy.Rules {
	rules := policy.Rules{
		LocalClient: c.LocalClient,
		LocalRepair: policy.Repair{DisplayName: true, MissingFrom: true, LocalSender: true},
		Aliases:     map[string]envelope.Address{},
		Hosts:       []string{string(c.Hostname)},
	}
	if name, err := os.Hostname(); err == nil {
		rules.Hosts = append(rules.Hosts, name)
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
		Senders: c.Senders, Rewrite: c.OtherSenders == "rewrite",
		Repair: policy.Repair{
			DisplayName: c.Repair.Has(config.RepairDisplayName),
			MissingFrom: c.Repair.Has(config.RepairMissingFrom),
			LocalSender: c.Repair.Has(config.RepairLocalSender),
		},
		Recipients: c.Recipients, Rate: policy.Rate{Count: c.Rate.Count, Per: c.Rate.Per}, MaxConnections: c.MaxConnections,
	}
}

func prefixes(networks []config.Network) []netip.Prefix {
	var list []netip.Prefix
	for _, n := range networks {
		list = append(list, n.Prefix)
	}
	return list
}

func (r *Relay) listenerOptions(l config.Listener) smtpd.ListenerOptions {
	tls := map[string]smtpd.TLSMode{"off": smtpd.TLSOff, "starttls": smtpd.TLSOptional, "required": smtpd.TLSRequired, "implicit": smtpd.TLSImplicit}
	auth := map[string]smtpd.AuthMode{"off": smtpd.AuthOff, "optional": smtpd.AuthOptional, "required": smtpd.AuthRequired}
	o := smtpd.ListenerOptions{
		Name: l.Address.String(), TLS: tls[l.TLS], LegacyTLS: l.LegacyTLS,
		Auth: auth[l.Auth], PlaintextAuth: prefixes(l.PlaintextAuth), LegacyAuthLine: l.LegacyAuthLine,
		RejectBareLF: l.BareLF == "reject", ProxyProtocol: prefixes(l.ProxyProtocol),
	}
	if r.keyPair != nil {
		o.Certificate = r.keyPair.Certificate
	}
	return o
}

// listen opens every listener, or takes it over from systemd.
func (r *Relay) listen(ctx context.Context) error {
	inherited, err := smtpd.Inherited()
	if err != nil {
		return fmt.Errorf("sockets of systemd: %w", err)
	}
	for _, c := range r.cfg.SMTP.Listeners {
		o := r.listenerOptions(c)
		if c.Address.Network == "systemd" {
			if err = r.inherit(inherited, c.Address.Address, o); err != nil {
				break
			}
			continue
		}
		l, errListen := smtpd.Listen(ctx, c.Address.String(), smtpd.DefaultSocketMode)
		if errListen != nil {
			err = listenHint(c.Address.String(), errListen)
			break
		}
		r.listeners = append(r.listeners, listener{l, o})
	}
	if err == nil {
		err = r.listenSubmit(ctx)
	}
	for name, rest := range inherited {
		for _, l := range rest {
			r.log.Warn("a socket of systemd is not used; name it in smtp.listeners as systemd:NAME, or disable its unit", "name", name, "address", l.Addr().String())
			_ = l.Close()
		}
	}
	return err
}

// listenSubmit opens the socket where sendmail hands over, unless the
// configuration names it among the listeners, with options of its own.
func (r *Relay) listenSubmit(ctx context.Context) error {
	address := "unix:" + r.submit
	if r.submit == "" || slices.ContainsFunc(r.cfg.SMTP.Listeners, func(l config.Listener) bool { return l.Address.String() == address }) {
		return nil
	}
	l, err := smtpd.Listen(ctx, address, smtpd.DefaultSocketMode)
	if err != nil {
		return listenHint(address, err)
	}
	r.listeners = append(r.listeners, listener{l, smtpd.ListenerOptions{Name: address}})
	return nil
}

// inherit takes the sockets of a name out of those that systemd passed on.
func (r *Relay) inherit(inherited map[string][]net.Listener, name string, o smtpd.ListenerOptions) error {
	list := inherited[name]
	if len(list) == 0 {
		var names []string
		for n := range inherited {
			names = append(names, n)
		}
		return fmt.Errorf("listener systemd:%s: systemd passed no socket of this name (it passed: %s); start graphrelay through its socket unit, with FileDescriptorName=%s", name, orNone(names), name)
	}
	delete(inherited, name)
	for _, l := range list {
		r.listeners = append(r.listeners, listener{l, o})
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// CheckCertificate reads the certificate of the listeners, offline.
func CheckCertificate(c *config.Config) error {
	t := c.SMTP.TLS
	if t == nil {
		return nil
	}
	pair, err := smtpd.LoadKeyPair(string(t.CertificateFile), string(t.KeyFile), nil)
	if err != nil {
		return fmt.Errorf("smtp.tls: %w", err)
	}
	if end := pair.Expires(); time.Now().After(end) {
		return fmt.Errorf("smtp.tls: certificate %s expired on %s; renew it", t.CertificateFile, end.Format(time.DateOnly))
	}
	return nil
}
