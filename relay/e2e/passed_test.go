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
	b, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	without := string(b)
	with := strings.Replace(without, "listeners:\n", "listeners:\n    - {address: systemd:other}\n", 1)
	for _, c := range []struct{ text, want string }{{with, "220 "}, {without, unavailable}, {with, "220 "}} {
		harness.WriteFile(t, r.Config, c.text)
		if out, err := r.Run("reload"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := waits(t, l)(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
