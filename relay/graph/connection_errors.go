package graph

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"graphrelay/relay/entra"
	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// The ways in which a request ends without an answer.
const (
	lostUnreadable = iota // the message could not be read from the spool
	lostAfter             // bytes of the body had left
	lostStopped           // the relay stops
	lostTLS
	lostDNS
	lostProxy
	lostConnection
	lostLogin // no token; the advice is that of the connection
	lostEarly // a success came before the whole body had left
)

const noWay = "No connection to Microsoft 365"

const adviceReach = "check the network, the firewall (port 443 to graph.microsoft.com and login.microsoftonline.com) " +
	"and the proxy (HTTPS_PROXY): graphrelay doctor"

func lossCatalogue() []outcome.Row {
	when := outcome.When
	noConnection := func(words, text, advice string) outcome.Row {
		return when(words).Retry(identity, "4.4.1", text, advice)
	}
	return []outcome.Row{
		lostUnreadable: when("the message cannot be read from the queue").
			Retry(message, "4.3.0", "Stored message cannot be read", "check the disk of the queue (queue.store)"),
		lostAfter: when("the connection is lost, or time runs out, after bytes of the message have left").
			Is(outcome.Unknown, message, "4.4.2",
				"Connection was lost during sending, and the message may have been sent", adviceCheck),
		lostStopped: when("the relay stops before anything has left").
			Retry(message, "4.3.2", "The relay stopped before anything was sent",
				"nothing to do: it is sent after the start"),
		lostTLS: noConnection("the server's certificate is not trusted, or TLS fails",
			"TLS connection to Microsoft fails: its certificate is not trusted",
			"if a proxy inspects TLS, add its root certificate as ca_file of the identity; check this machine's clock"),
		lostDNS: noConnection("the name is not resolved", "Name lookup (DNS) fails for Microsoft's servers",
			"check the name servers of this machine: getent hosts graph.microsoft.com"),
		lostProxy: noConnection("the proxy refuses or does not answer", "Proxy does not let the relay reach Microsoft",
			"check the proxy (proxy or proxy_file in the configuration, else HTTPS_PROXY and NO_PROXY), its password, "+
				"and that it lets CONNECT to port 443 through"),
		lostConnection: noConnection("anything else before bytes have left: no route, refused, reset, timeout",
			noWay, adviceReach),
		lostLogin: when("the same on the way to Entra").Retry(identity, "4.4.1", noWay, adviceReach),
		lostEarly: when("a 202 comes before the whole message has left").
			Is(outcome.Unknown, message, "4.4.2", "Graph accepted the message before it had all of it", adviceCheck),
	}
}

// lossAnswer is the answer of a row, with the error where there is one.
func lossAnswer(way int, err error) outcome.Answer {
	a := lossCatalogue()[way].Answer()
	if err != nil {
		a.Detail = text.Foreign(entra.ErrorText(err), outcome.MaxText)
	}
	return a
}

// classifyLoss says what it means that a request got no answer. left is whether
// bytes of the body were handed to the connection, and unreadable is the failure
// to read the message, if that ended it.
func classifyLoss(err error, left bool, unreadable error) outcome.Answer {
	var spool *spoolError
	switch {
	case unreadable != nil || errors.As(err, &spool):
		return lossAnswer(lostUnreadable, cmp.Or(unreadable, err))
	case left:
		return lossAnswer(lostAfter, err)
	case errors.Is(err, context.Canceled):
		return lossAnswer(lostStopped, nil)
	}
	return lossAnswer(connectionLoss(err), err)
}

// early is the answer where a came before the whole body had left: nobody can say
// what was accepted.
func early(a outcome.Answer) outcome.Answer {
	e := lossAnswer(lostEarly, nil)
	e.HTTPStatus, e.RequestID = a.HTTPStatus, a.RequestID
	return e
}

// Unreadable is the answer for a message that could not be read from the queue
// to its end: what was announced with its length and cut short is never taken.
func Unreadable(err error) outcome.Answer { return lossAnswer(lostUnreadable, err) }

// withoutLogin is a login that got no answer.
func withoutLogin(err error) outcome.Answer {
	a := lossAnswer(lostLogin, err)
	way := lossCatalogue()[connectionLoss(err)]
	a.Text, a.Advice, a.Detail = way.Text, way.Advice, "logging in to Entra: "+a.Detail
	return a
}

// connectionLoss is what usually is behind a failure to connect.
func connectionLoss(err error) int {
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		words   = err.Error() // azidentity passes on texts only
	)
	switch {
	case strings.Contains(words, "proxyconnect") || strings.Contains(words, proxyRefused):
		return lostProxy
	case errors.As(err, &cert) || errors.As(err, &unknown) ||
		strings.Contains(words, "x509: ") || strings.Contains(words, "tls: "):
		return lostTLS
	case strings.Contains(words, "network is unreachable"):
		return lostConnection // a name server is not reached either
	case errors.As(err, &dns) || strings.Contains(words, "no such host") || strings.Contains(words, ": lookup "):
		return lostDNS
	}
	return lostConnection
}
