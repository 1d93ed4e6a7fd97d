//go:build interop

package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// Exim sends by BDAT where CHUNKING is offered: the header as a chunk behind MAIL
// and RCPT, without a pause for their answers, then all the rest as the last
// chunk. Padding makes that one longer than a read of the relay.
func TestEximAuthenticates(t *testing.T) {
	message := hard + strings.Repeat(".a line that begins with a dot\r\n", 4000)
	for _, tls := range tlsModes {
		t.Run(tls, func(t *testing.T) {
			d := startDeviceWith(t, plainPassword, tls)
			h := d.smarthost()
			h.Implicit = tls == "implicit"
			foreign.LetIn(t, d.certificate)
			dir := t.TempDir()
			run(t, foreign.Exim(t, dir, h)(append([]string{"-oi", "-f", harness.Sender}, three...)...), lf(message))
			eximSent(t, filepath.Join(dir, "log", "mainlog"))
			d.delivered(t, message)
		})
	}
}

// eximSent reads in Exim's log that it delivered to the three, each with a
// verified certificate (CV), a login (A) and BDAT (K).
func eximSent(t *testing.T, path string) {
	t.Helper()
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, " => ") && !strings.Contains(line, " -> ") {
			continue
		}
		n++
		if !strings.Contains(line, " CV=yes A=plain K ") {
			t.Errorf("not by certificate, login and BDAT: %s", line)
		}
	}
	if n != len(three) {
		t.Fatalf("Exim delivered to %d recipients, want %d\n%s", n, len(three), log)
	}
}
