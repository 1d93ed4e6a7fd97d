package relay

import (
	"testing"
	"time"

	"graphrelay/relay/operator"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/spool"
)

// A retry by the operator is made at once, long before the message is due by
// itself, and leaves who asked in the history.
func TestOperatorRetryWakesDelivery(t *testing.T) {
	b := newBench(t, "")
	busy := sandbox.Fault{Endpoint: "sendMail", Status: 503, Code: "ErrorServerBusy", Count: 1}
	if err := b.double.Inject(busy); err != nil {
		t.Fatal(err)
	}
	r := b.start(t)
	dial(t, r.Listeners()[0], "relay.contoso.com").send(sender, "retried")
	var deferred spool.Record
	for end := time.Now().Add(patience); deferred.Attempts == 0 || deferred.State != spool.Deferred; {
		list, err := r.store.List(t.Context(), spool.Filter{Limit: 1})
		if err != nil || time.Now().After(end) {
			t.Fatalf("not deferred: %+v, %v; log:\n%s", list, err, b.log.String())
		}
		if len(list) > 0 {
			deferred = list[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := r.operator().Do(t.Context(), operator.Retry, deferred.ID, "anna"); err != nil {
		t.Fatal(err)
	}
	b.awaits(t, "retried")
	if left := time.Until(deferred.NextAttempt); left < time.Second {
		t.Errorf("sent no sooner than it was due by itself, in %s", left)
	}
	events, err := r.store.History(t.Context(), deferred.ID)
	for _, e := range events {
		if e.Text == "made due by the operator (anna)" {
			return
		}
	}
	t.Errorf("the history does not say who asked: %+v, %v", events, err)
}

// A test mail of the console is sent under the rules for programs of this host.
func TestTestMail(t *testing.T) {
	b := newBench(t, "")
	r := b.start(t)
	from := r.consoleServer().Setup().Senders[0]
	if _, err := r.operator().TestMail(t.Context(), from, from); err != nil {
		t.Fatal(err)
	}
	if m := b.awaits(t, "Test mail from graphrelay"); m.Mailbox != sender {
		t.Errorf("sent through %s", m.Mailbox)
	}
}
