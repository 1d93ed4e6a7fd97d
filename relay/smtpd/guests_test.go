package smtpd_test

import (
	"bufio"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/smtpd"
)

// door is a server whose peers have a standing by their address: 127.0.1.x are clients,
// 127.0.2.x are known, all others are strangers.
func door(t *testing.T, cfg smtpd.Config) (addr string, h *recorder) {
	t.Helper()
	h = &recorder{}
	h.set(hooks{stands: func(p smtpd.Peer) smtpd.Standing {
		switch p.Addr.Addr().As4()[2] {
		case 1:
			return smtpd.Client
		case 2:
			return smtpd.Known
		}
		return smtpd.Stranger
	}})
	_, addr = startOn(t, cfg, smtpd.ListenerOptions{Auth: smtpd.AuthOptional,
		PlaintextAuth: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, h)
	return addr, h
}

// come connects from an address and is greeted.
func come(t *testing.T, from, addr string) *client {
	t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{t, nc, bufio.NewReader(nc)}
	c.expect("220")
	return c
}

// leaves wants the client to have been sent away, and to be the only one.
func leaves(t *testing.T, one *client, others ...*client) {
	t.Helper()
	one.expect("421 4.7.0 Too many connections without a login")
	one.expectEnd()
	for _, c := range others {
		c.say("NOOP", "250")
	}
}

// A hundred strangers from five addresses take no place of a client, nor of who has
// lately logged in, nor of another stranger.
func TestTheOldestStrangerMakesRoom(t *testing.T) {
	addr, h := door(t, smtpd.Config{})
	var strangers []*client
	for i := range 100 {
		strangers = append(strangers, come(t, []string{"127.0.3.1", "127.0.3.2", "127.0.3.3", "127.0.3.4",
			"127.0.3.5"}[i%5], addr))
	}
	known := come(t, "127.0.2.1", addr)
	var clients []*client
	for range 99 {
		clients = append(clients, come(t, "127.0.1.1", addr))
	}
	strangers[0].say("NOOP", "250")
	stranger := come(t, "127.0.3.6", addr) // half of the places are those of strangers
	leaves(t, strangers[0], strangers[1:]...)
	client := come(t, "127.0.1.2", addr) // all places are taken
	leaves(t, strangers[1], strangers[2:]...)
	for _, c := range append(clients, known, stranger, client) {
		c.say("NOOP", "250")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := strings.Join(h.refusals, "; "); got != "127.0.3.1 true 421 4.7.0 Too many connections without a login, "+
		"try again later; 127.0.3.2 true 421 4.7.0 Too many connections without a login, try again later" {
		t.Errorf("recorded: %s", got)
	}
}

// One address has 20 guests, known or not: the oldest makes room.
func TestGuestsOfOneAddress(t *testing.T) {
	addr, _ := door(t, smtpd.Config{})
	for _, from := range []string{"127.0.2.1", "127.0.3.1"} {
		var guests []*client
		for range 20 {
			guests = append(guests, come(t, from, addr))
		}
		other := come(t, "127.0.3.9", addr)
		leaves(t, guests[0], append(guests[1:], come(t, from, addr), other)...)
	}
}

// Where all places are taken by clients, a guest is refused, and a client too; where a
// known guest has one, it makes room for a client only.
func TestClientsComeFirst(t *testing.T) {
	addr, _ := door(t, smtpd.Config{MaxConnections: 3})
	come(t, "127.0.1.1", addr)
	come(t, "127.0.1.1", addr)
	known := come(t, "127.0.2.1", addr)
	refused := func(from string) {
		t.Helper()
		nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		(&client{t, nc, bufio.NewReader(nc)}).expect("421 4.7.0 Too many connections, try again later")
	}
	refused("127.0.3.1")
	known.say("NOOP", "250")
	come(t, "127.0.1.1", addr)
	leaves(t, known)
	refused("127.0.3.1")
	refused("127.0.1.1")
}

// A guest must log in within some time, however politely it speaks; then it is one no
// more, and no stranger makes it leave.
func TestGuestsHaveATotalLife(t *testing.T) {
	addr, _ := door(t, smtpd.Config{GuestTimeout: 3 * time.Second, MaxConnections: 4})
	device, client := come(t, "127.0.3.1", addr), come(t, "127.0.1.1", addr)
	device.dialog("EHLO x -> 250-", "AUTH PLAIN AHNjYW5uZXIAc2VjcmV0 -> 235")
	polite := come(t, "127.0.3.2", addr)
	for answer := "250"; strings.HasPrefix(answer, "250"); time.Sleep(100 * time.Millisecond) {
		polite.send("NOOP\r\n")
		if answer = polite.reply(); !strings.HasPrefix(answer, "250") && !strings.HasPrefix(answer, "421 4.4.2") {
			t.Errorf("the polite guest is answered %q", answer)
		}
	}
	for range 5 {
		come(t, "127.0.3.3", addr)
	}
	device.say("NOOP", "250")
	client.say("NOOP", "250")
}
