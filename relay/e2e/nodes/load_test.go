//go:build postgres

package nodes_test

import (
	"fmt"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// load sends messages from several mailboxes to all of some relays in turn, as a load balancer
// does, and keeps the ledger: what was answered 250.
type load struct {
	addrs     []string
	mailboxes []string
	stop      chan struct{}
	done      sync.WaitGroup
	mu        sync.Mutex
	acked     []string // Message-IDs
}

func startLoad(t testing.TB, clients int, mailboxes []string, nodes ...*node) *load {
	l := &load{stop: make(chan struct{}), mailboxes: mailboxes}
	for _, n := range nodes {
		l.addrs = append(l.addrs, n.Addr)
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
		if l.deliver(id, client+n) == nil {
			l.mu.Lock()
			l.acked = append(l.acked, id)
			l.mu.Unlock()
		}
		time.Sleep(100 * time.Millisecond) // a steady stream, not as much as the machine can
	}
}

// deliver tries all relays, as a dead one does not listen.
func (l *load) deliver(id string, turn int) error {
	for i := range l.addrs {
		nc, err := net.DialTimeout("tcp", l.addrs[(turn+i)%len(l.addrs)], time.Second)
		if err != nil {
			continue
		}
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second)) // a frozen relay accepts connections
		return deliver(nc, l.mailboxes[turn%len(l.mailboxes)], id)
	}
	return net.ErrClosed
}

// deliver hands a message to a relay.
func deliver(nc net.Conn, from, id string) error {
	defer nc.Close()
	c, err := smtp.NewClient(nc, "127.0.0.1")
	if err != nil {
		return err
	}
	if err := c.Mail(from); err != nil {
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
		from, id, id)
	return w.Close()
}

// take hands a message to a node, which must accept it.
func (n *node) take(t testing.TB, from, id string) {
	t.Helper()
	nc, err := net.Dial("tcp", n.Addr)
	if err == nil {
		err = deliver(nc, from, id)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", id, err, n.Tail())
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// more waits until so many further messages were accepted.
func (l *load) more(t testing.TB, n int) {
	t.Helper()
	n += l.count()
	harness.Until(t, patience, "messages to be accepted", func() bool { return l.count() >= n })
}

// judge waits until every message that was answered 250 is delivered, and fails where one
// arrived twice that was not under way when a node died.
func (l *load) judge(c *cluster, now *node) {
	t := c.t
	t.Helper()
	l.end()
	// Messages that were under way stay sending for as long as their requests could still run.
	now.WaitEmpty(3 * patience)
	times := arrived(t, c.double)
	repeated, unknown := 0, c.interrupted()
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

// arrived counts how often each message arrived, by Message-ID.
func arrived(t testing.TB, d *harness.Double) map[string]int {
	t.Helper()
	times := map[string]int{}
	for _, m := range d.Received() {
		times[m.MessageID]++
		if !strings.Contains(string(m.Raw), "body of "+m.MessageID) {
			t.Errorf("%s arrived without its body", m.MessageID)
		}
	}
	return times
}
