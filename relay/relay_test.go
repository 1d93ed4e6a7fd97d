package relay

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/wiring"
)

// free is an address of loopback that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// From start to stop: what is accepted is delivered, the service says that it is
// well, and at the end its sockets and its store are free.
func TestStartAcceptDeliverStop(t *testing.T) {
	b := newBench(t, "metrics: {address: '"+free(t)+"'}\n")
	o := b.options(t)
	o.SubmitSocket = filepath.Join(b.dir, "submit.sock")
	r := b.startWith(t, o)
	at := r.Listeners()
	if len(at) != 2 || at[1] != "unix:"+o.SubmitSocket {
		t.Fatalf("listens on %v", at)
	}
	dial(t, at[0], "relay.contoso.com").send(sender, "by TCP")
	if m := b.awaits(t, "by TCP"); m.Mailbox != sender || strings.Join(m.Recipients, " ") != "someone@example.org" {
		t.Errorf("delivered %+v", m)
	}
	dial(t, at[1], "relay.contoso.com").send(sender, "by the submit socket")
	b.awaits(t, "by the submit socket")
	if err := r.Alive(t.Context()); err != nil {
		t.Errorf("not alive: %v", err)
	}
	if s := r.Summary(t.Context()); !strings.HasPrefix(s, "0 queued, ") {
		t.Errorf("summary %q", s)
	}

	if err := r.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	for _, addr := range []string{at[0], o.Config.Metrics.Address.String()} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s still accepts", addr)
		}
	}
	s, err := sqlite.Open(t.Context(), wiring.Store(o.Config, false, o.Log))
	if err != nil {
		t.Fatalf("the store is not free: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Each warning of the start has its own line in the log, under a message that is
// true of all of them.
func TestStartLogsItsWarnings(t *testing.T) {
	b := newBench(t, "")
	r := b.start(t)
	dial(t, r.Listeners()[0], "relay.contoso.com")
	if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], "endpoints are not Microsoft's") {
		t.Errorf("warnings %q", w)
	}
	_ = r.stop()
	const want = `level=WARN msg="starting with a warning" warning="identity default: its endpoints`
	if log := b.log.String(); !strings.Contains(log, want) {
		t.Errorf("log:\n%s", log)
	}
}

// A stop finishes the message that is being received, and what was accepted but
// not sent is still there at the next start.
func TestStopFinishesTheMessageBeingReceived(t *testing.T) {
	b := newBench(t, "")
	r := b.start(t)
	addr := r.Listeners()[0]
	d := dial(t, addr, "relay.contoso.com")
	d.open(sender, "half received")
	b.double.SetLatency(time.Minute) // it is not sent before the stop
	r.cancel()
	for { // until the stop has begun
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		c.Close()
	}
	d.say(250, "the rest\r\n.")
	if err := r.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	b.double.SetLatency(0)
	b.start(t)
	b.awaits(t, "half received")
}

// The first part that fails ends the service, with its error.
func TestAFailedPartEndsTheService(t *testing.T) {
	b := newBench(t, "metrics: {address: '"+free(t)+"'}\n")
	r := b.start(t)
	dial(t, r.Listeners()[0], "relay.contoso.com") // so it has begun
	_ = r.metrics.Close()
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if r.err == nil || !strings.Contains(r.err.Error(), "use of closed") {
		t.Errorf("Run returned %v", r.err)
	}
}

// What cannot be opened is named with its key, and whatever was opened before it
// is closed again: another start finds the store and the ports free.
func TestStartThatFailsLeavesNothingOpen(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	at := "{address: '" + busy.Addr().String() + "'"
	for _, c := range []struct{ name, old, now, want string }{
		{"no folder for the store", "/queue.db", "/nowhere/queue.db", "nowhere"},
		{"no credential", "secret.txt", "gone.txt", "identity default: "},
		{"no certificate", "smtp:\n", "smtp:\n  tls: {certificate_file: gone.pem, key_file: gone.key}\n", "smtp.tls: "},
		{"no URL in the file", "{webhook_url_file: webhook}", "{webhook_url_file: empty}", "alerts.webhook_url_file: "},
		{"SMTP", "127.0.0.1:0", busy.Addr().String(), "choose another address in smtp.listeners"},
		{"metrics", "hostname:", "metrics: " + at + "}\nhostname:", "choose another address in metrics.address"},
		{"console", "hostname:", "console: " + at + ", password_hash: " + hash + "}\nhostname:", "in console.address"},
		{"admin", "/admin.sock", "/nowhere/admin.sock", "nowhere/admin.sock must exist"},
	} {
		b := newBench(t, "")
		b.write(t, "empty", "")
		good := b.text
		b.edit(t, c.old, c.now)
		r, err := New(t.Context(), b.options(t))
		if err == nil {
			r.close()
			t.Errorf("%s: it starts", c.name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not say %q", c.name, err, c.want)
		}
		b.text = good
		if err := b.start(t).stop(); err != nil {
			t.Errorf("%s: another start: %v", c.name, err)
		}
	}
}

// hash is of a password of the console.
const hash = "$2y$10$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0"

// A store belongs to one service, and one of a try-out to no real service.
func TestStoreOfAnotherService(t *testing.T) {
	b := newBench(t, "")
	o := b.options(t)
	o.Sandbox = true
	r := b.startWith(t, o)
	if _, err := New(t.Context(), b.options(t)); err == nil || !strings.Contains(err.Error(), "queue.db") {
		t.Errorf("two services with one store: %v", err)
	}
	_ = r.stop()
	if _, err := New(t.Context(), b.options(t)); err == nil || !strings.Contains(err.Error(), "sandbox") {
		t.Errorf("the store of a try-out: %v", err)
	}
}

// follower is the store of a node that may not lead, and counts how often it is swept.
type follower struct {
	store
	leads bool
	swept int
}

func (f *follower) Leads() bool { return f.leads }

func (f *follower) Sweep(context.Context, time.Time, time.Duration, time.Duration) error {
	f.swept++
	return nil
}

// Of several nodes the one that leads sweeps.
func TestTheNodeThatLeadsSweeps(t *testing.T) {
	b := newBench(t, "")
	r, err := New(t.Context(), b.options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	f := &follower{store: r.store}
	r.store = f
	once, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f.leads = range []bool{false, true} {
		if r.sweep(once); (f.swept == 1) != f.leads {
			t.Errorf("leads %v: swept %d times", f.leads, f.swept)
		}
	}
}
