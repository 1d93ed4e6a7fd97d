package observe

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/envelope"
	"graphrelay/relay/intake"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// queue is a Store that answers what the test says.
type queue struct {
	health, full, err error
	stats             spool.Stats
	lanes             []spool.Lane
	holds             []spool.Hold
	nodes             []spool.Node
	mine              envelope.Address
	hangs             chan struct{} // until it is closed, if there is one
}

func (q *queue) Health() error                         { return q.health }
func (q *queue) Admit(client string, size int64) error { return q.full }
func (q *queue) Stats(context.Context) (spool.Stats, error) {
	if q.hangs != nil {
		<-q.hangs
	}
	return q.stats, q.err
}
func (q *queue) Lanes(context.Context) ([]spool.Lane, error) { return q.lanes, nil }
func (q *queue) Holds(context.Context) ([]spool.Hold, error) { return q.holds, nil }
func (q *queue) Mine(m envelope.Address) bool                { return m == q.mine }
func (q *queue) Nodes(context.Context) ([]spool.Node, error) { return q.nodes, nil }

// record is a Record of one address after the other.
type record struct{ added []spool.RefusalKey }

func (r *record) Add(k spool.RefusalKey) { r.added = append(r.added, k) }
func (r *record) Dropped() uint64        { return 12 }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func observer(t *testing.T, q *queue, s state.Snapshot) *Observer {
	t.Helper()
	q.stats = spool.Stats{Queued: 1, Sending: 2, Held: 3, Failed: 4, Damaged: 5, Bytes: 6, Deferred: 7, Paused: 8}
	o, err := New(Config{
		Hostname:    func() string { return "relay" },
		HasIdentity: func(string) bool { return true },
		Log:         slog.New(slog.DiscardHandler),
		Store:       q,
		Delivery:    func() delivery.Status { return delivery.Status{Usage: []delivery.Usage{{Recipients: 7}}} },
		Connections: func() smtpd.Stats { return smtpd.Stats{Connections: 8, Accepted: 9, Refused: 10} },
		Record:      &record{},
		StorePath:   filepath.Join(t.TempDir(), "queue.db"),
		Service:     func() state.Snapshot { return s },
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A snapshot has every part of the picture.
func TestSnapshot(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	q := &queue{
		lanes: []spool.Lane{{Mailbox: mailbox(t, "a@example.org"), Queued: 1}},
		holds: []spool.Hold{{Key: "mailbox:a@example.org"}},
	}
	o := observer(t, q, state.Snapshot{
		Stopping: true, Reload: state.Reload{At: at, Failed: true, Error: "why"}, Certificate: at,
		Credentials: []state.Credential{{Identity: "contoso"}},
		Audits:      []state.Audit{{Identity: "contoso", At: at, Passed: true, Text: "refused"}},
		DiskReserve: 11,
	})
	o.CountIntake(intake.Event{Recipients: 1, Size: 100})
	o.CountIntake(intake.Event{At: "rcpt", Refusal: &reply.Error{Cause: errors.New("why")}})
	var r spool.Record
	r.Mailbox = mailbox(t, "a@example.org")
	for _, kind := range []spool.EventKind{spool.Attempted, spool.EventSent, spool.EventDeferred, spool.EventPaused,
		spool.EventHeld, spool.EventFailed} {
		o.CountDelivery(delivery.Event{Kind: kind, Record: r})
	}
	o.Alerts.Alarm("disk", "full; do this", true)
	s, err := o.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Queued != 1 || s.Deferred != 7 || s.Paused != 8 || s.Sending != 2 || s.Held != 3 ||
		s.Failed != 4 || s.Damaged != 5 || s.Bytes != 6 ||
		s.Connections != 8 || s.ConnectionsTotal != 9 || s.RefusedOver != 10 || s.RefusalsDropped != 12 ||
		s.DiskReserve != 11 {
		t.Errorf("numbers %+v", s)
	}
	want := state.Traffic{Accepted: 1, Refused: 1, Sent: 1, Deferred: 1, Paused: 1, Held: 1, Failed: 1}
	if s.Hour != want {
		t.Errorf("an hour's traffic is %+v, want %+v", s.Hour, want)
	}
	if s.Minute != want {
		t.Errorf("the last minute's traffic is %+v, want %+v", s.Minute, want)
	}
	if !s.Stopping || s.Reload != (state.Reload{At: at, Failed: true, Error: "why"}) || s.Certificate != at ||
		len(s.Credentials) != 1 || s.DiskSize == 0 || s.DiskFree == 0 {
		t.Errorf("service %+v", s)
	}
	if len(s.Audits) != 1 || s.Audits[0] != (state.Audit{Identity: "contoso", At: at, Passed: true, Text: "refused"}) {
		t.Errorf("audits %+v", s.Audits)
	}
	if len(s.Lanes) != 1 || len(s.Holds) != 1 || len(s.Mailboxes) != 1 || len(s.Alarms) != 1 || s.Refusal() != nil {
		t.Errorf("lists %+v", s)
	}
}

// Of several nodes each is shown, and which mailboxes another one sends for.
func TestSnapshotOfSeveralNodes(t *testing.T) {
	a, b, c := mailbox(t, "a@example.org"), mailbox(t, "b@example.org"), mailbox(t, "c@example.org")
	q := &queue{mine: c, lanes: []spool.Lane{{Mailbox: a, Queued: 1}, {Mailbox: b}, {Mailbox: c, Queued: 1}}}
	one := spool.Node{Name: "one", This: true, Leads: true, Lanes: 3, Seen: 1500 * time.Millisecond}
	for _, q.nodes = range [][]spool.Node{nil, {one}, {one, {Name: "two", Lanes: 4}}} {
		s, err := observer(t, q, state.Snapshot{}).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		several := len(q.nodes) > 1
		if len(s.Nodes) != len(q.nodes) || s.Lanes[0].Elsewhere != several ||
			s.Lanes[1].Elsewhere || s.Lanes[2].Elsewhere {
			t.Errorf("%d nodes: %+v, %+v", len(q.nodes), s.Nodes, s.Lanes)
		}
		want := state.Node{Name: "one", This: true, Leads: true, Lanes: 3, Seen: 1.5}
		if several && s.Nodes[0] != want {
			t.Errorf("%+v, want %+v", s.Nodes[0], want)
		}
	}
}

// A refusal is recorded under each domain and counted once. What is refused for now,
// and what strangers want, is not in vain; a message that is accepted ends the count.
func TestRefusalsInVain(t *testing.T) {
	o := observer(t, &queue{}, state.Snapshot{})
	erp := spool.RefusalKey{Addr: netip.MustParseAddr("10.1.2.3"), Client: "erp",
		Sender: mailbox(t, "boss@example.org"), Code: 550, Status: reply.Enhanced{5, 7, 1}, Reason: "From not allowed"}
	stranger, later := erp, erp
	stranger.Client, later.Code = "", 452
	for _, k := range []spool.RefusalKey{erp, erp, stranger, later} {
		o.CountRefusal(k, []string{"example.net", "example.com"})
	}
	added := o.Record.(*record).added
	if len(added) != 8 || added[0].Domain != "example.net" || added[1].Domain != "example.com" {
		t.Errorf("recorded %+v", added)
	}
	seen := func() state.InVain {
		s, err := o.Snapshot(t.Context())
		if err != nil || len(s.Seen) != 1 || s.Seen[0].Name != "erp" || s.Seen[0].Addr != "10.1.2.3" {
			t.Fatalf("%v, %+v", err, s.Seen)
		}
		return s.Seen[0].InVain
	}
	v := seen()
	if v.Times != 2 || v.Sender != "boss@example.org" || v.Cause != "From not allowed" || v.First.After(v.Last) ||
		!strings.HasPrefix(v.Remedy, "correct the sender in the client") {
		t.Errorf("%+v", v)
	}
	from := envelope.Client{Name: "erp", Addr: netip.MustParseAddrPort("10.1.2.3:25")}
	o.CountIntake(intake.Event{Client: from, Recipients: 1})
	if v := seen(); v != (state.InVain{}) {
		t.Errorf("after a message that was accepted: %+v", v)
	}
}

// A queue that is in a database is no matter of this host's disk.
func TestADatabaseThatDoesNotAnswer(t *testing.T) {
	q := &queue{err: errors.New("connection refused")}
	o := observer(t, q, state.Snapshot{})
	o.StorePath = ""
	s := must(o.Snapshot(t.Context()))
	want := "Queue cannot be read: PostgreSQL does not answer; see whether the database and the network to it work; " +
		"what status shows of the queue is what was read last [connection refused]"
	if s.Unread == nil || s.Unread.Error() != want || s.DiskSize != 0 {
		t.Errorf("%v, and a disk of %d bytes", s.Unread, s.DiskSize)
	}
}

// A database that hangs keeps nobody waiting for ever: what was read last is shown.
func TestADatabaseThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		o := observer(t, q, state.Snapshot{})
		_ = must(o.Snapshot(t.Context()))
		q.hangs = make(chan struct{})
		defer close(q.hangs)
		s := must(o.Snapshot(t.Context()))
		if s.Unread == nil || s.Queued != 1 {
			t.Errorf("%v, %d queued", s.Unread, s.Queued)
		}
	})
}

// A queue that is unhealthy is not asked whether it is full, and one that cannot
// be read is a fault beside what was read last, not an empty picture.
func TestSnapshotOfABadQueue(t *testing.T) {
	q := &queue{full: errors.New("full")}
	o := observer(t, q, state.Snapshot{})
	if s, err := o.Snapshot(t.Context()); err != nil || s.Unhealthy != nil || s.Full == nil {
		t.Errorf("full: %+v, %v", s, err)
	}
	q.health = errors.New("unhealthy")
	if s, err := o.Snapshot(t.Context()); err != nil || s.Unhealthy == nil || s.Full != nil {
		t.Errorf("unhealthy: %+v, %v", s, err)
	}
	line := o.Summary(t.Context())
	if !strings.HasPrefix(line, "no mail is accepted, the queue is unhealthy; 1 queued") {
		t.Errorf("summary %q", line)
	}
	q.err = errors.New("cannot read")
	q.stats = spool.Stats{}
	s, err := o.Snapshot(t.Context())
	if err != nil || s.Unread == nil || s.Unhealthy == nil || s.Queued != 1 {
		t.Errorf("unreadable: %+v, %v", s, err)
	}
	q.health = nil
	h := state.Judge(must(o.Snapshot(t.Context())), time.Now())
	if h.Ready || h.Reasons[0].Key != "store" || h.Reasons[0].Headline != "Queue cannot be read: the disk fails" ||
		!strings.HasPrefix(h.Reasons[0].Remedy, "repair the disk of queue.store") {
		t.Errorf("unreadable: %+v", h)
	}
	if line := o.Summary(t.Context()); !strings.HasPrefix(line, "the queue cannot be read, as it was last: 1 queued") {
		t.Errorf("summary %q", line)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := o.Snapshot(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a look that nobody waits for: %v", err)
	}
}

// A file without a URL is found out at the start.
func TestWebhookURLFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "webhook")
	if err := os.WriteFile(file, []byte("ftp://example.org"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(Config{URLFile: file})
	if err == nil || !strings.HasPrefix(err.Error(), "alerts.webhook_url_file: ") {
		t.Error(err)
	}
}
