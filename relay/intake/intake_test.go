package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
	"graphrelay/relay/policy"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite"
)

const goodHeader = "From: Reports <reports@example.org>\r\nTo: a@example.net\r\nSubject: x\r\n"

// bench is an Intake on a real store.
type bench struct {
	*Intake
	store    *sqlite.Store
	log      bytes.Buffer
	notified []envelope.Address
	refused  []spool.RefusalKey
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, BallastSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	b := &bench{store: store}
	sender := policy.Sender{Address: addr("reports@example.org"), Mailbox: addr("mailbox@example.org")}
	c := Config{
		Rules: Rules{
			Policy:   policy.New(policy.Rules{Senders: []policy.Sender{sender}, LocalClient: true}),
			Hostname: "relay.example.org", MaxSize: 1 << 20,
		},
		Store: store, Now: func() time.Time { return time.Unix(1_800_000_000, 0).UTC() },
		Notify: func(m spool.Message) { b.notified = append(b.notified, m.Mailbox) }, OnEvent: func(Event) {},
		OnRefusal: func(k spool.RefusalKey, domains []string) {
			for _, k.Domain = range domains {
				b.refused = append(b.refused, k)
			}
		},
		Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	b.Intake = New(c)
	return b
}

func addr(s string) envelope.Address {
	a, err := envelope.ParseRecipient(s)
	if err != nil {
		panic(err)
	}
	return a
}

// send runs one transaction from loopback.
func (b *bench) send(t *testing.T, from string, to []string, text string) (envelope.QueueID, error) {
	t.Helper()
	s, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("127.0.0.1:4711")})
	if err != nil {
		return "", err
	}
	defer s.Close()
	mail := smtpd.MailFrom{Helo: "host.(evil)\r\n.example", ESMTP: true}
	if from != "" {
		mail.Path = addr(from)
	}
	tx, err := s.Mail(t.Context(), mail)
	if err != nil {
		return "", err
	}
	for _, r := range to {
		if err := tx.Rcpt(t.Context(), smtpd.RcptTo{Path: addr(r)}); err != nil {
			return "", err
		}
	}
	return tx.Data(t.Context(), strings.NewReader(text))
}

func (b *bench) stored(t *testing.T, id envelope.QueueID) string {
	t.Helper()
	f, err := b.store.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func (b *bench) empty(t *testing.T) {
	t.Helper()
	list, err := b.store.List(t.Context(), spool.Filter{})
	if err != nil || len(list) != 0 {
		t.Errorf("the queue holds %v, %v; want nothing", list, err)
	}
	if len(b.notified) != 0 {
		t.Errorf("delivery was notified of %v", b.notified)
	}
}

func TestAMessageIsStoredAsItWillBeSent(t *testing.T) {
	b := newBench(t)
	id, err := b.send(t, "reports@example.org", []string{"a@example.net", "b@example.net", "A@Example.Net"},
		goodHeader+"\r\nbody\nwith bare LF\r\n")
	if err != nil {
		t.Fatal(err)
	}
	got := b.stored(t, id)
	for _, want := range []string{
		"Received: from host.evil.example ([127.0.0.1])\r\n\tby relay.example.org (graphrelay) with ESMTP id " +
			string(id) + ";\r\n\tFri, 15 Jan 2027 08:00:00 +0000\r\n",
		"Bcc: b@example.net\r\n", "Message-ID: <" + string(id) + "@relay.example.org>\r\n", "Date: ", goodHeader,
		"\r\n\r\nbody\r\nwith bare LF\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("stored message lacks %q:\n%s", want, got)
		}
	}
	r, err := b.store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Envelope.Recipients) != 2 || r.Mailbox != addr("mailbox@example.org") || r.Size != int64(len(got)) ||
		got[r.HeaderSize-4:r.HeaderSize] != "\r\n\r\n" {
		t.Errorf("record = %+v", r)
	}
	if len(b.notified) != 1 || b.notified[0] != r.Mailbox {
		t.Errorf("notified = %v, want the mailbox once", b.notified)
	}
	if log := b.log.String(); !strings.Contains(log, "msg=accepted queue_id="+string(id)) ||
		!strings.Contains(log, "notes=bare_lf") {
		t.Errorf("log = %s", log)
	}
}

// What a client wrote without care is stored repaired; the log and the event name it.
func TestRepairsAreStoredLoggedAndCounted(t *testing.T) {
	for _, c := range []struct{ name, from, header, want, repaired string }{
		{"name", "reports@example.org", "From: UPS: rack 3 <reports@example.org>\r\nTo: a@example.net\r\n",
			`From: "UPS: rack 3" <reports@example.org>`, "display_name"},
		{"list", "reports@example.org", "From: reports@example.org\r\nTo: a@example.net; b@example.net\r\n",
			"To: a@example.net, b@example.net", "display_name"},
		{"hidden address", "reports@example.org", "From: reports@example.org\r\nTo: =?utf-8?q?x=40y.example=2C?= " +
			"<a@example.net>\r\n", `To: "x@y.example," <a@example.net>`, "display_name"},
		{"several authors", "reports@example.org", "From: reports@example.org, R <reports@example.org>\r\nSender:\r\n",
			"Sender: reports@example.org", "missing_from"},
		{"spam verdict", "reports@example.org", "From: reports@example.org\r\nX-MS-Exchange-Organization-SCL: -1\r\n" +
			"X: y\r\n", "From: reports@example.org\r\nX: y", "exchange_field"},
		{"our name", "reports@example.org", "From: reports@example.org\r\nX-Graphrelay-ID: forged\r\nX: y\r\n",
			"From: reports@example.org\r\nX: y", "graphrelay_field"},
		{"report", "", "From: MAILER-DAEMON <>\r\nTo: a@example.net\r\n",
			"From: MAILER-DAEMON <reports@example.org>", "local_sender"},
		{"report of nobody", "", "From: <>\r\n", "From: reports@example.org", "local_sender"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events []Event
			b := newBench(t, func(c *Config) {
				c.Policy = policy.New(policy.Rules{
					Senders:     []policy.Sender{{Address: addr("reports@example.org")}},
					LocalClient: true,
					LocalRepair: policy.Repair{DisplayName: true, MissingFrom: true, LocalSender: true},
				})
				c.OnEvent = func(e Event) { events = append(events, e) }
			})
			id, err := b.send(t, c.from, []string{"a@example.net", "b@example.net"}, c.header+"\r\ntext\r\n")
			if err != nil {
				t.Fatal(err)
			}
			if got := b.stored(t, id); !strings.Contains(got, "\r\n"+c.want+"\r\n") {
				t.Errorf("no %q in\n%s", c.want, got)
			}
			if len(events) != 1 || strings.Join(events[0].Repairs, ",") != c.repaired ||
				!strings.Contains(b.log.String(), "repaired="+c.repaired) {
				t.Errorf("want %s in %+v\n%s", c.repaired, events, b.log.String())
			}
			if r, err := b.store.Get(t.Context(), id); err != nil || r.Envelope.ReversePath.IsZero() != (c.from == "") {
				t.Errorf("reverse-path %v, %v", r.Envelope.ReversePath, err)
			}
		})
	}
	b := newBench(t)
	if _, err := b.send(t, "reports@example.org", []string{"a@example.net"},
		"From: MAILER-DAEMON <>\r\n\r\nx\r\n"); err == nil {
		t.Error("accepted a message that is no report from nobody")
	}
}

func TestTheIDLeadsToTheMessage(t *testing.T) {
	for _, on := range []bool{true, false} {
		b := newBench(t, func(c *Config) { c.IDHeader = on })
		id, err := b.send(t, "reports@example.org", []string{"a@example.net"},
			"X-Graphrelay-ID: 00000000000000000000000000000000\r\n"+goodHeader+"\r\ntext\r\n")
		if err != nil {
			t.Fatal(err)
		}
		_, field, found := strings.Cut(b.stored(t, id), "\r\nX-Graphrelay-ID: ")
		field, _, _ = strings.Cut(field, "\r\n")
		switch back, ok := bounce.Key(b.store.Key()).QueueID(field); {
		case found != on:
			t.Errorf("with id_header %v the field is there: %v", on, found)
		case on && (!ok || back != id):
			t.Errorf("%s leads to %q, %v; want %s", field, back, ok, id)
		}
	}
}

func TestRefusalsLeaveNothingBehind(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, from, to, text string
		code                 int
		enhanced             string
	}{
		{"reverse-path", "ceo@example.org", "a@example.net", goodHeader + "\r\nb\r\n", 550, "5.7.1"},
		{"header From", "reports@example.org", "a@example.net", "From: ceo@example.org\r\n\r\nb\r\n", 550, "5.7.1"},
		{"header Sender", "reports@example.org", "a@example.net", goodHeader + "Sender: ceo@example.org\r\n\r\nb\r\n",
			550, "5.7.1"},
		{"Resent-From", "reports@example.org", "a@example.net", goodHeader +
			"Resent-From: ceo@example.org\r\n\r\nb\r\n", 550, "5.7.1"},
		{"two From", "reports@example.org", "a@example.net", goodHeader + "From: ceo@example.org\r\n\r\nb\r\n", 550,
			"5.6.0"},
		{"no From", "reports@example.org", "a@example.net", "Subject: x\r\n\r\nb\r\n", 550, "5.7.1"},
		{"recipient without domain", "reports@example.org", "root", goodHeader + "\r\nb\r\n", 550, "5.1.2"},
		{"recipient that a header cannot say", "reports@example.org", `"a,b"@example.net`, goodHeader + "\r\nb\r\n",
			550, "5.1.3"},
		{"NUL", "reports@example.org", "a@example.net", goodHeader + "\r\nb\x00c\r\n", 550, "5.6.0"},
		{"a field behind text", "reports@example.org", "a@example.net", goodHeader + "b\r\nBcc: c@example.net\r\n", 550,
			"5.6.0"},
		{"too big", "reports@example.org", "a@example.net", goodHeader + "\r\n" + big + "\r\n", 552, "5.3.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			id, err := b.send(t, c.from, []string{c.to}, c.text)
			e := reply.Of(err)
			if id != "" || e == nil || e.Code != c.code || e.Enhanced.String() != c.enhanced {
				t.Fatalf("got %q, %v; want %d %s", id, err, c.code, c.enhanced)
			}
			b.empty(t)
			if !strings.Contains(b.log.String(), "msg=refused") {
				t.Errorf("no line in the log: %s", b.log.String())
			}
		})
	}
}

func TestRejectsExtraRecipientsWhereConfigured(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Extra = message.RejectExtra })
	if _, err := b.send(t, "reports@example.org", []string{"b@example.net"},
		goodHeader+"\r\nb\r\n"); reply.Of(err) == nil || reply.Of(err).Code != 550 {
		t.Fatalf("err = %v, want 550", err)
	}
	b.empty(t)
}

func TestStrangersAreRefusedAtConnect(t *testing.T) {
	b := newBench(t)
	_, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("192.0.2.1:25")})
	if e := reply.Of(err); e == nil || e.Code != 554 || e.Enhanced.String() != "5.7.1" {
		t.Fatalf("err = %v, want 554 5.7.1", err)
	}
}

// brokenReader fails after some bytes, as a connection that dies in DATA.
type brokenReader struct{ r io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errors.New("connection reset")
	}
	return n, err
}

func TestAConnectionThatDiesInDataLeavesNothing(t *testing.T) {
	for _, text := range []string{goodHeader, goodHeader + "\r\nhalf a body", goodHeader + "\r\n" +
		strings.Repeat("line\r\n", 100_000)} {
		b := newBench(t)
		s, err := b.Connect(t.Context(), smtpd.Peer{Unix: true})
		if err != nil {
			t.Fatal(err)
		}
		tx, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr("reports@example.org")})
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rcpt(t.Context(), smtpd.RcptTo{Path: addr("a@example.net")}); err != nil {
			t.Fatal(err)
		}
		if id, err := tx.Data(t.Context(), brokenReader{strings.NewReader(text)}); err == nil {
			t.Fatalf("half a message was accepted as %s", id)
		}
		b.empty(t)
	}
}

// failing is a store that cannot do one thing.
type failing struct {
	spool.Intake
	admit, begin, commit error
}

func (f failing) Admit(string, int64) error { return f.admit }

func (f failing) Begin(ctx context.Context, client string, size int64) (spool.Draft, error) {
	if f.begin != nil {
		return nil, f.begin
	}
	d, err := f.Intake.Begin(ctx, client, size)
	return failingDraft{d, f.commit}, err
}

type failingDraft struct {
	spool.Draft
	commit error
}

func (d failingDraft) Commit(ctx context.Context, m spool.Message) error {
	if d.commit != nil {
		return d.commit
	}
	return d.Draft.Commit(ctx, m)
}

// 250 is never given for what the store did not confirm, and what a disk or a
// broken store causes is temporary.
func TestStoreFailuresAreTemporary(t *testing.T) {
	full, sick := fmt.Errorf("wrapped: %w", spool.ErrFull), fmt.Errorf("wrapped: %w", spool.ErrUnhealthy)
	for _, c := range []struct {
		name  string
		store failing
		want  string
	}{
		{"admit full", failing{admit: full}, "452 4.3.1"},
		{"admit unhealthy", failing{admit: sick}, "451 4.3.0"},
		{"begin full", failing{begin: full}, "452 4.3.1"},
		{"commit full", failing{commit: full}, "452 4.3.1"},
		{"commit unhealthy", failing{commit: sick}, "451 4.3.0"},
		{"commit unknown", failing{commit: errors.New("disk I/O error")}, "451 4.3.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, func(cfg *Config) { c.store.Intake = cfg.Store; cfg.Store = c.store })
			id, err := b.send(t, "reports@example.org", []string{"a@example.net"}, goodHeader+"\r\nb\r\n")
			if e := reply.Of(err); id != "" || e == nil || fmt.Sprintf("%d %s", e.Code, e.Enhanced) != c.want {
				t.Fatalf("got %q, %v; want %s", id, err, c.want)
			}
			if strings.Contains(reply.Of(err).Text, "disk I/O") {
				t.Error("the client reads the cause")
			}
			b.empty(t)
		})
	}
}

// departing is a store whose client goes away when the commit begins.
type departing struct {
	spool.Intake
	leave context.CancelFunc
}

func (s departing) Begin(ctx context.Context, client string, size int64) (spool.Draft, error) {
	d, err := s.Intake.Begin(ctx, client, size)
	return departingDraft{d, s.leave}, err
}

type departingDraft struct {
	spool.Draft
	leave context.CancelFunc
}

func (d departingDraft) Commit(ctx context.Context, m spool.Message) error {
	d.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.Draft.Commit(ctx, m)
}

// The client may be gone, but the record must say whether it got the message.
func TestACommitIsNotCancelledWhenTheClientGoesAway(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	b := newBench(t, func(c *Config) { c.Store = departing{c.Store, leave} })
	s, err := b.from(t, "127.0.0.1", smtpd.AuthOff)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.Mail(ctx, smtpd.MailFrom{Path: addr("reports@example.org")})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rcpt(ctx, smtpd.RcptTo{Path: addr("a@example.net")}); err != nil {
		t.Fatal(err)
	}
	id, err := tx.Data(ctx, strings.NewReader(goodHeader+"\r\nbody\r\n"))
	if err != nil {
		t.Fatalf("the commit was cancelled half-way: %v", err)
	}
	if ctx.Err() == nil {
		t.Error("the client did not go away: the test tests nothing")
	}
	if got := b.stored(t, id); !strings.HasSuffix(got, "\r\n\r\nbody\r\n") || len(b.notified) != 1 {
		t.Errorf("stored %q, notified %v", got, b.notified)
	}
}

func TestReceivedForms(t *testing.T) {
	m := &spool.Message{ID: "q", Accepted: time.Unix(0, 0).UTC()}
	peer := smtpd.Peer{Addr: netip.MustParseAddrPort("[::1]:9")}
	for _, c := range []struct {
		form ReceivedForm
		from smtpd.MailFrom
		want string
	}{
		{ReceivedFull, smtpd.MailFrom{Helo: "h", ESMTP: true, TLS: true},
			"Received: from h ([IPv6:::1])\r\n\tby r (graphrelay) with ESMTPS id q;\r\n" +
				"\tThu, 01 Jan 1970 00:00:00 +0000\r\n"},
		{ReceivedFull, smtpd.MailFrom{}, "Received: from unknown ([IPv6:::1])\r\n" +
			"\tby r (graphrelay) with SMTP id q;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"},
		{ReceivedShort, smtpd.MailFrom{Helo: "h", ESMTP: true, UTF8: true},
			"Received: by r (graphrelay) with UTF8SMTP id q;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"},
		{ReceivedOff, smtpd.MailFrom{}, ""},
	} {
		if got := c.form.field("r", c.from, peer, m); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// The Message-ID goes into log lines and onto terminals; the header keeps its own.
func TestAHostileMessageIDIsNotRepeated(t *testing.T) {
	b := newBench(t)
	hostile := "<\x1b[2J\x9b\xff@" + strings.Repeat("x", 100_000) + ">"
	id, err := b.send(t, "reports@example.org", []string{"a@example.net"},
		goodHeader+"Message-ID: "+hostile+"\r\n\r\nx\r\n")
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if want := "<?[2J??@"; !strings.HasPrefix(r.MessageID, want) || len(r.MessageID) > 998 {
		t.Errorf("the queue has %d bytes, %.40q", len(r.MessageID), r.MessageID)
	}
	if len(b.log.String()) > 3000 {
		t.Errorf("the log has %d bytes", b.log.Len())
	}
	if !strings.Contains(b.stored(t, id), "Message-ID: "+hostile+"\r\n") {
		t.Error("the message has another Message-ID than it came with")
	}
}

func TestCutKeepsWholeCharacters(t *testing.T) {
	for n := range 8 {
		if got := cut("aéü€", n); len(got) > n || !strings.HasPrefix("aéü€", got) ||
			strings.ContainsRune(got, '\uFFFD') {
			t.Errorf("cut(%d) = %q", n, got)
		}
	}
}

// Metrics count each message and each refusal, with its cause, and not
// of a connection that died.
func TestEvents(t *testing.T) {
	var events []Event
	b := newBench(t, func(c *Config) { c.OnEvent = func(e Event) { events = append(events, e) } })
	if _, err := b.send(t, "reports@example.org", []string{"a@example.net", "b@example.net"},
		goodHeader+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.send(t, "stranger@example.org", []string{"a@example.net"}, goodHeader+"\r\n"); err == nil {
		t.Fatal("a stranger's mail was accepted")
	}
	s, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("127.0.0.1:4711")})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr("reports@example.org")})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rcpt(t.Context(), smtpd.RcptTo{Path: addr("a@example.net")}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Data(t.Context(), io.MultiReader(strings.NewReader(goodHeader+"\r\n"), broken{})); err == nil {
		t.Fatal("half a message was accepted")
	}
	if len(events) != 2 {
		t.Fatalf("events = %+v, want two", events)
	}
	if e := events[0]; e.Refusal != nil || e.Mailbox != addr("mailbox@example.org") || e.Recipients != 2 ||
		e.Size == 0 || e.Client.Name != "local" {
		t.Errorf("accepted = %+v", e)
	}
	if e := events[1]; e.Refusal == nil || e.Refusal.Code != 550 || e.At != "mail" || e.Client.String() != "127.0.0.1" {
		t.Errorf("refused = %+v", e)
	}
}

// broken is a connection that dies.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
