package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/spool"
)

// A reload changes everything at once: names, senders, listeners. Who is
// connected stays connected, and a listener that stays keeps its socket.
func TestReload(t *testing.T) {
	b := newBench(t, "")
	o := b.options(t)
	var changes []string
	o.OnChange = func(c *config.Config) { changes = append(changes, string(c.Hostname)) }
	o.OnReload = func() func() {
		changes = append(changes, "begin")
		return func() { changes = append(changes, "done") }
	}
	r := b.startWith(t, o)
	stays := r.Listeners()[0]
	before := dial(t, stays, "relay.contoso.com")
	if s := r.service(); s.Reload.Failed || s.Reload.At.IsZero() {
		t.Errorf("before the first reload: %+v", s.Reload)
	}

	extra := free(t)
	b.edit(t, "hostname: relay", "hostname: renamed")
	b.edit(t, "    - address: 127.0.0.1:0\n", "    - address: 127.0.0.1:0\n    - address: "+extra+"\n")
	b.edit(t, "  - address: \""+sender+"\"\n", "  - address: "+sender+"\n  - address: second@contoso.com\n")
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := r.Listeners(); len(at) != 2 || at[0] != stays || at[1] != extra {
		t.Errorf("listens on %v", at)
	}
	before.send(sender, "on the connection from before")
	b.awaits(t, "on the connection from before")
	dial(t, extra, "renamed.contoso.com").send("second@contoso.com", "new sender")
	b.awaits(t, "new sender")
	if s := r.service(); s.Reload.Failed || s.Reload.Error != "" || s.Reload.At.Before(r.started) {
		t.Errorf("last reload %+v", s.Reload)
	}

	b.edit(t, "    - address: "+extra+"\n", "")
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", extra); err == nil {
		c.Close()
		t.Error("a listener that is gone accepts")
	}
	dial(t, stays, "renamed.contoso.com")
	want := "begin renamed.contoso.com done begin renamed.contoso.com done"
	if got := strings.Join(changes, " "); got != want {
		t.Errorf("callbacks: %s, want %s", got, want)
	}
}

// A reload that is refused says why, changes nothing and leaves nothing open.
func TestRefusedReload(t *testing.T) {
	b := newBench(t, "metrics: {address: '"+free(t)+"'}\nconsole: {address: '"+free(t)+"', password_hash: "+hash+"}\n")
	r := b.start(t)
	dial(t, r.Listeners()[0], "relay.contoso.com")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	fresh := free(t)
	inForce, inForceSince, listeners := r.cfg(), r.service().Reload.At, fmt.Sprint(r.Listeners())
	for _, c := range []struct{ name, old, now, want string }{
		{"a mistake", "hostname:", "hostnam:", "unknown key"},
		{"no credential", "secret.txt", "gone.txt", "identity default: "},
		{"no certificate", "smtp:\n", "smtp:\n  tls: {certificate_file: gone.pem, key_file: gone.key}\n", "smtp.tls: "},
		{"a port in use", "    - address: 127.0.0.1:0\n",
			"    - address: 127.0.0.1:0\n    - address: " + fresh + "\n    - address: " + busy.Addr().String() + "\n",
			"another program listens on " + busy.Addr().String()},
	} {
		good := b.text
		b.edit(t, c.old, c.now)
		err := r.Reload(t.Context())
		b.text = good
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not say %q", c.name, err, c.want)
		}
		if s := r.service(); !s.Reload.Failed || s.Reload.Error != err.Error() || s.Reload.At != inForceSince {
			t.Errorf("%s: last reload %+v", c.name, s.Reload)
		}
		if r.cfg() != inForce || fmt.Sprint(r.Listeners()) != listeners {
			t.Errorf("%s: something of it is in force", c.name)
		}
		if c2, err := net.Dial("tcp", fresh); err == nil {
			c2.Close()
			t.Errorf("%s: a listener of it is open", c.name)
		}
	}
	if log := b.log.String(); strings.Count(log, "level=ERROR msg=\"cannot reload the configuration; ") != 4 {
		t.Errorf("log:\n%s", log)
	}
	dial(t, r.Listeners()[0], "relay.contoso.com").send(sender, "still")
	b.awaits(t, "still")
}

// Each key that only a start reads is refused by its name, with both values, all
// of them at once.
func TestReloadRefusesWhatOnlyAStartReads(t *testing.T) {
	const old = `queue: {store: "sqlite:/a/queue.db", min_free_space: 1MiB, max_messages: 10}
admin: {address: unix:/a/admin.sock}
metrics: {address: 127.0.0.1:9725}
console: {address: 127.0.0.1:8025, password_hash: ` + hash + `}
alerts: {webhook_url_file: /a/webhook}
log: {format: text}
`
	now := strings.NewReplacer("/a/", "/b/", "1MiB", "2MiB", "10}", "11}",
		"9725", "9726", "8025", "8026", "text", "json")
	want := []string{
		"queue.store cannot change from sqlite:/a/queue.db to sqlite:/b/queue.db ",
		"queue.min_free_space cannot change from 1MiB to 2MiB ",
		"queue.max_messages cannot change from 10 to 11 ",
		"admin.address cannot change from unix:/a/admin.sock to unix:/b/admin.sock ",
		"metrics.address cannot change from 127.0.0.1:9725 to 127.0.0.1:9726 ",
		"console.address cannot change from 127.0.0.1:8025 to 127.0.0.1:8026 ",
		"alerts.webhook_url_file cannot change from /a/webhook to /b/webhook ",
		"log.format cannot change from text to json ",
	}
	before, after := configured(t, old), configured(t, now.Replace(old))
	if err := sameFixed(before, before); err != nil {
		t.Error(err)
	}
	got := strings.Split(sameFixed(before, after).Error(), "\n")
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i, line := range got {
		if !strings.HasPrefix(line, want[i]) || !strings.Contains(line, "systemctl restart graphrelay") {
			t.Errorf("%q, want %q", line, want[i])
		}
	}
	err := sameFixed(configured(t, ""), before)
	if !strings.Contains(err.Error(), "metrics.address cannot change from none to") {
		t.Error(err)
	}
}

// A port that the service itself leaves is not said to be another program's.
func TestReloadNamesItsOwnPort(t *testing.T) {
	addr := free(t)
	_, port, _ := net.SplitHostPort(addr)
	b := newBench(t, "clients: [{name: erp, networks: [10.0.0.0/8]}]\n")
	b.edit(t, "127.0.0.1:0", addr)
	r := b.start(t)
	dial(t, addr, "relay.contoso.com")
	b.edit(t, "    - address: "+addr, "    - address: 0.0.0.0:"+port)
	err := r.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the service itself listens on this port at "+addr) {
		t.Error(err)
	}
}

// Without a configuration file, and once it stops, a service does not reload.
// Before Run a reload waits.
func TestNoReload(t *testing.T) {
	b := newBench(t, "")
	o := b.options(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newRelay(o).Reload(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a reload before Run: %v", err)
	}
	o.Load = nil
	r := b.startWith(t, o)
	if err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "without a configuration file") {
		t.Error(err)
	}
	_ = r.stop()
	if err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "start it again") {
		t.Error(err)
	}
}

// The limits of a reload apply to the message that is being sent.
func TestReloadChangesTheLimitsOfMailInTransfer(t *testing.T) {
	b := newBench(t, "")
	lost := sandbox.Fault{Endpoint: "sendMail", Latency: time.Second, Drop: sandbox.DropBody}
	if err := b.double.Inject(lost); err != nil {
		t.Fatal(err)
	}
	r := b.start(t)
	reply := dial(t, r.Listeners()[0], "relay.contoso.com").send(sender, "perhaps sent")
	id := envelope.QueueID(strings.Fields(reply)[1])
	b.text += "delivery: {unknown_outcome: hold}\n"
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		rec, err := r.store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if rec.State == spool.Held {
			return
		}
		if rec.State == spool.Deferred || time.Now().After(end) {
			t.Fatalf("%s, want held", rec.State)
		}
	}
}
