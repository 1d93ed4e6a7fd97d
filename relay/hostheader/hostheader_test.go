package hostheader_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"graphrelay/relay/hostheader"
)

func TestWhichNamesAreOurs(t *testing.T) {
	for host, want := range map[string]struct{ own, local bool }{
		"127.0.0.1:8025": {true, true}, "127.0.0.9": {true, true}, "[::1]:8025": {true, true}, "[::1]": {true, true},
		"localhost:8025": {true, true}, "LOCALHOST": {true, true}, "Relay.example.org:1": {true, true},
		"192.0.2.1:8025":       {true, true}, // connected to
		"[::ffff:127.0.0.1]:1": {true, true},
		"192.0.2.2":            {false, true}, "graphrelay:1": {false, true}, "": {false, true},
		"relay.example.org.": {false, true},
		"evil.example":       {}, "evil.example:8025": {}, "127.0.0.1.evil.example": {}, "localhost.evil.example": {},
		"relay.example.org.evil.example": {}, "evil.example@127.0.0.1": {}, "127.0.0.1@evil.example": {},
		"evil.example:1:2": {},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		at := net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8025}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &at))
		r.Host = host
		own, local := hostheader.Own(r, "relay.example.org"), hostheader.Local(r, "relay.example.org")
		if own != want.own || local != want.local {
			t.Errorf("%q: own %v, local %v, want %+v", host, own, local, want)
		}
	}
}

// A relay without a name is not asked by the empty one.
func TestARelayWithoutAName(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if r.Host = ""; hostheader.Own(r, "") {
		t.Error("no name is its own")
	}
}
