package smtpd

import (
	"errors"
	"strings"
	"testing"
)

// A client that refuses the certificate ends the handshake in one of several ways.
func TestHandshakeRemedyOfAClientThatDoesNotTrust(t *testing.T) {
	for _, said := range []string{
		"remote error: tls: unknown certificate authority", "remote error: tls: bad certificate",
		"local error: tls: bad record MAC", "remote error: tls: bad record MAC",
	} {
		if got := handshakeRemedy(errors.New(said)); !strings.HasPrefix(got, "the client does not trust") {
			t.Errorf("%s: %s", said, got)
		}
	}
}
