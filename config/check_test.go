package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// host is a folder in which everything is as Check wants it; a test spoils one
// thing.
type host struct {
	dir, listener string
}

func newHost(t *testing.T) *host {
	h := &host{dir: t.TempDir(), listener: "127.0.0.1:0"}
	h.write(t, "entra.pem", "key", 0o640)
	h.write(t, "ca.pem", "roots", 0o644)
	h.write(t, "tls.crt", "certificate", 0o644)
	h.write(t, "tls.key", "key", 0o640)
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.path(name), mode); err != nil { // past the umask
		t.Fatal(err)
	}
}

func (h *host) check(t *testing.T) []Problem {
	t.Helper()
	text := strings.Replace(minimal, "entra.pem\n", "entra.pem\n    ca_file: ca.pem\n", 1) +
		fmt.Sprintf("smtp: {listeners: [{address: %q}, {address: \"unix:%s\"}, {address: \"systemd:smtp\"}], tls: "+
			"{certificate_file: tls.crt, key_file: tls.key}}\n", h.listener, h.path("submit.sock")) +
		"queue: {store: \"sqlite:queue.db\"}\n" +
		fmt.Sprintf("admin: {address: \"unix:%s\"}\n", h.path("admin.sock"))
	c, err := Parse("config.yaml", []byte(text), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	return Check(c)
}

func TestCheckFindsNothingOnASoundHost(t *testing.T) {
	if found := newHost(t).check(t); found != nil {
		t.Errorf("found %v", found)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, h *host)
		want  string
	}{
		{"certificate missing", func(t *testing.T, h *host) { os.Remove(h.path("entra.pem")) },
			"config.yaml:4: identities[0].certificate_file: cannot be examined: no such file or directory " +
				"(\"entra.pem\"); create "},
		{"certificate for everybody", func(t *testing.T, h *host) { os.Chmod(h.path("entra.pem"), 0o644) },
			"config.yaml:4: identities[0].certificate_file: is open to every user of the host (mode 0644) " +
				"(\"entra.pem\"); run: chmod o= "},
		{"certificate writable by everybody", func(t *testing.T, h *host) { os.Chmod(h.path("entra.pem"), 0o642) },
			"is open to every user"},
		{"certificate empty", func(t *testing.T, h *host) { h.write(t, "entra.pem", "", 0o600) },
			"certificate_file: is an empty file"},
		{"certificate is a folder", func(t *testing.T, h *host) {
			os.Remove(h.path("entra.pem"))
			os.Mkdir(h.path("entra.pem"), 0o700)
		}, "certificate_file: is not a regular file"},
		{"roots missing", func(t *testing.T, h *host) { os.Remove(h.path("ca.pem")) },
			"config.yaml:5: identities[0].ca_file: cannot be examined"},
		{"certificate of TLS missing", func(t *testing.T, h *host) { os.Remove(h.path("tls.crt")) },
			"config.yaml:8: smtp.tls.certificate_file: cannot be examined"},
		{"key of TLS for everybody", func(t *testing.T, h *host) { os.Chmod(h.path("tls.key"), 0o644) },
			"config.yaml:8: smtp.tls.key_file: is open to every user of the host (mode 0644)"},
		{"store is a folder", func(t *testing.T, h *host) { os.Mkdir(h.path("queue.db"), 0o700) },
			"config.yaml:9: queue.store: is not a regular file"},
		{"store for everybody", func(t *testing.T, h *host) { h.write(t, "queue.db", "x", 0o644) },
			"queue.store: is open to every user"},
		{"store writable by its group", func(t *testing.T, h *host) { h.write(t, "queue.db", "x", 0o660) },
			"queue.store: can be written by its group (mode 0660)"},
		{"store is a link", func(t *testing.T, h *host) { os.Symlink(h.path("ca.pem"), h.path("queue.db")) },
			"queue.store: is not a regular file"},
		{"store's folder for everybody", func(t *testing.T, h *host) { os.Chmod(h.dir, 0o777) },
			"queue.store: is in a folder that everybody can write to (mode 0777)"},
		{"port in use", func(t *testing.T, h *host) { h.listener = busy(t, "tcp", "127.0.0.1:0") },
			"smtp.listeners[0].address: is in use by another program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			c.spoil(t, h)
			found := h.check(t)
			if len(found) != 1 || !strings.Contains(found[0].String(), c.want) {
				t.Errorf("found %v, want %s", found, c.want)
			}
		})
	}
}

// A running graphrelay holds its own ports; checking a changed file beside it
// must not call that a fault.
func TestCheckBesideTheRunningService(t *testing.T) {
	h := newHost(t)
	h.listener = busy(t, "tcp", "127.0.0.1:0")
	busy(t, "unix", h.path("admin.sock"))
	if found := h.check(t); found != nil {
		t.Errorf("found %v", found)
	}
}

func TestCheckOfFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k := &hostCheck{c: parse1(t, minimal)}
	for path, want := range map[string]string{
		dir:                             "",
		"/run/graphrelay-test-of-none":  "", // RuntimeDirectory= makes it
		filepath.Join(dir, "none"):      "run: install -d -o graphrelay",
		filepath.Join(dir, "file"):      "is in a folder that is a file",
		filepath.Join(dir, "file", "x"): "is in a folder that cannot be used: not a directory",
	} {
		k.found = nil
		k.folder("queue.store", path)
		got := Errors(k.found).Error()
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: found %q, want %q", path, got, want)
		}
	}
}

// What root never meets is put in by hand.
func TestCheckOfRights(t *testing.T) {
	k := &hostCheck{c: parse1(t, minimal)}
	k.access("queue.store", "/none", store)
	got := Errors(k.found).Error()
	if !strings.Contains(got, "cannot be read by this user") ||
		!strings.Contains(got, "cannot be written by this user") {
		t.Errorf("found %s", got)
	}
	for _, c := range []struct {
		errno   unix.Errno
		running bool
		want    string
	}{
		{unix.EADDRINUSE, true, ""},
		{unix.EADDRINUSE, false, "is in use"},
		{unix.EACCES, false, "needs a privilege"},
		{unix.EACCES, true, "needs a privilege"},
		{unix.EADDRNOTAVAIL, false, "cannot be listened on: cannot assign requested address"},
	} {
		err := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", c.errno)}
		wrong, remedy := listenFault(err, c.running)
		if (wrong == "") != (c.want == "") || !strings.Contains(wrong, c.want) || (wrong == "") != (remedy == "") {
			t.Errorf("%v, running %v: %s; %s, want %q", c.errno, c.running, wrong, remedy, c.want)
		}
	}
}

func busy(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// A credential of systemd is found in the service by the variable, and by a
// command in a shell where systemd puts it.
func TestCredentialsOfSystemd(t *testing.T) {
	text := strings.Replace(minimal, "certificate_file: entra.pem",
		"certificate_file: ${CREDENTIALS_DIRECTORY}/entra.pem", 1)
	if text == minimal {
		t.Fatal("minimal has no certificate_file: entra.pem")
	}
	for _, c := range []struct{ env, want string }{
		{"/run/credentials/x.service", "/run/credentials/x.service/entra.pem"},
		{"", "/run/credentials/graphrelay.service/entra.pem"},
		{"relative", "/run/credentials/graphrelay.service/entra.pem"},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", c.env)
		cfg := parse1(t, text)
		if got := string(cfg.Identities[0].CertificateFile); got != c.want {
			t.Errorf("with %q: %s, want %s", c.env, got, c.want)
		}
		waits := cfg.Identities[0].CertificateFile.AwaitsService()
		if waits != (c.env != "/run/credentials/x.service") {
			t.Errorf("with %q: AwaitsService = %v", c.env, waits)
		}
	}
}

// The configuration that the packages install is valid as it is.
func TestThePackagedConfigurationIsValid(t *testing.T) {
	c, err := Load(filepath.Join("..", "packaging", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !c.places.Given("default_sender") || c.Aliases["root"].IsZero() {
		t.Error("it has no address for local mail, or nobody who reads root's")
	}
}

// Senders under onmicrosoft.com work, but reach few recipients: a warning each.
func TestWarnings(t *testing.T) {
	c := parse1(t, strings.Replace(minimal, "notifications@contoso.com", "a@contoso.com\n"+
		"  - address: b@Contoso.OnMicrosoft.com\n"+
		"  - {address: '*@mail.contoso.onmicrosoft.com', mailbox: a@contoso.com}\n"+
		"  - address: c@notonmicrosoft.com", 1))
	var got []string
	for _, p := range Warnings(c) {
		got = append(got, p.Key)
	}
	if want := "senders[1].address senders[2].address"; strings.Join(got, " ") != want {
		t.Errorf("warned of %v, want %s", got, want)
	}
}

// The app can read mailboxes of its own tenant alone, and nobody knows all its domains: a warning.
func TestACanaryInAnotherTenant(t *testing.T) {
	for address, want := range map[string]int{"check@gmail.com": 1, "check@CONTOSO.com": 0} {
		if found := Warnings(parse1(t, minimal+"audit: {canary: "+address+"}\n")); len(found) != want ||
			want > 0 && found[0].Remedy != "write a mailbox of the same tenant: the app can read no other" {
			t.Errorf("%s: %v", address, found)
		}
	}
}

// Mail of programs on this host should be known from that of a device.
func TestLocalMailUnderTheAddressOfADeviceIsWarnedOf(t *testing.T) {
	senders := strings.Replace(minimal, "notifications@contoso.com", "printer@contoso.com\n"+
		"  - address: cron@contoso.com\n  - {address: '*@fabrikam.com', mailbox: cron@contoso.com}", 1)
	client := func(more string) string { return senders + "clients:\n  - {name: p, " + more + "}\n" }
	const device = "networks: [10.0.0.0/8], senders: [cron@contoso.com, Printer@Contoso.com]"
	for text, want := range map[string]string{
		client(device): "clients[0].senders[1]",
		client(device) + "default_sender: cron@contoso.com\n":                     "clients[0].senders[0]",
		client(device) + "default_sender: host@fabrikam.com\n":                    "",
		client(device) + "local_client: false\n":                                  "",
		client("networks: [127.0.0.1], senders: [printer@contoso.com]"):           "",
		client("networks: [10.0.0.0/8], senders: [cron@contoso.com]"):             "",
		client("networks: [127.0.0.1, 10.0.0.1], senders: [printer@contoso.com]"): "clients[0].senders[0]",
		client("networks: [10.0.0.0/8]"):                                          "",
		client("username: u, password_hash: $2y$12$"+strings.Repeat("a", 53)+", senders: [printer@contoso.com]") +
			"smtp: {listeners: [{address: '127.0.0.1:25', auth: optional, plaintext_auth: [127.0.0.0/8]}]}\n": //
		"clients[0].senders[0]",
	} {
		got := ""
		for _, p := range Warnings(parse1(t, text)) {
			got += p.Key
			if p.Wrong != "is also the address of mail from programs on this host, such as cron" ||
				p.Remedy != "write default_sender with an address of their own, and add it to senders" || p.Text == "" {
				t.Error(p)
			}
		}
		if got != want {
			t.Errorf("warned of %q, want %q, in\n%s", got, want, text)
		}
	}
}

// Every user may enter the folder of the configuration, so only sendmail.conf and
// certificates may be open in it.
func TestWhatOthersCanReadBesideTheConfigurationIsWarnedOf(t *testing.T) {
	h := newHost(t)
	text := strings.Replace(minimal, "entra.pem\n", "entra.pem\n    ca_file: ca.pem\n", 1) +
		"smtp: {tls: {certificate_file: tls.crt, key_file: tls.key}}\n"
	c, err := Parse("config.yaml", []byte(text), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "entra.cer", "certificate", 0o644)
	h.write(t, "sendmail.conf", "", 0o644)
	h.write(t, "config.yaml", "", 0o640)
	for _, sub := range []string{"old", "open"} {
		if err := os.Mkdir(h.path(sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, "old/entra.pem", "key", 0o644) // behind a folder that is closed
	warned := func(want string) {
		t.Helper()
		var got []string
		for _, p := range c.files(h.dir) {
			got = append(got, strings.ReplaceAll(p.String(), h.dir, ""))
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("warned of\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	}
	for path, mode := range map[string]os.FileMode{"": 0o755, "open": 0o755} {
		if err := os.Chmod(h.path(path), mode); err != nil {
			t.Fatal(err)
		}
	}
	warned("")
	h.write(t, "open/entra.pem", "key", 0o604)
	h.write(t, "sendmail.conf", "", 0o640)
	warned("/open/entra.pem: can be read by every user of the host (mode 0604); run: chgrp graphrelay " +
		"/open/entra.pem && chmod 640 /open/entra.pem\n" +
		"/sendmail.conf: is closed to other users, so their sendmail ignores it (mode 0640); run: " +
		"chmod 644 /sendmail.conf")
	if err := os.Chmod(h.dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if got := c.files(h.dir)[0].String(); !strings.Contains(got, "is closed to other users, whose sendmail needs "+
		"sendmail.conf in it (mode 0750); run: chmod 755 ") {
		t.Error(got)
	}
}
