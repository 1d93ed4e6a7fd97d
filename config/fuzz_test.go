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
		if s.Address.IsZero() || !boxes[s.Mailbox.Key()] {
			t.Fatalf("sender %+v", s)
		}
	}
	for _, id := range c.Identities {
		if (id.CertificateFile == "") == (id.ClientSecretFile == "") || id.Name == "" {
			t.Fatalf("identity %+v", id)
		}
	}
	for _, l := range c.SMTP.Listeners {
		if !l.Address.Loopback() {
			t.Fatalf("listener %v", l)
		}
	}
	if c.SMTP.MaxMessageSize+headerRoom > c.Delivery.MIMELimit || c.Hostname == "" || c.DefaultSender.IsZero() || !c.Admin.Address.Unix() {
		t.Fatalf("%+v", c)
	}
}
