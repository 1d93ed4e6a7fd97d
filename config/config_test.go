package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/config/strict"
	"graphrelay/relay/e2e/confkeys"
	"graphrelay/relay/envelope"
)

// minimal is the least that the manual calls enough.
const minimal = `identities:
  - tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    certificate_file: entra.pem
senders:
  - address: notifications@contoso.com
`

func TestMinimalGetsTheDefaults(t *testing.T) {
	c := parse1(t, minimal)
	id, s := c.Identities[0], c.SMTP
	for _, check := range []struct{ name, got, want string }{
		{"identity name", string(id.Name), "default"},
		{"certificate", string(id.CertificateFile), "/etc/graphrelay/entra.pem"},
		{"identity max_concurrent", fmt.Sprint(id.MaxConcurrent), "64"},
		{"endpoints", fmt.Sprint(id.Endpoints == nil, id.Cloud), "true public"},
		{"other credentials", fmt.Sprint(id.ManagedIdentity == nil, id.WorkloadIdentity, id.ClientSecretExpires,
			id.Proxy == ""), "true false none true"},
		{"sender's mailbox", c.Senders[0].Mailbox.String(), "notifications@contoso.com"},
		{"default_sender", c.DefaultSender.String(), "notifications@contoso.com"},
		{"mailboxes", fmt.Sprint(c.Mailboxes), "[{notifications@contoso.com default 3 none}]"},
		{"listeners", fmt.Sprint(s.Listeners), "[{127.0.0.1:25 off off [] false false normalize []}]"},
		{"clients", fmt.Sprint(c.Clients, c.LocalClient, c.Aliases, s.TLS == nil), "[] true map[] true"},
		{"sizes", fmt.Sprint(s.MaxMessageSize, c.Delivery.MIMELimit, c.Queue.MinFreeSpace), "2100KiB 2200KiB 256MiB"},
		{"counts", fmt.Sprint(s.MaxRecipients, s.MaxConnections, c.Queue.MaxMessages), "500 200 1000000"},
		{"durations", fmt.Sprint(s.IdleTimeout, c.Queue.MaxAge, c.Queue.MaxHold, c.Queue.KeepFailed, c.Queue.History),
			"5m 5d 30d 30d 30d"},
		{"words", fmt.Sprint(s.ExtraRecipients, s.Received, c.Delivery.UnknownOutcome, c.Log.Level, c.Log.Format),
			"trimfullretryinfotext"},
		{"store", c.Queue.Store.String(), "sqlite:/var/lib/graphrelay/queue.db"},
		{"admin", c.Admin.Address.String(), "unix:/run/graphrelay/admin.sock"},
	} {
		if strings.ReplaceAll(check.got, " ", "") != strings.ReplaceAll(check.want, " ", "") {
			t.Errorf("%s = %s, want %s", check.name, check.got, check.want)
		}
	}
	if c.Hostname == "" {
		t.Error("hostname is empty")
	}
}

func TestEverythingIsRead(t *testing.T) {
	c := parse1(t, `
hostname: Relay.Contoso.local
identities:
  - {name: one, tenant_id: Contoso.com, client_id: AAAAAAAA-2222-2222-2222-222222222222, client_secret_file: secret.txt,
     max_concurrent: 8,
     endpoints: {login: "https://127.0.0.1:8443/", graph: "https://[::1]:8443", submission: "127.0.0.1:587"},
     ca_file: /tmp/../ca.pem}
  - {name: two, tenant_id: 11111111-1111-1111-1111-111111111111, client_id: 33333333-3333-3333-3333-333333333333,
     certificate_file: sub/x.pem}
senders:
  - address: A@contoso.com
    mailbox: box@contoso.com
  - address: b@bücher.example
  - {address: "*@contoso.com", mailbox: self}
mailboxes:
  - {address: BOX@contoso.com, identity: two, max_concurrent: 4}
  - {address: b@xn--bcher-kva.example, identity: one}
  - {address: "*@contoso.com", identity: two, max_concurrent: 1}
  - {address: hr@contoso.com, identity: one}
default_sender: B@bücher.example
local_client: false
aliases: {Root: Admin@Contoso.com, "o'neil": x@fabrikam.com}
clients:
  - {name: erp, networks: [10.1.2.0/24, "::ffff:10.9.0.0/112", 192.168.1.7, "fd00::/8"],
     senders: [b@bücher.example, "*@contoso.com"], other_senders: rewrite,
     repair: [missing_from], recipients: ["*@contoso.com", x@fabrikam.com], rate: 300/min, max_connections: 5,
     priority: bulk, rate_per_address: 20/s}
  - {name: scanner, username: Scanner 1, password_hash: "$2y$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.",
     repair: none, networks: [203.0.113.0/24]}
smtp: {listeners: [{address: "127.0.0.1:0"}, {address: "127.0.0.1:0", tls: "off", auth: optional,
     plaintext_auth: [10.0.0.0/8], legacy_auth_line: true, bare_lf: reject, proxy_protocol: [10.0.0.9]},
   {address: "0.0.0.0:465", tls: implicit, auth: required, legacy_tls: true},
     {address: "unix:/tmp/s"}, {address: "systemd:smtp"}],
  tls: {certificate_file: tls.crt, key_file: /tmp/tls.key}, max_message_size: 4096, max_recipients: 1,
  max_connections: 10000, idle_timeout: 1m30s, extra_recipients: reject, received: off}
queue: {store: "sqlite:q.db", max_age: 1d12h, max_hold: 2d, keep_failed: 4h,
     min_free_space: 0, max_messages: 7, history: 10s}
delivery: {large_messages: "off", mime_limit: 3145728, unknown_outcome: hold}
admin: {address: "unix:/tmp/a"}
log: {level: debug, format: json}
`)
	one, box := c.Identities[0], c.Mailboxes[0]
	for _, check := range []struct{ name, got, want string }{
		{"hostname", string(c.Hostname), "relay.contoso.local"},
		{"identity", fmt.Sprintln(one.TenantID, one.ClientID, one.ClientSecretFile, one.CAFile),
			"contoso.com aaaaaaaa-2222-2222-2222-222222222222 /etc/graphrelay/secret.txt /ca.pem\n"},
		{"endpoints", fmt.Sprint(*one.Endpoints), "{https://127.0.0.1:8443 https://[::1]:8443 127.0.0.1:587}"},
		{"sender", fmt.Sprint(c.Senders[0]), "{A@contoso.com box@contoso.com}"},
		{"mailbox", fmt.Sprint(box), "{BOX@contoso.com two 4 none}"},
		{"mailboxes", fmt.Sprint(len(c.Mailboxes), c.Mailboxes[1], c.Mailboxes[2]),
			"4 {b@xn--bcher-kva.example one 3 none} {*@contoso.com two 1 none}"},
		{"wildcard", fmt.Sprint(c.Senders[2]), "{*@contoso.com *@contoso.com}"},
		{"aliases", fmt.Sprint(c.Aliases), "map[o'neil:x@fabrikam.com root:Admin@contoso.com]"},
		{"local_client", fmt.Sprint(c.LocalClient), "false"},
		{"client", fmt.Sprint(c.Clients[0]),
			"{erp [10.1.2.0/24 10.9.0.0/16 192.168.1.7 fd00::/8]   [b@xn--bcher-kva.example *@contoso.com] rewrite " +
				"[missing_from] [*@contoso.com x@fabrikam.com] bulk 300/min 20/s 5}"},
		{"login", fmt.Sprint(c.Clients[1]),
			"{scanner [203.0.113.0/24] Scanner 1 $2y$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ. [] " +
				"reject [] [] normal none none 20}"},
		{"tls", fmt.Sprint(*c.SMTP.TLS), "{/etc/graphrelay/tls.crt /tmp/tls.key}"},
		{"store", c.Queue.Store.Path, "/etc/graphrelay/q.db"},
		{"sizes", fmt.Sprint(c.SMTP.MaxMessageSize, c.Delivery.MIMELimit, c.Queue.MinFreeSpace), "4KiB 3MiB 0"},
		{"max_age", time.Duration(c.Queue.MaxAge).String(), "36h0m0s"},
		{"listeners", fmt.Sprint(c.SMTP.Listeners),
			"[{127.0.0.1:0 starttls off [] false false normalize []} {127.0.0.1:0 off optional [10.0.0.0/8] false " +
				"true reject [10.0.0.9]} " +
				"{0.0.0.0:465 implicit required [] true false normalize []} {unix:/tmp/s off off [] false false " +
				"normalize []} {systemd:smtp starttls off [] false false normalize []}]"},
	} {
		if check.got != check.want {
			t.Errorf("%s = %s, want %s", check.name, check.got, check.want)
		}
	}
	if m, ok := c.Mailbox(address(t, "box@Contoso.com")); !ok || m.Identity != "two" {
		t.Errorf("Mailbox = %v, %v", m, ok)
	}
	for a, want := range map[string]string{"hr@contoso.com": "one", "x@contoso.com": "two", "x@fabrikam.com": "",
		"x@mail.contoso.com": ""} {
		if m, ok := c.Mailbox(address(t, a)); ok != (want != "") || string(m.Identity) != want {
			t.Errorf("Mailbox(%s) = %v, %v; want identity %q", a, m, ok, want)
		}
	}
}

func TestASendersAddressIsNoMailboxWhereMailboxNamesAnother(t *testing.T) {
	c := parse1(t, minimal+"    mailbox: box@contoso.com\n")
	if _, ok := c.Mailbox(address(t, "notifications@contoso.com")); ok {
		t.Error("found")
	}
}

func TestWildcardsBesideExactSenders(t *testing.T) {
	c := parse1(t, strings.Replace(minimal, "senders:\n", "senders:\n  - {address: \"*@contoso.com\", mailbox: self}\n",
		1))
	if got := fmt.Sprint(c.DefaultSender,
		c.Mailboxes); got != "notifications@contoso.com [{*@contoso.com default 3 none} {notifications@contoso.com "+
		"default 3 none}]" {
		t.Errorf("default_sender and mailboxes are %s", got)
	}
}

// Whatever a message says of a value that was meant to be a hash, it is not
// the value.
func TestPasswordsAreNotRepeated(t *testing.T) {
	for _, line := range []string{"password_hash: hunter2", "password_hash: \"$2y$12$hunter2\"",
		"password_hash: hunter2: x", "password_hash: [hunter2]", "password_hash: {hunter2: 1}",
		"password_hash: \"hunter2", "password: hunter2", "password_hash: &hunter2 x"} {
		_, err := Parse("f", []byte(minimal+"clients:\n  - name: a\n    username: b\n    "+line+"\n"), "/")
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.0/24": "private", "10.1.2.3": "private", "172.31.255.255": "private", "100.64.0.0/10": "private",
		"169.254.0.0/16": "private",
		"fd12::/64":      "private", "fe80::/10": "private", "127.0.0.0/8": "loopback", "::1": "loopback",
		"::ffff:127.0.0.1": "loopback",
		"0.0.0.0/0":        "public", "::/0": "public", "10.0.0.0/7": "public", "172.32.0.0/16": "public",
		"100.0.0.0/9": "public", "126.0.0.0/7": "public",
		"2001:db8::/32": "public", "::": "public", "fc00::/6": "public", "192.168.0.0/15": "public",
	} {
		var n Network
		if f := n.Read(text); f != nil {
			t.Errorf("%s: %v", text, f)
			continue
		}
		got := map[bool]string{true: "private", false: "public"}[n.Private()]
		if n.Loopback() {
			got = "loopback"
		}
		var again Network
		if f := again.Read(n.String()); got != want || f != nil || again != n {
			t.Errorf("%s (%s) is %s, want %s; again %v, %v", text, n, got, want, again, f)
		}
	}
}

func TestRates(t *testing.T) {
	for _, text := range []string{"30/min", "5/s", "1000000/h"} {
		var r Rate
		if f := r.Read(text); f != nil || r.String() != text {
			t.Errorf("%s read as %s, %v", text, r, f)
		}
	}
	if (Rate{}).String() != "none" {
		t.Error("the zero Rate is no limit")
	}
}

func TestFilesFromOtherSystems(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark":    "\ufeff" + minimal,
		"CRLF":               strings.ReplaceAll(minimal, "\n", "\r\n"),
		"no last line end":   strings.TrimSuffix(minimal, "\n"),
		"document start":     "---\n" + minimal,
		"tab behind a value": strings.ReplaceAll(minimal, "entra.pem", "entra.pem \t# comment"),
	} {
		if _, err := Parse("f", []byte(text), "/"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLinesAreRightBehindCRLF(t *testing.T) {
	_, err := Parse("f", []byte(strings.ReplaceAll("# one\n"+minimal+"log: {level: loud}\n", "\n", "\r\n")), "/")
	if err == nil || !strings.HasPrefix(err.Error(), "f:8: log.level: ") {
		t.Errorf("error = %v", err)
	}
}

func TestDefaultSenderIsTheFirst(t *testing.T) {
	c := parse1(t, minimal+"  - address: z@contoso.com\n")
	if got := c.DefaultSender.String(); got != "notifications@contoso.com" {
		t.Errorf("default_sender = %s", got)
	}
}

func TestThousandsOfSenders(t *testing.T) {
	text := strings.Builder{}
	text.WriteString(minimal)
	for i := range 10_000 {
		fmt.Fprintf(&text, "  - address: s%d@contoso.com\n", i)
	}
	if c := parse1(t, text.String()); len(c.Senders) != 10_001 || len(c.Mailboxes) != 10_001 {
		t.Errorf("%d senders, %d mailboxes", len(c.Senders), len(c.Mailboxes))
	}
}

func TestLoadTakesPathsFromTheFilesFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	c, err := Load("c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Identities[0].CertificateFile); got != filepath.Join(dir, "entra.pem") {
		t.Errorf("certificate_file = %s, want it in %s", got, dir)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte(minimal+strings.Repeat("# x\n", strict.MaxFile/4)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "none.yaml: cannot be read: no such file or directory; name a configuration " +
			"file with -c FILE",
		dir: ": cannot be read: is a directory; ",
		big: "big.yaml:1: file is larger than 1 MiB; ",
	} {
		_, err := Load(path)
		var all Errors
		if !errors.As(err, &all) || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%s) = %v, want %q", path, err, want)
		}
	}
}

func TestReportOfAnAbsurdFileIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	_, err := Parse("f", []byte(b.String()), "/")
	all := err.(Errors)
	if len(all) != 101 || !strings.Contains(err.Error(), "file has more than 100 mistakes") {
		t.Errorf("%d problems", len(all))
	}
}

// A hundred kilobytes of brackets cost the YAML parser gigabytes.
func TestBombsAreRefusedBeforeTheParser(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"brackets":    {strings.Repeat("[", 1<<17), "nested too deeply"},
		"pairs":       {strings.Repeat("[", 1<<16) + strings.Repeat("]", 1<<16), "nested too deeply"},
		"braces":      {strings.Repeat("{a: ", 1<<16), "nested too deeply"},
		"brace lines": {strings.Repeat("{a:\n", 1<<12), "nested too deeply"},
		"dashes":      {strings.Repeat("- ", 1<<16), "nested too deeply"},
		"questions":   {strings.Repeat("? a\n", 1<<16), "question mark"},
		"keys":        {strings.Repeat("a: 1\n", 1<<16), "more than 50,000 words"},
		"anchors":     {strings.Repeat("&a ", 1<<16), "more than 50,000 words"},
		"quotes":      {strings.Repeat(`"" `, 1<<16), "more than 50,000 words"},
	} {
		_, err := Parse("f", []byte(c.text), "/")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.200v, want %s", name, err, c.want)
		}
	}
}

func TestBillionLaughsAreNotExpanded(t *testing.T) {
	text := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'z'; c++ {
		text += fmt.Sprintf("%c: &%c [%s]\n", c, c,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	if _, err := Parse("f", []byte(text), "/"); err == nil {
		t.Error("accepted")
	}
}

func TestExampleLoads(t *testing.T) {
	if _, err := Load("example.yaml"); err != nil {
		t.Error(err)
	}
}

// With large_messages: upload a message may be larger than Graph takes at once.
func TestLargeMessages(t *testing.T) {
	for in, want := range map[string]string{
		"": "35MiB 36765696", "smtp: {max_message_size: 150MiB}\n": "150MiB 157351936",
		"smtp: {max_message_size: 1MiB}\n": "1MiB 1114112",
	} {
		c := parse1(t, minimal+in+"delivery: {large_messages: upload, mime_limit: 128KiB}\n")
		if got := fmt.Sprint(c.SMTP.MaxMessageSize, " ", c.Largest()); got != want {
			t.Errorf("%q gives %s, want %s", in, got, want)
		}
	}
	if c := parse1(t, minimal+"delivery: {large_messages: smtp}\n"); c.Largest() != 36765696 {
		t.Errorf("whole: %d", c.Largest())
	}
	if c := parse1(t, minimal); c.Largest() != int64(c.Delivery.MIMELimit) {
		t.Errorf("without it %d", c.Largest())
	}
}

// The example shows every key, and behind "#" its default.
func TestExampleShowsEveryDefault(t *testing.T) {
	active := regexp.MustCompile(`(?m)^( *)# ( *(?:- )?[a-z_]+:)`)
	text := active.ReplaceAllString(read(t, "example.yaml"), "$1$2")
	shown := map[string]bool{}
	for _, path := range []string{"identities[].certificate_password_file", "identities[].client_secret_file",
		"identities[].client_secret_expires", "identities[].managed_identity", "identities[].workload_identity",
		"identities[].proxy_file", "identities[].endpoints", "queue.store_url_file"} {
		_, key, _ := strings.Cut(path, ".")
		line := regexp.MustCompile(`(?m)^ *` + key + `:.*\n`) // cannot stand beside another key
		shown[path] = line.MatchString(text)
		text = line.ReplaceAllString(text, "")
	}
	for _, key := range []string{"managed_identity.client_id", "endpoints.login", "endpoints.graph",
		"endpoints.submission"} {
		section, _, _ := strings.Cut(key, ".")
		shown["identities[]."+key] = shown["identities[]."+section]
	}
	text = strings.ReplaceAll(text, "$2y$12$...", "$2y$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.")
	c := parse1(t, text)
	for _, k := range confkeys.Of[Config]() {
		given := false
		for i := range 5 {
			given = given || c.places.Given(strings.ReplaceAll(k.Path, "[]", fmt.Sprintf("[%d]", i)))
		}
		if !given && !shown[k.Path] {
			t.Errorf("example.yaml does not show %s", k.Path)
		}
	}
	d := parse1(t, minimal)
	d.Hostname, c.Hostname = "", ""
	d.SMTP.Listeners, c.SMTP.Listeners = nil, nil // the example shows more than one
	d.SMTP.TLS, c.SMTP.TLS = nil, nil
	if got, want := fmt.Sprint(c.SMTP, c.Queue, c.Delivery, c.Admin, c.Log),
		fmt.Sprint(d.SMTP, d.Queue, d.Delivery, d.Admin, d.Log); got != want {
		t.Errorf("example has %s\nwant the defaults %s", got, want)
	}
}

func parse1(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("config.yaml", []byte(text), "/etc/graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func address(t *testing.T, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEachCredential(t *testing.T) {
	for _, text := range []string{
		"certificate_file: entra.pfx\n    certificate_password_file: password",
		"client_secret_file: secret\n    client_secret_expires: 2027-05-01",
		"managed_identity: true",
		"managed_identity: {client_id: 22222222-2222-2222-2222-222222222222}",
		"workload_identity: true",
		"certificate_file: entra.pem\n    workload_identity: false\n    cloud: usgov-dod\n    proxy: " +
			"http://proxy:3128/",
	} {
		c := parse1(t, strings.Replace(minimal, "certificate_file: entra.pem", text, 1))
		id := c.Identities[0]
		if strings.Contains(text, "managed") != (id.ManagedIdentity != nil) ||
			strings.Contains(text, "workload_identity: true") != id.WorkloadIdentity ||
			strings.Contains(text, "2027") != (id.ClientSecretExpires.String() == "2027-05-01") ||
			strings.Contains(text, "proxy") != (id.Proxy == "http://proxy:3128") {
			t.Errorf("%s: %+v", text, id)
		}
	}
}
