package relay

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
	"graphrelay/relay/spool"
)

// heldByLogin is a relay with a message that waits because Entra refuses the
// login, in the moment in which that refusal still answers for others.
func heldByLogin(t *testing.T) (*bench, *running, spool.Hold) {
	t.Helper()
	b := newBench(t, "")
	refused := sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: 7000215}
	if err := b.double.Inject(refused); err != nil {
		t.Fatal(err)
	}
	r := b.start(t)
	dial(t, r.Listeners()[0], "relay.contoso.com").send(sender, "held")
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if holds := r.delivery.Status().Holds; len(holds) == 1 {
			return b, r, holds[0]
		}
		if time.Now().After(end) {
			t.Fatalf("no hold; log:\n%s", b.log.String())
		}
	}
}

// A login that works again probes the hold, though nobody asks for a probe.
func TestALoginThatWorksAgainEndsItsHold(t *testing.T) {
	b, r, _ := heldByLogin(t)
	b.double.ClearFaults()
	r.now.Load().identities["default"].Login().Force()
	b.awaits(t, "held")
}

// Whoever mends a login and releases the hold gets a new login at once, not the
// failure of the last one; a reload does the same.
func TestReleaseAndReloadLogInAgain(t *testing.T) {
	for name, ask := range map[string]func(*testing.T, *running, spool.Hold){
		"release": func(_ *testing.T, r *running, h spool.Hold) { r.operator().Probe(h.Key, h.Mailbox) },
		"reload": func(t *testing.T, r *running, _ spool.Hold) {
			if err := r.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, r, h := heldByLogin(t)
			b.double.ClearFaults()
			ask(t, r, h)
			b.awaits(t, "held")
		})
	}
}

// A reload where the last login worked makes none.
func TestReloadKeepsTheToken(t *testing.T) {
	b := newBench(t, "")
	r := b.start(t)
	d := dial(t, r.Listeners()[0], "relay.contoso.com")
	d.send(sender, "before")
	b.awaits(t, "before")
	refused := sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: 7000215}
	if err := b.double.Inject(refused); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.send(sender, "after")
	b.awaits(t, "after")
	if strings.Contains(b.log.String(), "login failed") {
		t.Errorf("the reload logged in:\n%s", b.log.String())
	}
}
