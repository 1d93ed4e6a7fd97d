package e2e_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// loginDoor is a listener behind a load balancer, whose clients log in.
type loginDoor struct {
	t    *testing.T
	addr string
}

func newLoginDoor(t *testing.T) loginDoor {
	t.Helper()
	d := loginDoor{t, harness.FreeAddr(t)}
	start(t, harness.With("smtp", "  - {address: "+d.addr+", auth: optional, "+
		`plaintext_auth: ["2001:db8::/32"], proxy_protocol: [127.0.0.0/8]}`),
		harness.With("top", "clients:",
			"  - {name: printer, username: printer, password_hash: \""+hashOf(t, goodPassword)+"\"}"))
	return d
}

// login is the answer to a login from an address.
func (d loginDoor) login(from, password string) string {
	k := dialFrom(d.t, "127.0.0.1", d.addr)
	defer k.c.Close()
	k.say("PROXY TCP6 " + from + " 2001:db8::25 40000 25")
	k.reply()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00printer\x00" + password))
	answer := k.ask("EHLO printer.example.org", "AUTH PLAIN "+plain)
	return answer[:min(len(answer), 3)]
}

// guess makes wrong logins at the same time, since each is answered late, and returns
// how often each answer came.
func (d loginDoor) guess(n int, from func(i int) string) map[string]int {
	var all sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for i := range n {
		all.Go(func() {
			answer := d.login(from(i), "guess "+from(i)+fmt.Sprint(n, i))
			mu.Lock()
			defer mu.Unlock()
			got[answer]++
		})
	}
	all.Wait()
	return got
}

// Wrong guesses lock the address that makes them. Its neighbours in the same network
// log in, also for the first time; when the guesser changes its address, those still do
// whose right password is remembered.
func TestGuessesLockTheirOwnAddress(t *testing.T) {
	t.Parallel()
	d := newLoginDoor(t)
	bad := func(int) string { return "2001:db8::bad" }
	for range 2 {
		if got := d.guess(5, bad); got["535"] != 5 {
			t.Fatalf("five guesses are answered %v", got)
		}
	}
	if got := d.login(bad(0), goodPassword); got != "454" {
		t.Errorf("the guesser is answered %s, want 454", got)
	}
	for _, from := range []string{"2001:db8::1", "2001:db8::2", "2001:db8:1::1"} {
		if got := d.login(from, goodPassword); got != "235" {
			t.Errorf("%s is answered %s after its neighbour's guesses", from, got)
		}
	}
	for batch := range 6 {
		d.guess(5, func(i int) string { return fmt.Sprintf("2001:db8::%d:%d", batch+1, i+1) })
	}
	if got := d.login("2001:db8::bad:1", "another guess"); got != "454" {
		t.Errorf("a guesser with yet another address is answered %s, want 454", got)
	}
	for _, from := range []string{"2001:db8::1", "2001:db8::3"} {
		if got := d.login(from, goodPassword); got != "235" {
			t.Errorf("%s is answered %s although its password is right and remembered", from, got)
		}
	}
}

// Printers that still have the old password lock themselves, and not the first that has
// the new one.
func TestOldPasswordsLockNobodyElse(t *testing.T) {
	t.Parallel()
	d := newLoginDoor(t)
	var all sync.WaitGroup
	for batch := range 7 {
		for i := range 5 {
			all.Go(func() {
				if got := d.login(fmt.Sprintf("2001:db8::%d:%d", batch+1, i+1), "old"); got != "535" {
					t.Errorf("the old password is answered %s", got)
				}
			})
		}
		all.Wait()
	}
	if got := d.login("2001:db8::1", goodPassword); !strings.HasPrefix(got, "235") {
		t.Errorf("the new password is answered %s", got)
	}
}

// Two hundred connections of one user to the submit socket, and a hundred idle ones from
// five addresses that match no client, silence neither clients nor who logs in.
func TestIdleConnectionsSilenceNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "gr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, logins := filepath.Join(dir, "submit.sock"), harness.FreeAddr(t)
	_, d := start(t, harness.With("smtp", "  - address: unix:"+socket,
		"  - {address: "+logins+", auth: optional, plaintext_auth: [127.0.0.0/8]}"),
		harness.With("top", "clients:", "  - {name: device, networks: [127.0.0.2]}",
			"  - {name: printer, username: printer, password_hash: \""+hashOf(t, goodPassword)+"\"}"))
	greeted := 0
	for range 200 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if got := (&talk{t, c, bufio.NewReader(c)}).reply(); strings.HasPrefix(got, "220") {
			greeted++
		} else if !strings.HasPrefix(got, "421 4.7.0 Too many connections of this user") {
			t.Fatalf("answered %q", got)
		}
	}
	if greeted != 50 {
		t.Errorf("%d connections of one user were greeted, want a quarter of 200", greeted)
	}
	for i := range 100 {
		dialFrom(t, fmt.Sprintf("127.0.0.%d", 10+i%5), logins)
	}
	for i := range 20 {
		k := dialFrom(t, "127.0.0.2", logins)
		if got := k.ask("EHLO device.example.org", "NOOP"); !strings.HasPrefix(got, "2") {
			t.Fatalf("connection %d of the device is answered %q", i, got)
		}
	}
	k := dialFrom(t, "127.0.0.30", logins)
	_ = k.reply()
	if got := k.ask("EHLO x", "AUTH PLAIN "+secret("", "printer", goodPassword), mailFrom, rcptTo, "DATA",
		headFrom+"To: "+anyone+"\r\n\r\nbody\r\n."); !strings.HasPrefix(got, "250") {
		t.Errorf("a client that logs in is answered %q", got)
	}
	d.WaitFor(t, 1, patience)
}
