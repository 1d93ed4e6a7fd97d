//go:build postgres

package nodes_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/spool/postgres/pgtest"
)

const patience = 2 * time.Minute

// load sends messages one after the other to whichever relay listens, as clients behind a
// virtual address do, and keeps the ledger: what was answered 250.
type load struct {
	addrs []string
	stop  chan struct{}
	done  sync.WaitGroup
	mu    sync.Mutex
	acked []string // Message-IDs
}

func startLoad(t *testing.T, clients int, relays ...*harness.Relay) *load {
	l := &load{stop: make(chan struct{})}
	for _, r := range relays {
		l.addrs = append(l.addrs, r.Addr)
	}
	for client := range clients {
		l.done.Go(func() { l.send(client) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

func (l *load) send(client int) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		id := fmt.Sprintf("<%d.%d@load.example>", client, n)
		if l.deliver(id) == nil {
			l.mu.Lock()
			l.acked = append(l.acked, id)
			l.mu.Unlock()
		}
		time.Sleep(100 * time.Millisecond) // a steady stream, not as much as the machine can
	}
}

func (l *load) deliver(id string) error {
	for _, addr := range l.addrs {
		nc, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue // it stands by, or is dead
		}
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second)) // a frozen relay accepts connections
		return deliver(nc, id)
	}
	return net.ErrClosed
}

func deliver(nc net.Conn, id string) error {
	defer nc.Close()
	c, err := smtp.NewClient(nc, "127.0.0.1")
	if err != nil {
		return err
	}
	if err := c.Mail(harness.Sender); err != nil {
		return err
	}
	if err := c.Rcpt("to@contoso.com"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "From: %s\r\nTo: to@contoso.com\r\nMessage-ID: %s\r\nSubject: load\r\n\r\nbody of %s\r\n",
		harness.Sender, id, id)
	return w.Close()
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// more waits until so many further messages were accepted.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	n += l.count()
	harness.Until(t, patience, "messages to be accepted", func() bool { return l.count() >= n })
}

// judge waits until every message that was answered 250 is delivered, and fails where one
// arrived twice that was not under way when a node died.
func (l *load) judge(t *testing.T, d *harness.Double, now *harness.Relay, interrupted func() []string) {
	t.Helper()
	l.end()
	// Messages that were under way stay sending for as long as their requests could still run.
	now.WaitEmpty(3 * patience)
	times := map[string]int{}
	for _, m := range d.Received() {
		times[m.MessageID]++
		if !strings.Contains(string(m.Raw), "body of "+m.MessageID) {
			t.Errorf("%s arrived without its body", m.MessageID)
		}
	}
	repeated, unknown := 0, interrupted()
	for id, n := range times {
		repeated += n - 1
		if n > 1 && !slices.Contains(unknown, id) {
			t.Errorf("%s arrived %d times, and no attempt of it was interrupted", id, n)
		}
	}
	for _, id := range l.acked {
		if times[id] == 0 {
			t.Errorf("%s was accepted and never delivered", id)
		}
	}
	t.Logf("%d accepted, %d delivered, %d of them again, %d interrupted", l.count(), len(times), repeated, len(unknown))
}

// standsBy waits until a relay waits for another: alive, not ready, and without a listener.
func standsBy(t *testing.T, r *harness.Relay) {
	t.Helper()
	harness.Until(t, patience, "the relay to stand by", func() bool {
		return strings.Contains(r.Output(), "standing by: another node has the queue")
	})
	harness.Until(t, patience, "the probes to be answered", func() bool {
		res, err := http.Get("http://" + r.Watch + "/readyz")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		var h struct {
			Ready   bool
			Reasons []struct{ Key string }
		}
		if err := json.Unmarshal(b, &h); err != nil || len(h.Reasons) != 1 || h.Reasons[0].Key != "standby" {
			t.Errorf("/readyz of a standby: %s, %v", b, err)
		}
		return res.StatusCode == http.StatusServiceUnavailable && !h.Ready
	})
	if c, err := net.Dial("tcp", r.Addr); err == nil {
		c.Close()
		t.Error("a relay that stands by accepts connections")
	}
}

// startPair starts two nodes on a database: the first works, the other stands by.
func startPair(t *testing.T, d *harness.Double, url string) (one, other *harness.Relay) {
	t.Helper()
	one = harness.NewRelay(t, d, harness.StoreURL(url), harness.Watched())
	other = harness.NewRelay(t, d, harness.StoreURL(url), harness.Watched())
	one.Start()
	other.Launch()
	standsBy(t, other)
	return one, other
}

// becomesActive waits until a relay has the queue, and logs how long that took.
func becomesActive(t *testing.T, r *harness.Relay, d *harness.Double) {
	t.Helper()
	began, before := time.Now(), len(d.Received())
	r.WaitReady()
	harness.Until(t, patience, "the first message", func() bool { return len(d.Received()) > before })
	t.Logf("the first message left after %v", time.Since(began).Round(100*time.Millisecond))
}

// interruptedIn lists what a crash of a node interrupted, of unknown outcome each.
func interruptedIn(t *testing.T, server *pgtest.Server, url string) func() []string {
	return func() []string {
		return server.Exec(t, pgtest.Name(url), "SELECT message_id FROM graphrelay.message WHERE crashes > 0")
	}
}

// Of two nodes one works. When it is killed under load the other one delivers what was
// accepted; a node that was frozen meanwhile ends, and stands by when it is started again.
func TestKilledAndFrozenNodes(t *testing.T) {
	t.Parallel()
	server := pgtest.For(t)
	url := server.Database(t)
	d := harness.StartDouble(t, harness.Latency(20*time.Millisecond))
	one, other := startPair(t, d, url)
	l := startLoad(t, 3, one, other)
	l.more(t, 30)
	one.Kill()
	becomesActive(t, other, d)
	l.more(t, 30)
	one.Launch()
	standsBy(t, one)
	if out, err := one.Run("queue", "list", "--limit", "1"); err != nil {
		t.Errorf("queue list on the node that stands by: %v: %s", err, out)
	}
	if out, err := one.Run("queue", "retry", "--all"); err == nil || !strings.Contains(out, "has the queue, and no") {
		t.Errorf("queue retry on the node that stands by: %v: %s", err, out)
	}
	if out, err := one.Run("reload"); err == nil || !strings.Contains(out, "has the queue, and no") {
		t.Errorf("reload on the node that stands by: %v: %s", err, out)
	}
	if out, _ := one.Run("doctor"); !strings.Contains(out, "has the queue; this one does not answer at") ||
		!strings.Contains(out, "no synchronous standby: a failover can lose accepted mail") ||
		strings.Contains(out, "in use by") {
		t.Errorf("doctor on the node that stands by: %s", out)
	}
	other.Freeze()
	becomesActive(t, one, d)
	l.more(t, 30)
	_ = syscall.Kill(other.PID(), syscall.SIGCONT)
	const ends = "graphrelay: Another node has the queue now, as this one did not"
	if err := other.Wait(patience); err == nil || !strings.Contains(other.Output(), ends) {
		t.Errorf("a node that woke without the lease: %v\n%s", err, other.Tail())
	}
	other.Launch()
	standsBy(t, other)
	out, err := one.Run("status")
	if err != nil || !strings.Contains(out, "store: PostgreSQL 1") || !strings.Contains(out, "no synchronous standby") {
		t.Errorf("status: %v: %s", err, out)
	}
	l.judge(t, d, one, interruptedIn(t, server, url))
	if err := one.Stop(patience); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
	other.WaitReady()
}

// When the database fails over to its standby under load, the node goes on with it.
func TestDatabaseFailsOver(t *testing.T) {
	t.Parallel()
	server := pgtest.For(t)
	standby := server.Standby(t)
	hosts := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", server.Port, standby.Port)
	url := strings.Replace(server.Database(t), fmt.Sprintf("127.0.0.1:%d", server.Port), hosts, 1)
	d := harness.StartDouble(t, harness.Latency(20*time.Millisecond))
	r := harness.NewRelay(t, d, harness.StoreURL(url))
	r.Start()
	l := startLoad(t, 3, r)
	l.more(t, 30)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	standby.Promote(t)
	l.more(t, 30)
	l.judge(t, d, r, interruptedIn(t, standby, url))
}
