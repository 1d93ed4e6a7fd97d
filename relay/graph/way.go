package graph

import (
	"crypto/x509"
	"net/http"
	"net/url"
)

// Way is how an identity reaches its servers.
type Way struct {
	Login, Graph *url.URL
	Proxy        func(*http.Request) (*url.URL, error) // for http.Transport
	Roots        *x509.CertPool                        // nil for the system's
}

// WayOf tells how a client of cfg reaches its servers, for somebody who tries
// the way without logging in. It reads the files of roots and proxy, but no
// credential, and ends its errors with what to do.
func WayOf(cfg Config) (Way, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Way{}, err
	}
	pool, p, err := cfg.way()
	if err != nil {
		return Way{}, err
	}
	return Way{Login: cfg.Login, Graph: cfg.Graph, Proxy: p.choose, Roots: pool}, nil
}

// way reads what New and WayOf connect with.
func (cfg Config) way() (*x509.CertPool, *proxy, error) {
	pool, err := roots(cfg.CAFile)
	if err != nil {
		return nil, nil, err
	}
	p, err := newProxy(cfg)
	return pool, p, err
}
