package e2e_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// crowd is a relay whose mail does not leave, with room for 20 messages and two clients.
func crowd(t *testing.T) (r *harness.Relay, tries func(from string) string) {
	r = harness.StartRelay(t, harness.NewDouble(t), harness.With("queue", "max_messages: 20"),
		harness.With("identity", "proxy: http://127.0.0.1:9"),
		harness.With("top", "clients:", "  - {name: erp, networks: [127.0.0.2/32]}",
			"  - {name: rest, networks: [127.0.0.0/8]}"))
	return r, func(from string) string {
		k := dialFrom(t, from, r.Addr)
		_ = k.reply()
		defer k.ask("QUIT")
		if got := k.ask(ehlo, mailFrom); !strings.HasPrefix(got, "250 ") {
			return got
		}
		return k.ask(rcptTo, "DATA", headFrom+"\r\ntext\r\n.")
	}
}

// accepts counts how many messages are accepted, up to one refused for want of room.
func accepts(t *testing.T, try func(from string) string, from string) (n int) {
	t.Helper()
	for n <= 20 {
		got := try(from)
		if strings.HasPrefix(got, "452 4.3.1") {
			return n
		}
		if !strings.HasPrefix(got, "250 ") {
			t.Fatalf("message %d from %s: %s", n, from, got)
		}
		n++
	}
	t.Fatalf("more than 20 messages from %s are accepted", from)
	return n
}

func TestOneClientCannotFillTheQueueForTheOthers(t *testing.T) {
	r, try := crowd(t)
	if got := try(fromEverybody); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	if got := accepts(t, try, fromSlow); got != 10 {
		t.Errorf("a client fills %d of 20 places while another has mail", got)
	}
	const cause = "Client has its share of the queue: 10 messages, and others have mail, too"
	if !harness.Holds(time.Minute, func() bool { return strings.Contains(r.Tail(), cause) }) {
		t.Errorf("the log does not say so\n%s", r.Tail())
	}
	if got := accepts(t, try, fromEverybody); got != 9 {
		t.Errorf("the other one fills %d more", got)
	}
}

func TestOneClientMayFillTheQueueAlone(t *testing.T) {
	r, try := crowd(t)
	if got := accepts(t, try, fromSlow); got != 20 {
		t.Errorf("a client alone fills %d of 20 places", got)
	}
	if got := try(fromEverybody); !strings.HasPrefix(got, "452 4.3.1") {
		t.Errorf("in a full queue: %s", got)
	}
	command(t, r, "queue", "delete", "--yes", everyMessage(t, r)[0].QueueID)
	if got := try(fromSlow); !strings.HasPrefix(got, "452 4.3.1") {
		t.Errorf("who filled the queue gets the free place: %s", got)
	}
	if got := try(fromEverybody); !strings.HasPrefix(got, "250 ") {
		t.Errorf("who was turned away does not get the free place: %s", got)
	}
}
