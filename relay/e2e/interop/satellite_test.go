//go:build interop

package interop_test

import (
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// smarthost is the relay as the satellites see it. It goes by the name in its
// certificate, which they verify.
func (d device) smarthost() foreign.Smarthost {
	return foreign.Smarthost{Host: "localhost", Port: d.port, User: login, Password: plainPassword,
		CAFile: d.certificate}
}

// tlsModes are the two ways in which a satellite can have TLS.
var tlsModes = []string{"required", "implicit"}

func TestPostfixAuthenticates(t *testing.T) {
	for _, tls := range tlsModes {
		t.Run(tls, func(t *testing.T) {
			d := startDeviceWith(t, plainPassword, tls)
			extra := []string{"relayhost = [localhost]:" + d.port, "smtp_tls_CAfile = " + d.certificate,
				"smtp_tls_security_level = verify",
				"smtp_sasl_auth_enable = yes", "smtp_sasl_password_maps = static:" + login + ":" +
					plainPassword, "smtp_sasl_security_options = noanonymous", "smtp_line_length_limit = 0"}
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

// dma refuses lines above 1,000 octets itself, and sends each recipient a
// message of its own.
func TestDmaAuthenticates(t *testing.T) {
	message := strings.ReplaceAll(hard, strings.Repeat("long ", 300), strings.Repeat("long ", 150))
	for _, tls := range tlsModes {
		t.Run(tls, func(t *testing.T) {
			d := startDeviceWith(t, plainPassword, tls)
			h := d.smarthost()
			h.Implicit = tls == "implicit"
			run(t, foreign.Dma(t, t.TempDir(), h)(append([]string{"-i", "-f", harness.Sender}, three...)...),
				lf(message))
			var to []string
			for _, m := range d.double.WaitFor(t, 3, patience) {
				harness.CompareMessage(t, harness.Sent{From: harness.Sender, To: m.Recipients, Data: message}, m.Raw)
				to = append(to, m.Recipients...)
				if !strings.Contains(received(m), " with ESMTPSA ") {
					t.Errorf("not over TLS with a login: %s", received(m))
				}
			}
			if len(to) != 3 || !slices.Equal(harness.Folded(to), harness.Folded(three)) {
				t.Errorf("it goes to %q, want %q", to, three)
			}
		})
	}
}

// nullmailer writes To and Cc anew, so they are given in its own form.
func TestNullmailerAuthenticates(t *testing.T) {
	message := strings.Replace(hard,
		"To: \"Admin, the\" <a@example.org>,\r\n  (a comment) outsider@example.net\r\nCc:b@",
		"To: a@example.org\r\nCc: b@", 1)
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
