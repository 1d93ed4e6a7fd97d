//go:build browser

package browser_test

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/console"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/envelope"
	"graphrelay/relay/monitor"
	"graphrelay/relay/operator"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// showcase is a console over invented data: a relay that has run for hours,
// as the screenshots show it and as no test can wait for.
type showcase struct {
	spool.Reader // of which the console uses no more than showcase overrides
	now          time.Time
	records      []spool.Record
	holds        []spool.Hold
}

func startShowcase(t *testing.T) string {
	t.Helper()
	sc := newShowcase(time.Date(2026, 11, 25, 14, 32, 0, 0, time.Local))
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	c := console.New(console.Config{
		Hostname: func() string { return "relay.contoso.local" }, PasswordHash: func() string {
			return string(
				hash)
		}, Store: sc, Operator: sc,
		Seen: sc.traffic(), Snapshot: sc.snapshot, Setup: sc.setup, Now: func() time.Time { return sc.now },
		Audit: func(string) {}, Reload: func(context.Context) error { return nil },
		Log: slog.New(slog.DiscardHandler),
	})
	address := harness.FreeAddr(t)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return "http://" + address
}

func address(s string) envelope.Address {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func newShowcase(now time.Time) *showcase {
	sc := &showcase{now: now}
	const refused = "App may not send as this mailbox; check that the app still has its role for this mailbox " +
		"(RBAC for Applications: Test-ServicePrincipalAuthorization), or its consent to Mail.Send (API permissions); " +
		"after a new assignment or policy, up to two hours of this are normal, and sending resumes by itself " +
		"[Graph answered 403 ErrorAccessDenied: Access is denied. Check credentials and try again.]"
	sc.holds = []spool.Hold{{Key: "mailbox:erp@contoso.com", Mailbox: address("erp@contoso.com"), Identity: "contoso",
		Text: refused, Since: now.Add(-25 * time.Minute), Probes: 4}}
	add := func(age time.Duration, state spool.State, from, to, subject, client string, attempts int, why string) {
		at := now.Add(-age)
		r := spool.Record{State: state, Attempts: attempts, LastText: why, BodyGone: state == spool.Sent,
			Message: spool.Message{
				ID: envelope.FirstQueueID(at), Mailbox: address(from), From: address(
					from), Subject: subject, Accepted: at, Size: 14_300, HeaderSize: int64(len(sampleHeader)),
				MessageID: "<20261125.8841@erp.contoso.local>", Client: envelope.Client{Name: client,
					Addr: netip.MustParseAddrPort("10.1.2.17:40112"), Helo: "erp.contoso.local"},
				Envelope: envelope.Envelope{ReversePath: address(from), Recipients: []envelope.Address{address(to)}}}}
		if attempts > 0 {
			r.LastAttempt, r.NextAttempt = at.Add(2*time.Second), now.Add(3*time.Minute)
		}
		sc.records = append(sc.records, r)
	}
	const unknown = "the connection to Graph broke after the message had left (504): it may have been sent. Look " +
		"into Sent Items of the mailbox, then retry or delete it"
	add(40*time.Second, spool.Sent, "notifications@contoso.com", "admin@contoso.com", "Backup of db01 finished",
		"local", 1, "")
	add(2*time.Minute, spool.Queued, "erp@contoso.com", "purchasing@fabrikam.com", "Order 4500017731",
		"erp", 1, refused)
	add(3*time.Minute, spool.Queued, "notifications@contoso.com", "oncall@contoso.com", "UPS 2: on battery", "ups", 1,
		"Graph is throttling this mailbox (429); it goes on by itself")
	add(6*time.Minute, spool.Held, "erp@contoso.com", "controlling@contoso.com", "Monthly report, November",
		"erp", 1, unknown)
	add(9*time.Minute, spool.Sent, "scanner@contoso.com", "j.weber@contoso.com", "Scan from the second floor",
		"scanner", 1, "")
	add(14*time.Minute, spool.Sent, "notifications@contoso.com", "admin@contoso.com", "cron: certbot renew",
		"local", 1, "")
	add(31*time.Minute, spool.Failed, "erp@contoso.com", "nobody@fabrikam.invalid", "Invoice 90012", "erp", 1,
		"Graph refused a recipient for good: ErrorInvalidRecipients (400). Correct the address where the mail was "+
			"written")
	add(44*time.Minute, spool.Sent, "scanner@contoso.com", "hr@contoso.com", "Scan from the third floor",
		"scanner", 1, "")
	return sc
}

const sampleHeader = "Received: from erp.contoso.local ([10.1.2.17])\r\n\tby relay.contoso.local (graphrelay) with " +
	"ESMTP;\r\n\tWed, 25 Nov 2026 14:26:00 +0100\r\nDate: Wed, 25 Nov 2026 14:26:00 +0100\r\nFrom: ERP " +
	"<erp@contoso.com>\r\nTo: controlling@contoso.com\r\nSubject: Monthly report, November\r\nMessage-ID: " +
	"<20261125.8841@erp.contoso.local>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n"

// traffic is a working day, after a night in which the relay did not run.
func (sc *showcase) traffic() *monitor.Monitor {
	clock := sc.now.Add(-monitor.Kept * time.Minute)
	m := monitor.New(monitor.Config{Now: func() time.Time { return clock }})
	for i := range monitor.Kept {
		if clock = clock.Add(time.Minute); i < 400 {
			continue
		}
		wave := 14 + 9*math.Sin(float64(i)/17) + 5*math.Sin(float64(i)/3.1) + float64(i*7919%9)
		late := 0
		if i > monitor.Kept-50 && i < monitor.Kept-25 {
			late = 6 + i%5
		}
		for n := range int(wave) {
			m.Accepted(monitor.Taken{Client: []string{"erp", "scanner", "local"}[n%3],
				Addr: []string{"10.1.2.17", "10.1.3.40", "127.0.0.1"}[n%3], Recipients: 1, Size: 20_000})
			if n >= late {
				delay := time.Duration(180+(n*i*37)%900) * time.Millisecond
				m.Outcome(monitor.Outcome{Kind: "sent", Delay: delay + time.Duration(late)*2*time.Second})
			}
		}
		for range late / 2 {
			m.Outcome(monitor.Outcome{Kind: "deferred"})
		}
		m.Sampled(state.Snapshot{Queued: late*3 + i%4, Held: 1})
	}
	m.Refused("", "10.1.9.12", state.Refused{Step: "connect", Status: reply.Enhanced{5, 7, 1},
		Reply: "Access denied", Why: "no client has this network; write it under networks of a client"})
	m.Refused("erp", "10.1.2.17", state.Refused{Step: "mail", Status: reply.Enhanced{5, 7, 1},
		Reply: "Sender address not allowed", Why: "ceo@contoso.com is no sender of client erp; add it to senders " +
			"of the client, or correct the program"})
	return m
}

func (sc *showcase) snapshot(context.Context) (state.Snapshot, error) {
	h := sc.holds[0]
	return state.Snapshot{Queued: 2, Held: 1, Failed: 1, Connections: 4, DiskFree: 41 << 30, DiskReserve: 256 << 20,
		Lanes: []state.Lane{
			{Mailbox: "erp@contoso.com", Identity: "contoso", Queued: 1, Held: 1,
				Oldest: sc.now.Add(-6 * time.Minute), Slots: 3},
			{Mailbox: "notifications@contoso.com", Identity: "contoso", Queued: 1, Oldest: sc.now.Add(-3 * time.Minute),
				Slots: 3, Backoff: sc.now.Add(40 * time.Second)},
		},
		Holds: []state.Hold{{Key: h.Key, Text: h.Text, Since: h.Since}},
		Mailboxes: []state.MailboxDay{{Mailbox: "erp@contoso.com", Recipients: 1870},
			{Mailbox: "notifications@contoso.com", Recipients: 412}},
		Seen: []state.Client{{Name: "erp", Addr: "10.1.2.17", InVain: state.InVain{
			Times: 1204, First: sc.now.Add(-40 * time.Minute), Last: sc.now.Add(-2 * time.Minute),
			Sender: "ceo@contoso.com", Cause: "sender not allowed",
			Remedy: reply.Remedy(reply.Enhanced{5, 7, 1}, "sender not allowed")}}},
		Alarms: []state.Alarm{{Key: "hold:" + h.Key, Fault: state.FaultOf(h.Text)}},
		Audits: []state.Audit{{Identity: "contoso", At: sc.now.Add(-5 * time.Hour), Passed: true,
			Text: "the denied mailbox was refused"}},
		Credentials: []state.Credential{{
			Identity: "contoso", Tenant: "11111111-1111-1111-1111-111111111111",
			Client: "22222222-2222-2222-2222-222222222222",
			Kind:   "certificate", Subject: "CN=graphrelay", Thumbprint: "8E3F0C6A51B7D2946A0D5C1F7E2B9A83D4C6F012",
			Expires: sc.now.AddDate(0, 7, 3),
		}},
		Reload: state.Reload{At: sc.now.Add(-50 * time.Hour)}, Certificate: sc.now.AddDate(0, 2, 0)}, nil
}

func (sc *showcase) setup() console.Setup {
	return console.Setup{Version: "1.0.0", Started: sc.now.Add(-50 * time.Hour),
		Listeners: []string{"10.1.2.1:25", "unix:/run/graphrelay/submit.sock"},
		Senders:   []envelope.Address{address("notifications@contoso.com"), address("erp@contoso.com")}}
}

func (sc *showcase) Get(_ context.Context, id envelope.QueueID) (spool.Record, error) {
	for _, r := range sc.records {
		if r.ID == id {
			return spool.Shown(r, sc.holds), nil
		}
	}
	return spool.Record{}, spool.ErrNotFound
}

func (sc *showcase) List(_ context.Context, f spool.Filter) (list []spool.Record, _ error) {
	for _, r := range sc.records {
		if r = spool.Shown(r, sc.holds); f.Matches(r) {
			list = append(list, r)
		}
	}
	return list, nil
}

func (sc *showcase) History(ctx context.Context, id envelope.QueueID) ([]spool.Event, error) {
	r, err := sc.Get(ctx, id)
	return []spool.Event{
		{ID: id, At: r.Accepted, Kind: spool.Accepted},
		{ID: id, At: r.Accepted.Add(20 * time.Millisecond), Kind: spool.Attempted, Attempt: 1},
		{ID: id, At: r.Accepted.Add(2 * time.Second), Kind: spool.EventDeferred, Unknown: true, Attempt: 1,
			HTTPStatus: 504,
			Status: reply.Enhanced{4, 4,
				7}, Text: r.LastText, RequestID: "6d1f3f0e-9f0b-4d0a-8b6e-3f5c2d7a1b44",
			Duration: 1900 * time.Millisecond},
		{ID: id, At: r.Accepted.Add(2 * time.Second), Kind: spool.EventHeld, Attempt: 1,
			Text: "delivery.unknown_outcome is hold"},
	}, err
}

func (sc *showcase) Holds(context.Context) ([]spool.Hold, error) { return sc.holds, nil }

func (sc *showcase) Open(context.Context, envelope.QueueID) (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{strings.NewReader(sampleHeader), io.NopCloser(nil)}, nil
}

func (sc *showcase) Do(context.Context, operator.Action, envelope.QueueID, string) error { return nil }

func (sc *showcase) Count(ctx context.Context, c operator.Change) (operator.Counted, error) {
	if len(c.Filter.States) == 0 {
		c.Filter.States = c.Action.States()
	}
	list, err := sc.List(ctx, c.Filter)
	return operator.Counted{Messages: len(list), Until: sc.now}, err
}

func (sc *showcase) Change(ctx context.Context, c operator.Change, report func(operator.Progress) error) error {
	n, _ := sc.Count(ctx, c)
	return report(operator.Progress{Changed: n.Messages, Done: true})
}

func (sc *showcase) Refusals(_ context.Context, f spool.RefusalFilter) (list []spool.Refusal, _ error) {
	for _, r := range []spool.Refusal{
		{First: sc.now.Add(-40 * time.Minute), Last: sc.now.Add(-2 * time.Minute), Count: 1204,
			RefusalKey: spool.RefusalKey{Addr: netip.MustParseAddr("10.1.2.17"), Client: "erp",
				Sender: address("ceo@contoso.com"), Domain: "fabrikam.com", Code: 550, Status: reply.Enhanced{5, 7, 1},
				Reason: "ceo@contoso.com is not one of senders of client erp; add it there, or correct the program"}},
		{First: sc.now.Add(-8 * time.Minute), Last: sc.now.Add(-8 * time.Minute), Count: 1,
			RefusalKey: spool.RefusalKey{Addr: netip.MustParseAddr("10.1.9.12"), Code: 554,
				Status: reply.Enhanced{5, 7, 1}, Reason: "no client has this network"}},
	} {
		if f.Matches(r) {
			list = append(list, r)
		}
	}
	return list, nil
}

func (sc *showcase) TryAll() []state.Wait { return nil }

func (sc *showcase) Probe(key string, _ envelope.Address) []string { return []string{key} }

func (sc *showcase) TestMail(context.Context, envelope.Address, envelope.Address) (envelope.QueueID, error) {
	return sc.records[0].ID, nil
}
