package config

import "graphrelay/config/strict"

// Alerts says where faults are reported.
type Alerts struct {
	WebhookURLFile Path `yaml:"webhook_url_file" required:"true"`
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
	if a.Network != "" && a.Network != "tcp" {
		s.Fail("address", "is not a network address", "write IP:PORT, as in "+usual)
	}
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
