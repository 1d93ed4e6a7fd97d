//go:build interop

package interop_test

import (
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// Old devices speak TLS 1.0 and 1.1: a legacy listener takes their mail with a
// login, every other refuses the handshake.
func TestOldTLS(t *testing.T) {
	python := foreign.Python(t)
	for _, c := range []struct{ version, tls string }{{"TLSv1", "implicit"}, {"TLSv1", "required"},
		{"TLSv1_1", "required"}} {
		t.Run(c.version+" "+c.tls, func(t *testing.T) {
			args := func(d device) []string {
				return []string{"testdata/smtplib_old.py", c.version, c.tls, d.host, d.port, d.certificate, login,
					password, harness.Sender, file(t, hard), strings.Join(three, ",")}
			}
			old := startDevice(t, c.tls, "legacy_tls: true")
			run(t, python(args(old)...), "")
			old.delivered(t, hard)
			if c.version == "TLSv1_1" {
				return // the refusal is the same
			}
			modern := startDevice(t, c.tls)
			out, err := python(args(modern)...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "SSLError") {
				t.Errorf("a modern listener: %v, want a failed handshake\n%s", err, out)
			}
			harness.Until(t, patience,
				"the log to name the remedy", func() bool {
					return strings.Contains(modern.Output(),
						"legacy_tls: true")
				})
			if n := len(modern.double.Received()); n != 0 {
				t.Errorf("%d messages arrived, want none", n)
			}
		})
	}
}
