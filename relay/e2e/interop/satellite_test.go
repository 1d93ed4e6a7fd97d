//go:build interop

package interop_test

import (
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// smarthost is the relay as the satellites see it. It goes by the name in its
// certificate, which they verify.
func (d device) smarthost() foreign.Smarthost {
	return foreign.Smarthost{Host: "localhost", Port: d.port, User: login, Password: plainPassword, CAFile: d.certificate}
}

// tlsModes are the two ways in which a satellite can have TLS.
var tlsModes = []string{"required", "implicit"}

func TestPostfixAuthenticates(t *testing.T) {
	for _, tls := range tlsModes {
		t.Run(tls, func(t *testing.T) {
			d := startDeviceWith(t, plainPassword, tls)
			extra := []string{"relayhost = [localhost]:" + d.port, "smtp_tls_CAfile = " + d.certificate, "smtp_tls_security_level = verify",
				"smtp_sasl_auth_enable = yes", "smtp_sasl_password_maps = static:" + login + ":" + plainPassword, "smtp_sasl_security_options = noanonymous", "smtp_line_length_limit = 0"}
			if tls == "implicit" {
				extra = append(extra, "smtp_tls_wrappermode = yes")
			}
			foreign.LetIn(t, d.certificate)
			p := foreign.StartPostfix(t, t.TempDir(), true, extra...)
			harness.Hello(t, p.Addr).Send(harness.Sender, three, hard)
			harness.Until(t, patience, "Postfix to be done", func() bool { return p.Queued() == 0 })
			if n := strings.Count(p.Log(), "status=sent"); n != 3 {
				t.Fatalf("Postfix says sent for %d recipients, want 3\n%s", n, p.Log())
			}
			d.delivered(t, hard)
		})
	}
}

// nullmailer writes To and Cc anew, so they are given in its own form.
func TestNullmailerAuthenticates(t *testing.T) {
	message := strings.Replace(hard, "To: \"Admin, the\" <a@example.org>,\r\n  (a comment) outsider@example.net\r\nCc:b@", "To: a@example.org\r\nCc: b@", 1)
	for _, tls := range tlsModes {
		t.Run(tls, func(t *testing.T) {
			d := startDeviceWith(t, plainPassword, tls)
			h := d.smarthost()
			h.Implicit = tls == "implicit"
			inject, send := foreign.Nullmailer(t, t.TempDir(), h)
			run(t, inject(append([]string{"-e", "-f", harness.Sender}, three...)...), lf(message))
			harness.Start(t, send())
			d.delivered(t, message)
		})
	}
}
