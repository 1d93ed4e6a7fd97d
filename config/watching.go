package config

// Alerts is who is told of faults.
type Alerts struct {
	WebhookURLFile Path `yaml:"webhook_url_file" required:"true" doc:"File that holds the URL of a webhook and nothing else: https, or http on a loopback address. It gets a JSON POST when a fault begins, once a day while it lasts, and when it is over. The file is read at each post."`
}

// Console is the web console; it is never without a password.
type Console struct {
	Address      ListenAddress `yaml:"address" required:"true" doc:"IP:PORT, without TLS; 127.0.0.1:8025 is usual. For other hosts put a proxy with TLS before it that keeps the Host header."`
	PasswordHash PasswordHash  `yaml:"password_hash" required:"true" doc:"bcrypt hash of its password, as graphrelay passwd prints it."`
}

func (c *Console) check(s scope) { checkTCP(s, c.Address, "127.0.0.1:8025") }

// Metrics is where Prometheus and health probes ask.
type Metrics struct {
	Address ListenAddress `yaml:"address" required:"true" doc:"IP:PORT, read-only and without a password; 127.0.0.1:9725 is usual."`
}

func (m *Metrics) check(s scope) { checkTCP(s, m.Address, "127.0.0.1:9725") }

func checkTCP(s scope, a ListenAddress, usual string) {
	if a.Network != "" && a.Network != "tcp" {
		s.fail("address", bad("is no network address", "write IP:PORT, as in "+usual))
	}
}

// checkWatching refuses one address for two servers.
func (c *Config) checkWatching(s scope) {
	taken := map[string]string{}
	for _, l := range c.SMTP.Listeners {
		taken[l.Address.String()] = "smtp.listeners"
	}
	claim := func(key string, a ListenAddress) {
		if by := taken[a.String()]; by != "" && a.Addr.Port() != 0 {
			s.fail(key, bad("is the address of "+by+" too", "write another port"))
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
