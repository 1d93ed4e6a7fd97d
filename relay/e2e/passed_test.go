package e2e_test

import (
	"bufio"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// passed opens a socket as systemd does: it stays open whatever the service does.
func passed(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// waits connects, and returns what reads the greeting.
func waits(t *testing.T, l *net.TCPListener) (greeting func() string) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", l.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return func() string {
		line, err := bufio.NewReader(nc).ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(line)
	}
}

// unnamed connects to a socket that no listener names.
func unnamed(t *testing.T, _ *front) string {
	r := harness.NewRelay(t, harness.NewDouble(t))
	l := passed(t)
	r.LaunchWith("other", l)
	r.WaitReady()
	return waits(t, l)()
}

const unavailable = "421 4.3.2 Service is not available, try again later"

// systemd keeps the socket of a service that cannot start open: whoever waits
// there is answered, with a mistake in the configuration and with any other fault.
func TestAServiceThatCannotStartAnswersWhoeverWaits(t *testing.T) {
	d := harness.NewDouble(t)
	running := harness.StartRelay(t, d)
	for code, r := range map[int]*harness.Relay{
		1: harness.NewRelay(t, d, harness.StoreAt(running.Store)),
		2: harness.NewRelay(t, d, harness.With("smtp", "max_recipient: 3")),
	} {
		l := passed(t)
		first, second := waits(t, l), waits(t, l)
		r.LaunchWith("smtp", l)
		if a, b := first(), second(); a != unavailable || b != unavailable {
			t.Errorf("exit code %d: %q and %q, want %q\n%s", code, a, b, unavailable, r.Tail())
		}
		endsWith(t, r, code)
	}
}

// A socket that no listener names is served once a reload names it, and turned
// away from when another reload does not.
func TestAReloadNamesASocketOfSystemd(t *testing.T) {
	r := harness.NewRelay(t, harness.NewDouble(t))
	l := passed(t)
	r.LaunchWith("other", l)
	r.WaitReady()
	const without, with = "listeners:\n", "listeners:\n    - {address: systemd:other}\n"
	for _, c := range []struct{ old, text, want string }{
		{without, with, "220 "}, {with, without, unavailable}, {without, with, "220 "},
	} {
		rewrite(t, r, c.old, c.text)
		if out, err := r.Run("reload"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := waits(t, l)(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// A listener takes the socket of systemd that has its address, also by a reload,
// and with it the others of the same unit.
func TestAListenerFindsTheSocketOfItsAddress(t *testing.T) {
	r := harness.NewRelay(t, harness.NewDouble(t))
	first, second := passed(t), passed(t)
	const head = "listeners:\n"
	named := func(address string) string { return head + "    - {address: " + address + "}\n" }
	rewrite(t, r, head, named(first.Addr().String()))
	r.LaunchWith("smtp", first, second)
	r.WaitReady()
	for _, address := range []string{first.Addr().String(), "systemd:smtp", second.Addr().String()} {
		rewrite(t, r, named(first.Addr().String()), named(address))
		if out, err := r.Run("reload"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, l := range []*net.TCPListener{first, second} {
			if got := waits(t, l)(); !strings.HasPrefix(got, "220 ") {
				t.Errorf("with %s, %s answers %q", address, l.Addr(), got)
			}
		}
		rewrite(t, r, named(address), named(first.Addr().String()))
	}
}

// rewrite replaces a text in the configuration.
func rewrite(t *testing.T, r *harness.Relay, old, text string) {
	t.Helper()
	b, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("no %q in %s", old, b)
	}
	harness.WriteFile(t, r.Config, strings.Replace(string(b), old, text, 1))
}
