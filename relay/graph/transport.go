package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

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
