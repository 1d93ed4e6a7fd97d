package main

import (
	"net/netip"
	"testing"

	"graphrelay/config"
)

func TestPlainListener(t *testing.T) {
	tcp := func(s string) config.ListenAddress {
		return config.ListenAddress{Network: "tcp", Address: s, Addr: netip.MustParseAddrPort(s)}
	}
	locked := []config.Listener{
		{Address: config.ListenAddress{Network: "systemd", Address: "smtp"}, TLS: "off"},
		{Address: tcp("127.0.0.1:465"), TLS: "implicit"},
		{Address: tcp("127.0.0.1:587"), TLS: "required"},
		{Address: tcp("127.0.0.1:26"), TLS: "starttls", Auth: "required"},
	}
	for _, c := range []struct {
		last config.Listener
		want string
	}{
		{config.Listener{Address: tcp("127.0.0.1:25"), TLS: "starttls", Auth: "optional"}, "127.0.0.1:25"},
		{config.Listener{Address: tcp("0.0.0.0:2525"), TLS: "off"}, "localhost:2525"},
		{config.Listener{Address: tcp("[::]:25"), TLS: "off"}, "localhost:25"},
		{config.Listener{Address: config.ListenAddress{Network: "unix", Address: "/run/s.sock"}, TLS: "off"},
			"unix:/run/s.sock"},
	} {
		if got, err := plainListener(append(locked[:4:4], c.last)); err != nil || got != c.want {
			t.Errorf("got %q, %v; want %q", got, err, c.want)
		}
	}
	// The packages' configuration has sockets of systemd only, whose ports nobody
	// knows; then there is the socket of sendmail.
	if got, err := plainListener(locked); err != nil || got != "unix:/run/graphrelay/submit.sock" {
		t.Errorf("got %q, %v; want the submit socket", got, err)
	}
	if got, err := plainListener(locked[1:]); err == nil {
		t.Errorf("got %q, want an error", got)
	}
}
