package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"graphrelay/relay/outcome"
)

func TestWithoutAnAnswer(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, c := range map[string]struct {
		err        error
		left       bool
		unreadable error
		outcome    outcome.Outcome
		scope      outcome.Scope
		advice     string
	}{
		"dial": {refused, false, nil, outcome.Retry, identity, "firewall"},
		"dns":  {&net.DNSError{Err: "no such host"}, false, nil, outcome.Retry, identity, "name servers"},
		"name server silent": {errors.New("unable to resolve an endpoint: dial tcp: lookup login.microsoftonline.com " +
			"on 192.0.2.53:53: read udp 10.1.2.3:54798->192.0.2.53:53: i/o timeout"),
			false, nil, outcome.Retry, identity, "name servers"},
		"no network": {&net.DNSError{Name: "graph.microsoft.com",
			Err: "dial udp 192.0.2.53:53: connect: network is unreachable"},
			false, nil, outcome.Retry, identity, "firewall"},
		"certificate": {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false, nil,
			outcome.Retry, identity, "ca_file"},
		"proxy": {errors.New("proxyconnect tcp: dial tcp 10.0.0.1:3128: refused"), false, nil, outcome.Retry,
			identity, "CONNECT"},
		"proxy password": {errors.New("the proxy refuses CONNECT: 407 Proxy Authentication Required"), false, nil,
			outcome.Retry, identity, "CONNECT"},
		"stopped":          {context.Canceled, false, nil, outcome.Retry, message, ""},
		"late":             {context.DeadlineExceeded, false, nil, outcome.Retry, identity, "network"},
		"left":             {io.ErrUnexpectedEOF, true, nil, outcome.Unknown, message, "Sent Items"},
		"left and stopped": {context.Canceled, true, nil, outcome.Unknown, message, "Sent Items"},
		"left and late":    {context.DeadlineExceeded, true, nil, outcome.Unknown, message, "Sent Items"},
		"spool": {errors.New("http2: stream error"), true, &spoolError{errors.New("bad checksum")},
			outcome.Retry, message, "store"},
		"spool on replay": {fmt.Errorf("x: %w", &spoolError{errors.New("bad checksum")}), false, nil, outcome.Retry,
			message, "store"},
	} {
		a := classifyLoss(c.err, c.left, c.unreadable)
		if a.Outcome != c.outcome || a.Scope != c.scope || !strings.Contains(a.Advice, c.advice) || a.HTTPStatus != 0 ||
			a.Text == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	a := withoutLogin(errors.New("ClientSecretCredential: dial tcp: no such host. To troubleshoot, visit " +
		"https://aka.ms/x"))
	if a.Outcome != outcome.Retry || a.Scope != identity || strings.Contains(a.Text, "aka.ms") ||
		!strings.Contains(a.Advice, "name servers") {
		t.Errorf("%+v", a)
	}
}
