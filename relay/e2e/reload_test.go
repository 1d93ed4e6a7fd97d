package e2e_test

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// edit replaces text in the configuration of r.
func edit(t *testing.T, r *harness.Relay, old, with string) {
	t.Helper()
	b, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("the configuration holds no %q", old)
	}
	harness.WriteFile(t, r.Config, strings.Replace(string(b), old, with, 1))
}

func reload(t *testing.T, r *harness.Relay) {
	t.Helper()
	if out, err := r.Run("reload"); err != nil || out != "" {
		t.Fatalf("reload: %v: %s", err, out)
	}
}

func TestReloadTakesOverEverythingAndDisturbsNobody(t *testing.T) {
	r, d := start(t)
	open := harness.Hello(t, r.Addr)
	other := harness.FreeAddr(t)
	edit(t, r, "hostname: relay.contoso.local", "hostname: renamed.contoso.local")
	edit(t, r, "    - address: "+r.Addr, "    - address: "+r.Addr+"\n    - address: "+other)
	edit(t, r, "  - address: "+harness.Sender, "  - address: "+harness.Sender+"\n  - address: second@contoso.com")
	reload(t, r)
	open.Send(harness.Sender, []string{anyone}, plain("on the connection from before"))
	harness.Hello(t, other).Send("second@contoso.com", []string{anyone}, "From: second@contoso.com\r\nTo: "+anyone+
		"\r\n\r\nnew sender, new listener\r\n")
	d.WaitFor(t, 2, patience)
	if got := greeting(t, r.Addr); !strings.Contains(got, "renamed.contoso.local") {
		t.Errorf("greeting %q", got)
	}

	edit(t, r, "\n    - address: "+other, "")
	reload(t, r)
	if c, err := net.Dial("tcp", other); err == nil {
		c.Close()
		t.Error("a listener that is gone accepts")
	}
	if got := greeting(t, r.Addr); !strings.HasPrefix(got, "220 ") {
		t.Errorf("the listener that stays says %q", got)
	}
}

func greeting(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestAReloadThatFailsChangesNothing(t *testing.T) {
	r, d := start(t)
	good, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	fresh := harness.FreeAddr(t)
	for _, c := range []struct{ name, old, with, want string }{
		{"a mistake", "hostname: relay", "hostnam: relay", "unknown key"},
		{"a missing secret", "secret.txt", "gone.txt", "gone.txt"},
		{"another store", "store: sqlite:", "store: sqlite:/elsewhere", "queue.store cannot change"},
		{"a port in use", "    - address: " + r.Addr, "    - address: " + fresh + "\n    - address: " +
			busy.Addr().String(), "another program listens"},
	} {
		harness.WriteFile(t, r.Config, strings.Replace(string(good), "hostname: relay", "hostname: other", 1))
		if c.name == "a mistake" {
			harness.WriteFile(t, r.Config, string(good))
		}
		edit(t, r, c.old, c.with)
		out, err := r.Run("reload")
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v: %q does not say %q", c.name, err, out, c.want)
		}
		if got := greeting(t, r.Addr); !strings.Contains(got, "relay.contoso.local") {
			t.Errorf("%s: greeting %q", c.name, got)
		}
		if l, err := net.Dial("tcp", fresh); err == nil {
			l.Close()
			t.Errorf("%s: a listener of the refused configuration is open", c.name)
		}
	}
	harness.WriteFile(t, r.Config, string(good))
	if out, err := r.Run("status", "--json"); err != nil || !strings.Contains(out, `"failed": true`) {
		t.Errorf("status does not tell of the failed reload: %v: %s", err, out)
	}
	const said = "what to do: correct it (graphrelay check lists its mistakes), then run: graphrelay reload\n"
	if out, err := r.Run("status"); err != nil || !strings.Contains(out, said) {
		t.Errorf("status: %v: %s", err, out)
	}
	reload(t, r)
	if out, err := r.Run("status"); err != nil || strings.Contains(out, said) {
		t.Errorf("status after a good reload: %v: %s", err, out)
	}
	harness.Hello(t, r.Addr).Send(harness.Sender, []string{anyone}, plain("still"))
	d.WaitFor(t, 1, patience)
}

// SIGHUP reloads too; mail of a sender that is gone waits, and goes when it is back.
func TestSIGHUPHoldsTheMailOfASenderThatIsGone(t *testing.T) {
	r, d := start(t, harness.Senders(harness.Sender, "second@contoso.com"))
	const second = "  - address: second@contoso.com\n"
	if err := d.Inject(sandbox.Fault{Mailbox: "second@contoso.com", Status: 403,
		Code: "ErrorAccessDenied"}); err != nil {
		t.Fatal(err)
	}
	harness.Hello(t, r.Addr).Send("second@contoso.com", []string{anyone}, "From: second@contoso.com\r\nTo: "+anyone+
		"\r\n\r\nx\r\n")
	harness.Until(t, patience,
		"the refusal", func() bool { return strings.Contains(r.Output(), "mailbox:second@contoso.com") })
	d.ClearFaults()
	edit(t, r, second, "")
	if err := syscall.Kill(r.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, patience, "the mail to be held", func() bool {
		out, _ := r.Run("status")
		return strings.Contains(out, "route:second@contoso.com")
	})
	edit(t, r, "  - address: "+harness.Sender+"\n", "  - address: "+harness.Sender+"\n"+second)
	reload(t, r)
	d.WaitFor(t, 1, patience)
}
