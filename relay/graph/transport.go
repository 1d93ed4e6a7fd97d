package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

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

// newTransport makes the connections of one identity, to Graph and to Entra.
// A proxy is used by CONNECT alone, because everything here is https.
//
// Idle connections are closed after a minute, before load balancers forget
// them, and HTTP/2 ones are pinged, so that a dead connection is noticed
// before a body is written into it.
func newTransport(pool *x509.CertPool, idle int, p *proxy, dial dialer) *http.Transport {
	return &http.Transport{
		Proxy: p.choose, OnProxyConnectResponse: proxyRefusal, DialContext: counted(dial),
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 15 * time.Second, ForceAttemptHTTP2: true,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second},
		DisableCompression: true, MaxIdleConns: 0, MaxIdleConnsPerHost: idle, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// countedConn counts the bytes that the kernel took.
type countedConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// dialer is Config.Dial.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

func counted(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn}, nil
	}
}

// wire watches the connection of a request, to prove that no byte of the body
// went out on one that had died. net/http notices that for HTTP/1 only.
type wire struct {
	bodiless bool // the header is all there is
	mu       sync.Mutex
	got      bool // a connection
	conn     *countedConn
	start    int64 // what conn had taken when the body's turn came, or without a body the header's
}

func (w *wire) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: w.gotConn, WroteHeaders: w.wroteHeaders})
}

func (w *wire) gotConn(info httptrace.GotConnInfo) {
	conn := info.Conn
	for t, ok := conn.(*tls.Conn); ok; t, ok = conn.(*tls.Conn) {
		conn = t.NetConn()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = true
	if w.conn, _ = conn.(*countedConn); w.conn != nil {
		w.start = w.conn.written.Load()
	}
}

// wroteHeaders is called when the header has been flushed (HTTP/2), or still
// waits in the buffer together with the body (HTTP/1).
func (w *wire) wroteHeaders() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil && !w.bodiless {
		w.start = w.conn.written.Load()
	}
}

// reached reports whether there was a connection, so that bytes may have left.
func (w *wire) reached() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got
}

// wasDead reports whether err is a failed write, and the connection has taken no
// byte since the body's turn came. A failed write is final: neither TLS nor
// HTTP/2 writes to such a connection again, so what is still in a buffer will
// not leave later. Other errors, a cancelled context above all, prove nothing,
// and neither does a connection on which other requests have written.
func (w *wire) wasDead(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var op *net.OpError
	return w.conn != nil && errors.As(err, &op) && op.Op == "write" && w.conn.written.Load() == w.start
}
