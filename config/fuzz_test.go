package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the file holds, Parse returns; a mistake has a line of the file and
// one printable line of text, and a Config keeps the promises of its fields.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/invalid-*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, "example.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, "/base")
		if err == nil {
			holds(t, c)
			return
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range err.(Errors) {
			if p.Line < 1 || p.Line > lines || p.Wrong == "" || p.Remedy == "" {
				t.Fatalf("%+v of %d lines", p, lines)
			}
			if strings.ContainsFunc(p.String(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("control character in %q", p.String())
			}
		}
	})
}

func holds(t *testing.T, c *Config) {
	boxes := map[string]bool{}
	for _, m := range c.Mailboxes {
		if _, ok := c.Identity(m.Identity); !ok || m.MaxConcurrent < 1 || m.MaxConcurrent > 4 {
			t.Fatalf("mailbox %+v", m)
		}
		boxes[m.Address.Key()] = true
	}
	for _, s := range c.Senders {
		if s.Address.IsZero() || s.Mailbox.Wildcard() && s.Mailbox != s.Address || !boxes[s.Mailbox.Key()] {
			t.Fatalf("sender %+v", s)
		}
	}
	for _, id := range c.Identities {
		if (id.CertificateFile == "") == (id.ClientSecretFile == "") || id.Name == "" {
			t.Fatalf("identity %+v", id)
		}
	}
	for _, l := range c.SMTP.Listeners {
		holdsListener(t, c, l)
	}
	for _, client := range c.Clients {
		holdsClient(t, c, client)
	}
	for name, a := range c.Aliases {
		if strings.Contains(string(name), "@") && name[0] != '"' || !strings.Contains(a.Domain(), ".") || a.Wildcard() {
			t.Fatalf("alias %q %q", name, a)
		}
	}
	if c.SMTP.MaxMessageSize+headerRoom > c.Delivery.MIMELimit && !c.Delivery.Upload() || c.Hostname == "" ||
		c.DefaultSender.IsZero() || c.DefaultSender.Wildcard() || !c.covers(c.DefaultSender) ||
		!c.Admin.Address.Unix() {
		t.Fatalf("%+v", c)
	}
}

// holdsListener: a port that others reach is for somebody, and a login can
// happen where one is offered.
func holdsListener(t *testing.T, c *Config, l Listener) {
	someone := l.Address.Loopback() || l.Address.Network == "systemd"
	for _, client := range c.Clients {
		someone = someone || client.Username != "" && l.Auth != "off" || client.Username == "" &&
			len(client.Networks) > 0 && l.Auth != "required"
	}
	secure := l.TLS != "off" || len(l.PlaintextAuth) > 0 || l.Address.Unix()
	if !someone || l.TLS == "" || l.TLS != "off" && c.SMTP.TLS == nil || l.Auth != "off" && !secure {
		t.Fatalf("listener %+v of %+v", l, c.Clients)
	}
}

func holdsClient(t *testing.T, c *Config, client Client) {
	if client.Name == "" || (client.Username == "") != (client.PasswordHash == "") || client.MaxConnections < 1 ||
		client.Username == "" && len(client.Networks) == 0 {
		t.Fatalf("client %+v", client)
	}
	for _, n := range client.Networks {
		if n.Prefix != n.Masked() || n.Addr().Is4In6() || client.Username == "" && len(client.Recipients) == 0 &&
			!n.Private() {
			t.Fatalf("network %v of %+v", n, client)
		}
	}
	for _, a := range client.Senders {
		if !c.covers(a) {
			t.Fatalf("sender %v of %+v", a, client)
		}
	}
	if client.OtherSenders == "rewrite" && client.firstSender(c.Senders).IsZero() {
		t.Fatalf("nothing to write: %+v", client)
	}
}
