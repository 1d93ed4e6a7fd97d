package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// What an audit has stopped stays stopped when the identity gets another name, by
// a reload or a restart, though the audit under that name finds nothing out: only
// an audit that passes lets mail go.
func TestAnAuditsStopOutlivesTheName(t *testing.T) {
	for _, restart := range []bool{false, true} {
		const denied = "denied@contoso.com"
		d := harness.StartDouble(t)
		r := harness.StartRelay(t, d, harness.With("identity", "name: first", "denied_mailbox: "+denied),
			harness.With("top", "audit: {every: 24h, on_failure: stop}"))
		holds := func(key string) bool {
			out, err := r.Run("status")
			return err == nil && strings.HasPrefix(out, "PROBLEM: ") &&
				strings.Contains(out, "queue release --hold '"+key+"'")
		}
		harness.Until(t, patience, "the audit to stop the identity", func() bool { return holds("audit:first") })
		harness.Hello(t, r.Addr).Send(harness.Sender, []string{anyone}, plain("stopped"))

		if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Mailbox: denied, Status: 503}); err != nil {
			t.Fatal(err)
		}
		edit(t, r, "name: first", "name: second")
		if restart {
			if err := r.Stop(patience); err != nil {
				t.Error(err)
			}
			r.Start()
		} else {
			reload(t, r)
		}
		harness.Until(t, 2*time.Minute,
			"the hold of the old name to end", func() bool {
				return strings.Contains(r.Output(), "hold ends") &&
					!holds("audit:first")
			})
		if d.Count() != 0 || !holds("audit:second") {
			out, _ := r.Run("status")
			t.Fatalf("restart %v: %d sent, and the status is\n%s", restart, d.Count(), out)
		}
		d.ClearFaults()
		d.SetAllowed([]string{harness.Sender})
		if out, err := r.Run("queue", "release", "--hold", "audit:second"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		d.WaitFor(t, 1, patience)
		r.WaitEmpty(patience)
	}
}

// What an audit stopped pauses the mail of its own identity alone, from the first moment:
// nobody reads that the mail of another waits for it.
func TestAnAuditsStopPausesNobodyElse(t *testing.T) {
	const denied, other = "denied@contoso.com", "b@fabrikam.com"
	d := harness.StartDouble(t)
	r := harness.NewRelay(t, d, harness.Senders(harness.Sender, other),
		harness.With("identity", "name: first", "denied_mailbox: "+denied),
		harness.With("top", "audit: {every: 24h, on_failure: stop}", "mailboxes: [{address: "+harness.Sender+
			", identity: first}, {address: "+other+", identity: second}]"))
	edit(t, r, "senders:", "  - "+identityOf(t, d, "name: second, client_secret_file: "+
		filepath.Join(r.Dir, "secret.txt"))+"\nsenders:")
	if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Mailbox: other, Status: 503}); err != nil {
		t.Fatal(err)
	}
	r.Start()
	harness.Until(t, patience, "the audit to stop the identity", func() bool {
		return strings.Contains(command(t, r, "status"), "queue release --hold 'audit:first'")
	})
	mail := harness.Hello(t, r.Addr)
	mail.Send(other, []string{anyone}, strings.ReplaceAll(plain("of another"), harness.Sender, other))
	harness.Until(t, patience, "a failed attempt", func() bool { return r.Queue()[0].Attempts > 0 })
	want := func(states string) {
		t.Helper()
		harness.Until(t, patience, "states "+states, func() bool {
			var got []string
			for _, m := range r.Queue() {
				got = append(got, m.State)
			}
			return strings.ReplaceAll(strings.Join(got, " "), "sending", "deferred") == states
		})
	}
	want("deferred")
	mail.Send(harness.Sender, []string{anyone}, plain("stopped"))
	want("deferred paused")
}
