package wiring

import (
	"strings"
	"testing"
)

// The submit socket is served once: by the configuration's own entry, by
// systemd, or else by its path.
func TestWhoServesTheSubmitSocket(t *testing.T) {
	const path = "/run/graphrelay/submit.sock"
	text := read(t, "config.yaml")
	own := text[:strings.Index(text, "    - address: 127.0.0.1:25")] +
		"    - {address: unix:" + path + ", auth: optional}\n" + text[strings.Index(text, "  tls:\n    certificate"):]
	for name, c := range map[string]struct {
		text   string
		submit Submit
		want   string
	}{
		"none":                    {text, Submit{}, "127.0.0.1:25"},
		"by its path":             {text, Submit{Path: path}, "127.0.0.1:25 unix:" + path},
		"by systemd":              {text, Submit{Path: path, Systemd: true}, "127.0.0.1:25 systemd:submit"},
		"configured":              {own, Submit{Path: path}, "unix:" + path},
		"configured, and systemd": {own, Submit{Path: path, Systemd: true}, "systemd:submit"},
	} {
		var got []string
		for _, l := range Listeners(parse(t, c.text), c.submit, nil) {
			got = append(got, l.Address)
			if strings.Contains(l.Address, "submit") && l.Options.Name != "unix:"+path {
				t.Errorf("%s: a client's connection is said to come in at %q", name, l.Options.Name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}
