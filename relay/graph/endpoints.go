package graph

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"graphrelay/relay/outcome"
)

// Way is how an identity reaches its servers.
type Way struct {
	Login, Graph *url.URL
	Proxy        func(*http.Request) (*url.URL, error) // for http.Transport
	Roots        *x509.CertPool                        // nil for the system's
}

// WayOf returns how a client of cfg reaches its servers, for somebody who tries
// that without logging in. It reads the files of roots and proxy, but no
// credential, and ends its errors with what to do.
func WayOf(cfg Config) (Way, error) {
	n, err := newNetwork(cfg)
	if err != nil {
		return Way{}, err
	}
	return Way{Login: n.cfg.Login, Graph: n.cfg.Graph, Proxy: n.proxy.choose, Roots: n.TLSClientConfig.RootCAs}, nil
}

// network makes the connections of an identity, to Graph and to Entra. It is the
// entra.Route of its login.
type network struct {
	*http.Transport
	proxy *proxy
	cfg   Config
}

func newNetwork(cfg Config) (*network, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	pool, err := roots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	p, err := newProxy(cfg)
	if err != nil {
		return nil, err
	}
	return &network{newTransport(pool, cfg.MaxConcurrent, p, cfg.Dial), p, cfg}, nil
}

// Files implements entra.Route.
func (n *network) Files() []string {
	if n.cfg.ProxyFile == "" {
		return nil
	}
	return []string{n.cfg.ProxyFile}
}

// Load implements entra.Route.
func (n *network) Load() (changed bool, err error) {
	if n.cfg.ProxyFile == "" {
		return false, nil
	}
	before := n.proxy.fixed.Load().String()
	if err := n.proxy.load(n.cfg); err != nil || n.proxy.fixed.Load().String() == before {
		return false, err
	}
	n.CloseIdleConnections()
	return true, nil
}

// Secrets implements entra.Route.
func (n *network) Secrets() []string { return n.proxy.secrets(n.cfg.Graph) }

// NoAnswer implements entra.Route.
func (n *network) NoAnswer(err error) outcome.Answer { return withoutLogin(err) }

// roots returns the system's roots with those of file added; nil for no file
// leaves the choice to crypto/tls.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the CA file: %w; correct the path or its permissions", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate that can be read: it must be PEM "+
			"(-----BEGIN CERTIFICATE-----)", file)
	}
	return pool, nil
}
