package config

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
	if c.Metrics != nil {
		claim("metrics.address", c.Metrics.Address)
	}
}
