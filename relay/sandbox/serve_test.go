package sandbox_test

import (
	"net"
	"strings"
	"testing"

	"graphrelay/relay/sandbox"
)

// A listener of the caller's serves like one of Start, as long as it is one of
// loopback.
func TestServe(t *testing.T) {
	d, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Serve(elsewhere{l}); err == nil || !strings.Contains(err.Error(), "loopback only") {
		t.Errorf("serving on 192.0.2.1: %v", err)
	}
	if err := d.Serve(l); err != nil || d.URL() != "https://"+l.Addr().String() {
		t.Errorf("%v, URL %s", err, d.URL())
	}
	if token := tokenFor(t, d); token == "" {
		t.Error("no token")
	}
	if err := d.Start(""); err == nil || !strings.Contains(err.Error(), "already listening") {
		t.Errorf("a second start: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is open after Close")
	}
}

type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }
