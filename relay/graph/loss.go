package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// lossRow is one fact about a request that got no answer.
type lossRow struct {
	when    string // for the manual
	outcome outcome.Outcome
	scope   outcome.Scope
	status  reply.Enhanced
	text    string
	advice  string
}

// The ways in which a request ends without an answer.
const (
	lostUnreadable = iota // the message could not be read from the spool
	lostAfter             // octets of the body had left
	lostStopped           // the relay stops
	lostTLS
	lostDNS
	lostProxy
	lostConnection
	lostLogin // no token; the advice is that of the connection
)

func lossCatalogue() []lossRow {
	row := func(when, advice string) lossRow {
		return lossRow{when, outcome.Retry, outcome.ScopeIdentity, reply.Enhanced{4, 4, 1}, "no connection to Graph", advice}
	}
	return []lossRow{
		lostUnreadable: {"the message cannot be read from the queue", outcome.Retry, outcome.ScopeMessage, reply.Enhanced{4, 3, 0}, "the stored message cannot be read", "check the disk and the queue's store"},
		lostAfter:      {"the connection is lost, or time runs out, after octets of the message have left", outcome.Unknown, outcome.ScopeMessage, reply.Enhanced{4, 4, 2}, "no answer came after the message had left, which may have been sent", adviceCheck},
		lostStopped:    {"the relay stops before anything has left", outcome.Retry, outcome.ScopeMessage, reply.Enhanced{4, 3, 2}, "stopped before anything was sent", ""},
		lostTLS:        row("the server's certificate is not trusted, or TLS fails", "the server's certificate is not trusted; if a proxy inspects TLS, add its root certificate as ca_file, and check this machine's clock"),
		lostDNS:        row("the name is not resolved", "check the name servers of this machine"),
		lostProxy:      row("the proxy refuses or does not answer", "check the proxy (proxy or proxy_file in the configuration, else HTTPS_PROXY and NO_PROXY), its password, and that it lets CONNECT to port 443 through"),
		lostConnection: row("anything else before octets have left: no route, refused, reset, timeout", "check the network, the firewall (port 443) and the proxy (HTTPS_PROXY)"),
		lostLogin:      {"the same on the way to Entra", outcome.Retry, outcome.ScopeIdentity, reply.Enhanced{4, 4, 1}, "cannot log in to Entra", ""},
	}
}

func (r lossRow) answer(err error) outcome.Answer {
	a := outcome.Answer{Outcome: r.outcome, Scope: r.scope, Status: r.status, Text: r.text, Advice: r.advice}
	if err != nil {
		a.Text += ": " + line(withoutHelp(err), maxText)
	}
	return a
}

// classifyLoss says what it means that a request got no answer. left tells
// whether octets of the body were handed to the connection, and unreadable is
// the failure to read the message, if that ended it.
func classifyLoss(err error, left bool, unreadable error) outcome.Answer {
	rows := lossCatalogue()
	var spool *spoolError
	switch {
	case unreadable != nil || errors.As(err, &spool):
		return rows[lostUnreadable].answer(firstError(unreadable, err))
	case left:
		return rows[lostAfter].answer(err)
	case errors.Is(err, context.Canceled):
		return rows[lostStopped].answer(nil)
	}
	return rows[connectionLoss(err)].answer(err)
}

// Unreadable is the answer for a message that could not be read from the queue
// to its end: what was announced with its length and cut short is never taken.
func Unreadable(err error) outcome.Answer { return lossCatalogue()[lostUnreadable].answer(err) }

// withoutLogin is a login that got no answer.
func withoutLogin(err error) outcome.Answer {
	rows := lossCatalogue()
	a := rows[lostLogin].answer(err)
	a.Advice = rows[connectionLoss(err)].advice
	return a
}

// withoutHelp is the text of an error of azidentity without its pointer to a page.
func withoutHelp(err error) string {
	text, _, _ := strings.Cut(err.Error(), " To troubleshoot, visit ")
	return text
}

// connectionLoss tells what usually is behind a failure to connect.
func connectionLoss(err error) int {
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		text    = err.Error() // azidentity passes on texts only
	)
	switch {
	case strings.Contains(text, "proxyconnect") || strings.Contains(text, proxyRefused):
		return lostProxy
	case errors.As(err, &cert) || errors.As(err, &unknown) || strings.Contains(text, "x509: ") || strings.Contains(text, "tls: "):
		return lostTLS
	case errors.As(err, &dns) || strings.Contains(text, "no such host"):
		return lostDNS
	}
	return lostConnection
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
