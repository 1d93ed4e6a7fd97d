package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/confkeys"
)

// What is shown is a configuration again, and the same one, but for hashes.
func TestShowIsTheSameConfiguration(t *testing.T) {
	hash := "$2y$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ."
	files := map[string]string{"minimal": minimal, "much": minimal + `
  - {address: "*@contoso.com", mailbox: self}
  - {address: "*@example.com", mailbox: shared@contoso.com}
mailboxes: [{address: shared@contoso.com, max_concurrent: 2}]
aliases: {root: admin@contoso.com, daemon: admin@contoso.com}
clients:
  - {name: erp, networks: [10.1.2.0/24, 10.1.3.4], senders: ["*@contoso.com"], other_senders: reject,
     repair: [missing_from], rate: 30/min}
  - {name: bare, networks: [10.1.4.0/24], repair: none}
  - {name: scanner, username: "true", password_hash: "` + hash + `"}
smtp:
  listeners: [{address: "unix:/run/x.sock"}, {address: "127.0.0.1:2525",
    auth: optional, tls: off, plaintext_auth: [10.0.0.0/8]}]
queue: {min_free_space: 0}
`, "endpoints": strings.Replace(minimal, "certificate_file: entra.pem",
		"managed_identity: true\n    endpoints: "+
			`{login: "https://127.0.0.1:8443", graph: "https://127.0.0.1:8443"}`, 1),
		"managed": strings.Replace(minimal, "certificate_file: entra.pem",
			"managed_identity: {client_id: 22222222-2222-2222-2222-222222222222}\n    cloud: china\n    proxy: "+
				"http://proxy:3128", 1),
		"secret": strings.Replace(minimal, "certificate_file: entra.pem",
			"client_secret_file: s\n    client_secret_expires: 2027-05-01\n    proxy_file: p", 1)}
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files["example"] = string(example)
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			c := parse1(t, text)
			first, err := Show(c)
			if err != nil || strings.Contains(first, hash) ||
				strings.Contains(first, "***") != strings.Contains(text, hash) {
				t.Fatalf("%v\n%s", err, first)
			}
			again, err := Parse("again",
				[]byte(regexp.MustCompile(`"?'?\*\*\*"?'?`).ReplaceAllLiteralString(first, `"`+hash+`"`)), "/elsewhere")
			if err != nil {
				t.Fatalf("%v\n%s", err, first)
			}
			if second, err := Show(again); err != nil || first != second {
				t.Errorf("%v\n%s\nis not\n%s", err, second, first)
			}
		})
	}
}

// Every key that has a default is shown.
func TestShowFillsInDefaults(t *testing.T) {
	text, err := Show(parse1(t, minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range confkeys.Of[Config]() {
		name := k.Path[strings.LastIndex(k.Path, ".")+1:]
		optional := strings.HasPrefix(k.Path, "clients[]") || strings.Contains(k.Path, "[].endpoints") ||
			strings.Contains(k.Path, "smtp.tls") ||
			strings.HasPrefix(k.Path, "metrics") || strings.Contains(k.Path, "managed_identity")
		if _, err := Parse("f", []byte(minimal), "/"); err == nil && k.Default != "" && constant(k) && !optional &&
			!strings.Contains(text, name+":") {
			t.Errorf("%s is not shown in\n%s", k.Path, text)
		}
	}
}

// constant tells a default that is a value and not a phrase.
func constant(k confkeys.Key) bool {
	return k.Type != "list" && k.Type != "section" && k.Type != "map" && k.Default != "none" &&
		!strings.Contains(k.Default, " ")
}
