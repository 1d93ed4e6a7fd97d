package config

import (
	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// Alerts says where faults are reported, and from when a queue or a client is one.
type Alerts struct {
	WebhookURLFile Path `yaml:"webhook_url_file" unset:"none"`
	QueueMessages  int  `yaml:"queue_messages" default:"5000" range:"1..100000000"`
	ClientRate     Rate `yaml:"client_rate" default:"5000/h"`
}

// Console is the web console; it always needs a password.
type Console struct {
	Address      ListenAddress `yaml:"address" required:"true"`
	PasswordHash PasswordHash  `yaml:"password_hash" required:"true"`
}

func (c *Console) Check(s strict.Scope) { checkTCP(s, c.Address, "127.0.0.1:8025") }

// Metrics is the address for Prometheus and health probes.
type Metrics struct {
	Address ListenAddress `yaml:"address" required:"true"`
}

func (m *Metrics) Check(s strict.Scope) { checkTCP(s, m.Address, "127.0.0.1:9725") }

func checkTCP(s strict.Scope, a ListenAddress, usual string) {
	s.FailIf(a.Network != "" && a.Network != "tcp", "address", "is not a network address",
		"write IP:PORT, as in "+usual)
}

// checkWatching refuses one address for two servers.
func (c *Config) checkWatching(s strict.Scope) {
	taken := map[string]string{}
	for _, l := range c.SMTP.Listeners {
		taken[l.Address.String()] = "smtp.listeners"
	}
	claim := func(key string, a ListenAddress) {
		if by := taken[a.String()]; by != "" && a.Addr.Port() != 0 {
			s.Fail(key, "is already the address of "+by, "write another port")
		}
		taken[a.String()] = key
	}
	if c.Console != nil {
		claim("console.address", c.Console.Address)
	}
	if c.Metrics != nil {
		claim("metrics.address", c.Metrics.Address)
	}
}

// Audit says how the restriction of the identities is watched while the relay runs.
type Audit struct {
	Every     strict.Duration `yaml:"every" default:"24h" range:"1m..30d"`
	OnFailure string          `yaml:"on_failure" default:"alarm" range:"alarm | stop"`

	Canary envelope.Address `yaml:"canary" unset:"none"`
}

// checkDenied refuses a denied mailbox that the same identity must send as.
func (c *Config) checkDenied(s strict.Scope) {
	for i, id := range c.Identities {
		key := strict.Entry("identities", i, "denied_mailbox")
		if id.DeniedMailbox.IsZero() || !s.Sound("senders") || !s.Sound("mailboxes") {
			continue
		}
		for _, sender := range c.Senders {
			if box := sender.mailbox(); box.Equal(id.DeniedMailbox) && c.sendsFor(id.Name, box.Key()) {
				s.Fail(key, "is a mailbox that this identity sends as",
					"write another mailbox that exists, is licensed and belongs to no administrator")
				break
			}
		}
	}
}

// checkCanary refuses a canary to the mailbox that must be refused.
func (c *Config) checkCanary(s strict.Scope) {
	for _, id := range c.Identities {
		if !id.DeniedMailbox.IsZero() && id.DeniedMailbox.Equal(c.Audit.Canary) {
			s.Fail("audit.canary", "is a denied_mailbox, which no app may read",
				"write another mailbox, which the app may read")
		}
	}
}

// sendsFor reports whether an identity sends for a mailbox, before Mailboxes is complete.
func (c *Config) sendsFor(identity Name, mailbox string) bool {
	for _, m := range c.Mailboxes {
		if m.Address.Key() == mailbox && m.Identity != "" {
			return m.Identity == identity
		}
	}
	return len(c.Identities) == 1
}
