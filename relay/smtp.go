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
	"graphrelay/relay/keypair"
	"graphrelay/relay/message"
	"graphrelay/relay/pacing"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
)

// listener is an open socket and what of the configuration belongs to it.
type listener struct {
	net.Listener
	address string // as the configuration says it
	options smtpd.ListenerOptions
}

// submitUnit is the FileDescriptorName= of graphrelay-submit.socket: the socket
// where sendmail hands over needs no entry in the configuration.
const (
	submitUnit = "submit"
	submitName = "systemd:" + submitUnit
)

// wanted is a listener of the configuration.
type wanted struct {
	address string
	options smtpd.ListenerOptions
}

// name tells where clients connect.
func (l listener) name() string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}

// openListeners are those in use now.
func (r *Relay) openListeners() []listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.listeners)
}

func (r *Relay) openSMTP(ctx context.Context, g *generation) error {
	r.intake = r.newIntake()
	r.smtp = smtpd.New(r.smtpConfig(g.cfg), r.intake)
	return r.listen(ctx, g)
}

func (r *Relay) smtpConfig(c *config.Config) smtpd.Config {
	s := c.SMTP
	return smtpd.Config{
		Hostname: string(c.Hostname), MaxMessageSize: int64(s.MaxMessageSize), MaxRecipients: s.MaxRecipients,
		MaxConnections: s.MaxConnections, IdleTimeout: time.Duration(s.IdleTimeout), Log: r.log,
	}
}

func (r *Relay) newIntake() *intake.Intake {
	return intake.New(intake.Config{
		Rules: r.intakeRules(r.cfg()), Store: r.store, Notify: r.delivery.Notify, OnEvent: r.countIntake, Now: time.Now, Log: r.log,
	})
}

// intakeRules are what of the configuration each message is held against.
func (r *Relay) intakeRules(c *config.Config) intake.Rules {
	received := map[string]intake.ReceivedForm{"full": intake.ReceivedFull, "short": intake.ReceivedShort, "off": intake.ReceivedOff}
	extra := map[string]message.ExtraRecipients{"trim": message.TrimExtra, "reject": message.RejectExtra}
	return intake.Rules{
		Policy: policy.New(policyRules(c)), Hostname: string(c.Hostname), MaxSize: c.Largest(),
		Received: received[c.SMTP.Received], Extra: extra[c.SMTP.ExtraRecipients],
		MaxStrangers: max(1, c.SMTP.MaxConnections/2),
	}
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
		Recipients: c.Recipients, Rate: pacing.Rate{Count: c.Rate.Count, Per: c.Rate.Per}, MaxConnections: c.MaxConnections,
	}
}

func prefixes(networks []config.Network) []netip.Prefix {
	var list []netip.Prefix
	for _, n := range networks {
		list = append(list, n.Prefix)
	}
	return list
}

func listenerOptions(g *generation, l config.Listener) smtpd.ListenerOptions {
	tls := map[string]smtpd.TLSMode{"off": smtpd.TLSOff, "starttls": smtpd.TLSOptional, "required": smtpd.TLSRequired, "implicit": smtpd.TLSImplicit}
	auth := map[string]smtpd.AuthMode{"off": smtpd.AuthOff, "optional": smtpd.AuthOptional, "required": smtpd.AuthRequired}
	o := smtpd.ListenerOptions{
		Name: l.Address.String(), TLS: tls[l.TLS], LegacyTLS: l.LegacyTLS,
		Auth: auth[l.Auth], PlaintextAuth: prefixes(l.PlaintextAuth), LegacyAuthLine: l.LegacyAuthLine,
		RejectBareLF: l.BareLF == "reject", ProxyProtocol: prefixes(l.ProxyProtocol),
	}
	if g.keyPair != nil {
		o.Certificate = g.keyPair.Certificate
	}
	return o
}

// wantedListeners are those of g, and the socket where sendmail hands over
// unless the configuration names it, with options of its own.
func (r *Relay) wantedListeners(g *generation) (list []wanted) {
	submit := "unix:" + r.submit
	named := r.submit == ""
	for _, l := range g.cfg.SMTP.Listeners {
		address := l.Address.String()
		if address == submit && r.submitBySystemd {
			address = submitName
		}
		named = named || address == submit || address == submitName
		list = append(list, wanted{address, listenerOptions(g, l)})
	}
	switch {
	case named:
	case r.submitBySystemd:
		list = append(list, wanted{submitName, smtpd.ListenerOptions{Name: submit}})
	default:
		list = append(list, wanted{submit, smtpd.ListenerOptions{Name: submit}})
	}
	return list
}

// listen opens every listener, or takes it over from systemd.
func (r *Relay) listen(ctx context.Context, g *generation) (err error) {
	if r.inherited, err = socket.Inherited(); err != nil {
		return fmt.Errorf("sockets of systemd: %w", err)
	}
	defer r.closeUnused()
	r.submitBySystemd = len(r.inherited[submitUnit]) > 0
	for _, w := range r.wantedListeners(g) {
		list, err := r.bind(ctx, w)
		if err != nil {
			return err
		}
		r.listeners = append(r.listeners, list...)
	}
	return nil
}

// bind opens a listener; of a name of systemd all its sockets.
func (r *Relay) bind(ctx context.Context, w wanted) ([]listener, error) {
	if name, ok := strings.CutPrefix(w.address, "systemd:"); ok {
		return r.inherit(name, w)
	}
	l, err := socket.Listen(ctx, w.address, socket.DefaultMode)
	if err != nil {
		return nil, listenHint("smtp.listeners", w.address, err)
	}
	return []listener{{l, w.address, w.options}}, nil
}

// inherit takes the sockets of a name out of those that systemd passed on.
func (r *Relay) inherit(name string, w wanted) (list []listener, err error) {
	if len(r.inherited[name]) == 0 {
		var names []string
		for n := range r.inherited {
			names = append(names, n)
		}
		return nil, fmt.Errorf("listener systemd:%s: systemd passed no socket of this name (it passed: %s); start graphrelay through its socket unit, with FileDescriptorName=%s", name, orNone(names), name)
	}
	for _, l := range r.inherited[name] {
		list = append(list, listener{l, w.address, w.options})
	}
	delete(r.inherited, name)
	return list, nil
}

// closeUnused lets go of the sockets that no listener names.
func (r *Relay) closeUnused() {
	for name, rest := range r.inherited {
		for _, l := range rest {
			r.log.Warn("a socket of systemd is not used; name it in smtp.listeners as systemd:NAME, or disable its unit", "name", name, "address", l.Addr().String())
			_ = l.Close()
		}
	}
	r.inherited = nil
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
	pair, err := keypair.Load(string(t.CertificateFile), string(t.KeyFile), nil)
	if err != nil {
		return fmt.Errorf("smtp.tls: %w", err)
	}
	if end := pair.Expires(); time.Now().After(end) {
		return fmt.Errorf("smtp.tls: certificate %s expired on %s; renew it", t.CertificateFile, end.Format(time.DateOnly))
	}
	return nil
}
