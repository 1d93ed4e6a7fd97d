package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxTunnelSeen bounds what is kept of one tunnel.
const maxTunnelSeen = 1 << 20

// ProxyRequest is what a Proxy saw of one request.
type ProxyRequest struct {
	Method string
	Target string      // host:port of CONNECT, or the whole URL that was asked for
	Header http.Header // as it came, Proxy-Authorization included
	Status int         // what it was answered
	Up     []byte      // the beginning of what the client sent through the tunnel
}

// Proxy is a double of the HTTP proxy of a company: CONNECT to port numbers on
// loopback, with a password if it has one, and a memory of everything it saw.
// A request for a URL, which a client would send in the clear, is refused.
type Proxy struct {
	user, password string
	server         server

	mu   sync.Mutex
	seen []*ProxyRequest
}

// NewProxy makes a proxy that asks for user and password; with an empty user
// it asks for none. It does not listen yet.
func NewProxy(user, password string) *Proxy {
	p := &Proxy{user: user, password: password}
	p.server.handler = http.HandlerFunc(p.serve)
	return p
}

// Start listens at addr, with the rules of Double.Start.
func (p *Proxy) Start(addr string) error { return p.server.start(addr) }

// URL is where the proxy listens, without user and password; empty before Start.
func (p *Proxy) URL() string { return p.server.url("http://") }

// Close stops listening. Tunnels end with their connections.
func (p *Proxy) Close() error { return p.server.close() }

// Seen lists the requests so far, in order of arrival.
func (p *Proxy) Seen() []ProxyRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]ProxyRequest, 0, len(p.seen))
	for _, r := range p.seen {
		c := *r
		c.Up = slices.Clone(r.Up)
		all = append(all, c)
	}
	return all
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	seen := &ProxyRequest{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone()}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen = append(p.seen, seen)
	}()
	switch {
	case !p.admits(r.Header.Get("Proxy-Authorization")):
		seen.Status = http.StatusProxyAuthRequired
		w.Header().Set("Proxy-Authenticate", `Basic realm="sandbox"`)
	case r.Method != http.MethodConnect:
		seen.Status = http.StatusMethodNotAllowed
	case !isLoopback(r.Host):
		seen.Status = http.StatusForbidden
	default:
		seen.Status = p.tunnel(w, r.Host, seen)
		if seen.Status == http.StatusOK {
			return
		}
	}
	w.WriteHeader(seen.Status)
}

func (p *Proxy) admits(authorization string) bool {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.user+":"+p.password))
	return p.user == "" || subtle.ConstantTimeCompare([]byte(want), []byte(authorization)) == 1
}

// isLoopback keeps the double from being a way out of the machine.
func isLoopback(target string) bool {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// tunnel connects both ends. What the client sends is recorded.
func (p *Proxy) tunnel(w http.ResponseWriter, target string, seen *ProxyRequest) int {
	out, err := net.DialTimeout("tcp", target, 10*time.Second)
	if err != nil {
		return http.StatusBadGateway
	}
	in, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = out.Close()
		return http.StatusInternalServerError
	}
	_, _ = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(out, io.TeeReader(buffered, &recorder{p: p, seen: seen}))
		_ = out.Close()
	}()
	go func() {
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	return http.StatusOK
}

// recorder keeps the beginning of what goes through a tunnel.
type recorder struct {
	p    *Proxy
	seen *ProxyRequest
}

func (r *recorder) Write(b []byte) (int, error) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.seen.Up = append(r.seen.Up, b[:min(len(b), maxTunnelSeen-len(r.seen.Up))]...)
	return len(b), nil
}

// Saw tells whether the text went by in any request or tunnel.
func (p *Proxy) Saw(text string) bool {
	for _, r := range p.Seen() {
		var head bytes.Buffer
		_ = r.Header.Write(&head)
		if strings.Contains(r.Method+" "+r.Target+"\n"+head.String(), text) || bytes.Contains(r.Up, []byte(text)) {
			return true
		}
	}
	return false
}
