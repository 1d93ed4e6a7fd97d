package verify

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

// Reach is a server of Entra or Graph that is tried.
type Reach struct {
	What  string // "login" or "graph", or what else it is for, for texts
	URL   *url.URL
	Proxy func(*http.Request) (*url.URL, error)
	Roots *x509.CertPool   // nil for the system's
	Now   func() time.Time // this host's clock
	Away  string           // what to do where nothing answers, if that is not a matter of firewalls and proxies
}

// A login fails when the clocks differ by this much; half of it causes a warning.
const (
	clockFails = 5 * time.Minute
	clockWarns = 2 * time.Minute
)

// Host is the host and the port of the server.
func (r Reach) Host() string {
	port := cmp.Or(r.URL.Port(), map[string]string{"http": "80"}[r.URL.Scheme], "443")
	return net.JoinHostPort(r.URL.Hostname(), port)
}

// Through is the proxy on the way, without its password; empty is none.
func (r Reach) Through() string {
	if u, err := r.Proxy(&http.Request{URL: r.URL}); err == nil && u != nil {
		return u.Redacted()
	}
	return ""
}

// Try connects once, without a token, and says how far it came: name, connection,
// TLS, answer, clock. Any answer is good enough.
func (r Reach) Try(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	via, stage := "directly", "its name"
	done := func(err error, next string) {
		if err == nil {
			stage = next
		}
	}
	trace := &httptrace.ClientTrace{
		DNSDone:          func(i httptrace.DNSDoneInfo) { done(i.Err, "the connection") },
		ConnectStart:     func(_, _ string) { stage = "the connection" },
		ConnectDone:      func(_, _ string, err error) { done(err, "TLS") },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) { done(err, "the answer") },
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, r.URL.String(), nil)
	if err != nil {
		return Finding{Mark: Fail, Text: err.Error(), Remedy: "correct the endpoint in the configuration"}
	}
	if proxy := r.Through(); proxy != "" {
		via = "through the proxy " + proxy
	}
	began := r.Now()
	resp, err := r.transport().RoundTrip(req)
	if err != nil {
		return r.lost(err, stage, via)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // any answer will do
	return r.clock(resp.Header.Get("Date"), began, via)
}

func (r Reach) transport() *http.Transport {
	return &http.Transport{
		Proxy: r.Proxy, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: r.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}
}

// lost says what an error means, by how far the attempt came.
func (r Reach) lost(err error, stage, via string) Finding {
	f := Finding{Mark: Fail}
	f.Text = fmt.Sprintf("%s does not answer (%s); it failed at %s: %v", r.URL.Host, via, stage, err)
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case r.Away != "":
		f.Remedy = r.Away
	case errors.As(err, &dns):
		f.Remedy = "make sure that this host can look up names (resolvectl query " + r.URL.Hostname() +
			"), or set proxy (or HTTPS_PROXY) where a proxy has to do it"
	case errors.As(err, &unknown):
		f.Remedy = "something on the way opens TLS: exempt this host from it, or trust its root with ca_file"
	case errors.As(err, &invalid):
		f.Remedy = "check this host's clock, and what opens TLS on the way"
	default:
		f.Remedy = "allow this host to connect to " + r.Host() + ", or set proxy (or HTTPS_PROXY); " +
			"where one is set, check that it allows CONNECT"
	}
	return f
}

// clock compares this host's clock with the server's, whose Date has seconds.
func (r Reach) clock(date string, now time.Time, via string) Finding {
	f := Finding{Mark: OK, Text: fmt.Sprintf("%s answers (%s)", r.URL.Host, via)}
	server, err := http.ParseTime(date)
	if err != nil {
		return f
	}
	off := now.Sub(server).Round(time.Second)
	switch {
	case off.Abs() >= clockFails:
		f.Mark, f.Remedy = Fail, ": logins with a certificate fail from 5 minutes on"
	case off.Abs() >= clockWarns:
		f.Mark, f.Remedy = Warn, ", before logins fail"
	default:
		f.Text += fmt.Sprintf(", and the clock of this host differs by %s", off)
		return f
	}
	f.Text += fmt.Sprintf(", and the clock of this host is off by %s", off)
	f.Remedy = "set this host's clock right (timedatectl set-ntp true)" + f.Remedy
	return f
}
