package pgtest

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between a node and its server, and loses what a test says.
type Proxy struct {
	address string // of the server
	listen  net.Listener
	loses   atomic.Int32
	silent  atomic.Bool
	refuses atomic.Bool
	mu      sync.Mutex
	conns   []net.Conn
}

// What a proxy loses of the next commit, together with the connection.
const (
	nothing = int32(iota)
	answer
	question
)

// NewProxy starts one in front of the server that a URL names, and returns it with the URL of
// the database behind it.
func NewProxy(t testing.TB, of string) (*Proxy, string) {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{address: u.Host, listen: listen}
	go p.accept()
	t.Cleanup(func() { _ = listen.Close(); p.Cut() })
	u.Host = listen.Addr().String()
	return p, u.String()
}

// LoseAnswer lets the next commit arrive, and loses the answer.
func (p *Proxy) LoseAnswer() { p.loses.Store(answer) }

// LoseQuestion loses the next commit before it arrives.
func (p *Proxy) LoseQuestion() { p.loses.Store(question) }

// Waits returns whether the commit that is to be lost has not come yet.
func (p *Proxy) Waits() bool { return p.loses.Load() != nothing }

// Silence keeps back whatever either side says, or ends that: connections stay open.
func (p *Proxy) Silence(on bool) { p.silent.Store(on) }

// Refuse closes new connections at once, or ends that.
func (p *Proxy) Refuse(on bool) { p.refuses.Store(on) }

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.address)
		if err != nil || p.refuses.Load() {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		mute := &atomic.Bool{}
		go p.pass(client, server, mute, true)
		go p.pass(server, client, mute, false)
	}
}

// pass hands on what one side says. mute is set where the answer is to be lost.
func (p *Proxy) pass(from, to net.Conn, mute *atomic.Bool, asks bool) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if p.silent.Load() {
			continue
		}
		if asks && bytes.Contains(b[:n], []byte("COMMIT\x00")) {
			switch p.loses.Swap(nothing) {
			case question:
				return
			case answer:
				mute.Store(true)
			}
		}
		if !asks && mute.Load() {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
