//go:build interop

package interop_test

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

const (
	login    = "device"
	password = "pass word=1/+" // what forms and command lines like to spoil
)

// device is a relay that only a login over TLS may send through.
type device struct {
	*harness.Relay
	double      *harness.Double
	host, port  string
	certificate string // self-signed, so it is also what a client must trust
}

// startDevice starts it with the listener's tls, as in "starttls", and more
// lines of the listener.
func startDevice(t *testing.T, tls string, listener ...string) device {
	t.Helper()
	return startDeviceWith(t, password, tls, listener...)
}

func startDeviceWith(t *testing.T, password, tls string, listener ...string) device {
	t.Helper()
	certificate, key := harness.Certificate(t)
	lines := []string{"    tls: " + tls, "    auth: required"}
	for _, l := range listener {
		lines = append(lines, "    "+l)
	}
	lines = append(lines, fmt.Sprintf("tls: {certificate_file: %q, key_file: %q}", certificate, key))
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, harness.With("smtp", lines...),
		harness.With("top", "local_client: false", "clients:", "  - name: device", "    username: "+login,
			"    password_hash: \""+hash(t, password)+"\""))
	host, port, _ := strings.Cut(r.Addr, ":")
	return device{r, d, host, port, certificate}
}

// hash asks the real program, as an administrator would.
func hash(t *testing.T, password string) string {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), "passwd")
	cmd.Stdin = strings.NewReader(password + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("graphrelay passwd: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// delivered waits for the one message and compares it with message, which goes
// to the three; it must have come over TLS with a login.
func (d device) delivered(t *testing.T, message string) harness.Message {
	t.Helper()
	got := d.one(t)
	harness.CompareMessage(t, harness.Sent{From: harness.Sender, To: three, Data: message}, got.Raw)
	return got
}

// one waits for the one message, to the three, over TLS, with a login.
func (d device) one(t *testing.T) harness.Message {
	t.Helper()
	got := one(t, d.Relay, d.double)
	if !strings.Contains(received(got), " with ESMTPSA ") {
		t.Errorf("not over TLS with a login: %s", received(got))
	}
	return got
}

func one(t *testing.T, r *harness.Relay, d *harness.Double) harness.Message {
	t.Helper()
	if !harness.Holds(patience, func() bool { return len(d.Received()) > 0 }) {
		t.Fatalf("nothing arrived\n%s", r.Tail())
	}
	r.WaitEmpty(patience)
	list := d.Received()
	if len(list) != 1 {
		t.Errorf("%d messages arrived, want 1\n%s", len(list), r.Tail())
	}
	if !slices.Equal(harness.Folded(list[0].Recipients), harness.Folded(three)) {
		t.Errorf("it goes to %q, want %q", list[0].Recipients, three)
	}
	return list[0]
}

// received is the Received field that the relay wrote.
func received(m harness.Message) string {
	fields, _ := harness.Split(string(m.Raw))
	return harness.Field(fields, "Received")
}

// plainPassword suits the configuration files of the satellites, which have
// rules of their own for blanks.
const plainPassword = "secret123"

// unended is a message as swaks takes it, which ends the last line itself.
func unended(message string) string { return strings.TrimSuffix(message, "\r\n") }

func TestSwaksAuthenticates(t *testing.T) {
	swaks := foreign.Swaks(t)
	for _, c := range []struct {
		name, tls string
		extra     []string
	}{
		{"STARTTLS and PLAIN", "required", []string{"--tls", "--auth", "PLAIN"}},
		{"STARTTLS and LOGIN, pipelined", "starttls", []string{"--tls", "--auth", "LOGIN", "--pipeline"}},
		{"implicit TLS and LOGIN", "implicit", []string{"--tls-on-connect", "--auth", "LOGIN"}},
		{"implicit TLS and PLAIN, pipelined",
			"implicit", []string{"--tls-on-connect", "--auth", "PLAIN", "--pipeline"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := startDevice(t, c.tls)
			args := append([]string{"--server", d.host, "--port", d.port, "--helo", "client.example.org", "--from",
				harness.Sender,
				"--tls-verify", "--tls-ca-path", d.certificate, "--auth-user", login, "--auth-password", password,
				"--to", strings.Join(three, ","), "--data", "@" + file(t, unended(hard))}, c.extra...)
			run(t, swaks(args...), "")
			d.delivered(t, hard)
		})
	}
}

// swaks ends with 28 where AUTH is refused, and with 29 where no TLS is offered.
func TestSwaksWithAWrongPassword(t *testing.T) {
	d := startDevice(t, "starttls")
	out, err := foreign.Swaks(t)("--server", d.host, "--port", d.port, "--from", harness.Sender, "--to", three[0],
		"--tls", "--auth", "PLAIN", "--auth-user", login, "--auth-password", "wrong").CombinedOutput()
	var exit *exec.ExitError
	if !asExit(err, &exit) || exit.ExitCode() != 28 || !strings.Contains(string(out), "535 5.7.8") {
		t.Errorf("swaks ends with %v, want 28 after 535 5.7.8\n%s", err, out)
	}
	out, err = foreign.Swaks(t)("--server", d.host, "--port", d.port, "--from", harness.Sender, "--to", three[0],
		"--tls").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "530 5.7.0") {
		t.Errorf("without a login: %v, want 530 5.7.0\n%s", err, out)
	}
	if n := len(d.double.Received()); n != 0 {
		t.Errorf("%d messages arrived, want none", n)
	}
}

func asExit(err error, exit **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*exit = e
	return ok
}

// What counts behind a load balancer is the client that its header names.
func TestSwaksByProxy(t *testing.T) {
	swaks := foreign.Swaks(t)
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, harness.With("smtp", "    proxy_protocol: [127.0.0.1]"),
		harness.With("top", "local_client: false", "clients:", "  - name: erp", "    networks: [10.9.8.0/24]"))
	host, port, _ := strings.Cut(r.Addr, ":")
	as := func(client string) *exec.Cmd {
		return swaks("--server", host, "--port", port, "--helo", "client.example.org", "--from", harness.Sender,
			"--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", client, "--proxy-source-port", "40000",
			"--proxy-dest", "10.9.8.1", "--proxy-dest-port", "25",
			"--to", strings.Join(three, ","), "--data", "@"+file(t, unended(hard)))
	}
	run(t, as("10.9.8.7"), "")
	got := one(t, r, d)
	harness.CompareMessage(t, harness.Sent{From: harness.Sender, To: three, Data: hard}, got.Raw)
	if !strings.Contains(received(got), "[10.9.8.7]") {
		t.Errorf("the real client is not in %q", received(got))
	}
	if out, err := as("10.9.7.1").CombinedOutput(); err == nil || !strings.Contains(string(out), "554 5.7.1") {
		t.Errorf("a stranger behind the proxy: %v, want 554 5.7.1\n%s", err, out)
	}
}

func TestMsmtpAuthenticates(t *testing.T) {
	msmtp := foreign.Msmtp(t)
	for _, c := range []struct{ tls, starttls, auth string }{{"required", "on", "plain"},
		{"implicit", "off", "login"}} {
		t.Run(c.tls, func(t *testing.T) {
			d := startDevice(t, c.tls)
			conf := filepath.Join(t.TempDir(), "msmtprc")
			harness.WriteFile(t, conf,
				strings.Join([]string{"account default", "host " + d.host, "port " + d.port, "tls on",
					"tls_starttls " + c.starttls,
					"tls_trust_file " + d.certificate, "auth " + c.auth, "user " + login, "password \"" + password +
						"\"", "from " + harness.Sender, ""}, "\n"))
			run(t, msmtp(append([]string{"--file=" + conf, "--"}, three...)...), lf(hard))
			d.delivered(t, hard)
		})
	}
}

func TestCurlAuthenticates(t *testing.T) {
	curl := foreign.Curl(t)
	for _, c := range []struct{ tls, scheme, option string }{{"implicit", "smtps", "AUTH=PLAIN"},
		{"required", "smtp", "AUTH=LOGIN"}} {
		t.Run(c.scheme, func(t *testing.T) {
			d := startDevice(t, c.tls)
			args := []string{"-sS", "--ssl-reqd", "--cacert", d.certificate, "--login-options", c.option,
				"--user", login + ":" + password,
				"--url", c.scheme + "://" + d.Addr +
					"/client.example.org", "--mail-from", harness.Sender, "--upload-file", file(t, hard)}
			for _, to := range three {
				args = append(args, "--mail-rcpt", to)
			}
			run(t, curl(args...), "")
			d.delivered(t, hard)
		})
	}
}

func TestPythonAuthenticates(t *testing.T) {
	python := foreign.Python(t)
	for _, tls := range []string{"required", "implicit"} {
		t.Run(tls, func(t *testing.T) {
			d := startDevice(t, tls)
			run(t, python("testdata/smtplib_login.py", tls, d.host, d.port, d.certificate, login, password,
				harness.Sender, file(t, hard), strings.Join(three, ",")), "")
			d.delivered(t, hard)
		})
	}
}

func TestNodemailerAuthenticates(t *testing.T) {
	node := foreign.Nodemailer(t)
	for _, tls := range []string{"required", "implicit"} {
		t.Run(tls, func(t *testing.T) {
			d := startDevice(t, tls)
			run(t, node("testdata/nodemailer_login.js", tls, d.host, d.port, d.certificate, login, password,
				harness.Sender, file(t, hard), strings.Join(three, ",")), "")
			d.delivered(t, hard)
		})
	}
}

// s-nail composes by itself, so the text is what can be compared.
func TestSNailAuthenticates(t *testing.T) {
	snail := foreign.SNail(t)
	for _, c := range []struct{ tls, scheme, auth string }{{"implicit", "smtps", "plain"},
		{"required", "smtp", "login"}} {
		t.Run(c.scheme, func(t *testing.T) {
			d := startDeviceWith(t, plainPassword, c.tls)
			cmd := snail("-n", "-#", "-S", "v15-compat", "-S", "mta="+c.scheme+"://"+login+":"+plainPassword+
				"@localhost:"+d.port, "-S", "smtp-auth="+c.auth,
				"-S", "smtp-use-starttls", "-S", "tls-verify=strict", "-S", "tls-ca-file="+
					d.certificate, "-S", "tls-ca-no-defaults", "-S", "from="+harness.Sender,
				"-r", harness.Sender, "-S", "sendwait", "-S", "ttycharset=utf-8", "-S", "sendcharsets=utf-8", "-S",
				"DEAD=/dev/null", "-s", "Secured",
				"-c", "b@example.org", "-b", "hidden@example.com", "a@example.org")
			cmd.Env = append(cmd.Env, "HOME="+t.TempDir())
			run(t, cmd, "Line one\n.\n..two\n")
			_, body := harness.Split(string(d.one(t).Raw))
			if body != "Line one\r\n.\r\n..two\r\n" {
				t.Errorf("the text arrived as %q", body)
			}
		})
	}
}

// openssl is what people type by hand; -quiet keeps its own commands away.
func TestOpenSSLByHand(t *testing.T) {
	d := startDevice(t, "starttls")
	auth := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+password))
	lines := []string{"EHLO client.example.org", auth, "MAIL FROM:<" + harness.Sender + ">"}
	for _, to := range three {
		lines = append(lines, "rcpt to:<"+to+">") // an upper-case R would renegotiate without -quiet
	}
	dialog := strings.Join(append(lines, "DATA", ""), "\r\n") + harness.DotStuff(hard) + "QUIT\r\n"
	cmd := foreign.OpenSSL(t)("s_client", "-quiet", "-starttls", "smtp", "-connect", d.Addr, "-CAfile", d.certificate,
		"-verify_return_error")
	run(t, cmd, dialog)
	d.delivered(t, hard)
}
