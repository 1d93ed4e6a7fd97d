package tracking

import (
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/graphtest"
	"graphrelay/relay/reply"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

func addr(s string) envelope.Address {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		panic(err) // a literal of a test
	}
	return a
}

var box1 = addr("box@contoso.com")

// rig is a Tracker with a queue in memory that reads mailboxes of the double.
type rig struct {
	*Tracker
	t      *testing.T
	store  *spooltest.Mem
	double *sandbox.Double

	mu       sync.Mutex
	busy     bool // mail comes first
	settings Settings
	events   map[Event]int
	alarms   map[string]string
	recorded int
	asides   int
	log      strings.Builder
}

func newRig(t *testing.T, full bool, granted ...string) *rig {
	t.Helper()
	r := &rig{
		t: t, store: spooltest.NewMem(time.Now), events: map[Event]int{}, alarms: map[string]string{},
		settings: Settings{On: true, Full: full, History: 30 * 24 * time.Hour},
	}
	d, cfg := graphtest.Start(t, sandbox.Options{Granted: granted})
	r.double = d
	client, err := graph.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Tracker = New(Config{
		Store: r.store, Settings: func() Settings { return r.settings },
		Reader: func(envelope.Address) (Reader, string, bool) { return client, "contoso", true },
		Aside: func(envelope.Address) bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.asides++
			return !r.busy
		},
		Recorded: func() { r.recorded++ },
		OnEvent: func(e Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events[e]++
		},
		Alarm: func(key, text string, firing bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if delete(r.alarms, key); firing {
				r.alarms[key] = text
			}
		},
		Now: time.Now, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	return r
}

// again is the same Tracker after a restart.
func (r *rig) again() {
	r.Tracker = New(r.Config)
}

// sent is a message that was sent.
func (r *rig) sent(messageID string, to ...string) spool.Message {
	r.t.Helper()
	now := time.Now()
	m := spool.Message{
		ID: envelope.NewQueueID(now), Mailbox: box1, From: box1, MessageID: messageID, Accepted: now,
		Client: envelope.Client{Name: "erp"}, Envelope: envelope.Envelope{ReversePath: addr("erp@contoso.com")},
	}
	for _, a := range to {
		m.Envelope.Recipients = append(m.Envelope.Recipients, addr(a))
	}
	d, err := r.store.Begin(r.t.Context(), "", 0)
	if err == nil {
		err = d.Commit(r.t.Context(), m)
	}
	if err == nil {
		_, err = r.store.Claim(r.t.Context(), spool.Claim{Mailbox: box1, Now: time.Now(), Limit: 1})
	}
	if err == nil {
		err = r.store.Settle(r.t.Context(), spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Sent, At: time.Now()})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// about is what an NDR says of a message.
func (r *rig) about(m spool.Message, at time.Time) sandbox.Bounced {
	b := sandbox.Bounced{Mailbox: m.Mailbox.String(), MessageID: m.MessageID, At: at.UTC()}
	for _, to := range m.Envelope.Recipients {
		b.To = append(b.To, to.String())
	}
	b.Header = "X-Graphrelay-ID: " + bounce.Key(r.store.Key()).ID(m.ID) + "\nFrom: " + m.From.String() + "\nTo: " +
		strings.Join(b.To, ", ") + "\nMessage-ID: " + m.MessageID + "\n"
	return b
}

func (r *rig) arrives(shape string, b sandbox.Bounced) {
	r.t.Helper()
	raw, err := sandbox.NDR(shape, b)
	if err != nil {
		r.t.Fatal(err)
	}
	r.double.Receive(b.Mailbox, raw, b.At)
}

func (r *rig) fates(m spool.Message) []spool.Fate {
	r.t.Helper()
	history, err := r.store.History(r.t.Context(), m.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return spool.Fates(m, history)
}

func (r *rig) count(result Result) (n int) {
	for e, times := range r.events {
		if e.Result == result {
			n += times
		}
	}
	return n
}

// A mailbox with 10,000 mails, of which 300 are reports of 34 shapes about ours: each is
// matched, no other is, and each recipient's fate is right. The mailbox stays as it was.
func TestThreeHundredOfTenThousand(t *testing.T) {
	r := newRig(t, true, "Mail.Read")
	shapes, lookalikes := sandbox.Shapes(), sandbox.Lookalikes()
	plain := []string{"newsletter", "reply", "out-of-office", "receipt", "forwarded-ndr"}
	type bounced struct {
		message spool.Message
		shape   string
	}
	var all []bounced
	var silent []spool.Message
	begin := time.Now().Add(-time.Hour)
	for i := range 300 {
		shape := shapes[i%len(shapes)]
		m := r.sent(fmt.Sprintf("<%d@erp.contoso.local>", i),
			fmt.Sprintf("r%d@example.net", i), fmt.Sprintf("s%d@example.net", i))
		all = append(all, bounced{m, shape})
		if i%10 == 0 {
			silent = append(silent, r.sent(fmt.Sprintf("<silent-%d@erp>", i), fmt.Sprintf("silent%d@example.net", i)))
		}
	}
	for i := range 10_000 {
		at := begin.Add(time.Duration(i) * time.Second / 4)
		if i%33 == 7 && i/33 < 300 {
			b := r.about(all[i/33].message, time.Now())
			b.To = b.To[:1]
			b.At = time.Now().UTC().Add(time.Duration(i-10_000) * time.Millisecond)
			r.arrives(all[i/33].shape, b)
			continue
		}
		b := r.about(silent[i%len(silent)], at)
		if i%10 == 0 {
			r.arrives(lookalikes[i/10%len(lookalikes)], b)
		} else {
			r.arrives(plain[i%len(plain)], b)
		}
	}
	before := r.double.Inbox(box1.String())
	r.round(t.Context())
	for _, b := range all {
		fates, want := r.fates(b.message), spool.EventBounced
		if strings.HasPrefix(b.shape, "delayed") {
			want = spool.EventDelayed
		}
		if b.shape == "without-status" { // it does not say whom it is about
			if len(fates) != 3 || fates[2].Kind != want || !fates[2].Probable || fates[0].Kind != spool.EventSent {
				t.Errorf("%s: %+v", b.shape, fates)
			}
			continue
		}
		if len(fates) != 2 || fates[0].Kind != want || fates[0].Probable != (b.shape == "keyless") ||
			!fates[0].Recipient.Equal(b.message.Envelope.Recipients[0]) || fates[1].Kind != spool.EventSent ||
			fates[0].Status.String() != sandbox.Code(b.shape) || !strings.Contains(fates[0].Text, "made for a test") {
			t.Errorf("%s: %+v", b.shape, fates)
		}
	}
	for _, m := range silent {
		for _, f := range r.fates(m) {
			if f.Kind != spool.EventSent {
				t.Errorf("%s got a bounce that is not about it: %+v", m.MessageID, f)
			}
		}
	}
	if n := r.count(Matched) + r.count(Probable); n != 300 {
		t.Errorf("%d reports were matched: %v", n, r.events)
	}
	if after := r.double.Inbox(box1.String()); !reflect.DeepEqual(after, before) || len(before) != 10_000 {
		t.Errorf("the mailbox has %d messages, and had %d, or one has changed", len(after), len(before))
	}
	if list, n := r.double.Refusals(); n != 0 {
		t.Errorf("the double refused %+v", list)
	}
	for endpoint := range r.double.Stats().Answers { // what marks as read, moves or deletes would be another
		if !slices.Contains([]string{"token", "discovery", "search", "mime"}, endpoint) {
			t.Errorf("a request to %s, which could change a mailbox", endpoint)
		}
	}
	matched := r.count(Bounced) + r.count(Delayed)
	r.again() // what was read before a restart is not read again, or changes nothing
	r.round(t.Context())
	if n := r.count(Bounced) + r.count(Delayed); n != matched {
		t.Errorf("after a restart %d bounces were recorded again", n-matched)
	}
}

// With the header alone a report of Exchange about a message to one recipient is known.
func TestHeaderAlone(t *testing.T) {
	r := newRig(t, false, "Mail.ReadBasic")
	one := r.sent("<1@erp>", "one@example.net")
	two := r.sent("<2@erp>", "a@example.net", "b@example.net")
	late := r.sent("<3@erp>", "late@example.net")
	for shape, m := range map[string]spool.Message{"exchange-german": one, "exchange": two, "delayed": late} {
		r.arrives(shape, r.about(m, time.Now()))
	}
	r.arrives("out-of-office", r.about(one, time.Now()))
	r.round(t.Context())
	if f := r.fates(one); len(f) != 1 || f[0].Kind != spool.EventBounced || f[0].Probable {
		t.Errorf("one recipient: %+v", f)
	}
	if f := r.fates(two); len(f) != 3 || f[2].Kind != spool.EventBounced || !f[2].Probable || !f[2].Recipient.IsZero() {
		t.Errorf("two recipients: %+v", f)
	}
	if f := r.fates(late); len(f) != 1 || !f[0].Probable {
		t.Errorf("a delay, which the header does not name: %+v", f)
	}
	if len(r.alarms) != 0 {
		t.Errorf("alarms: %v", r.alarms)
	}
}

// Each further key finds its message, and none that is not named by it.
func TestMatching(t *testing.T) {
	r := newRig(t, true, "Mail.Read")
	same := []spool.Message{r.sent("<same@erp>", "a@example.net"), r.sent("<same@erp>", "b@example.net")}
	b := r.about(same[0], time.Now())
	r.arrives("exchange", b)
	other := r.sent("<other@erp>", "c@example.net")
	b = r.about(other, time.Now())
	b.To = []string{"stranger@example.net"} // our ID alone, for a recipient that the message never had
	r.arrives("other-message-id", b)
	group := r.sent("<group@erp>", "group@contoso.com")
	b = r.about(group, time.Now())
	b.To = []string{"member@contoso.com"}
	r.arrives("exchange", b)
	b = r.about(group, time.Now())
	b.Mailbox = "other@contoso.com" // nobody has sent from there
	r.arrives("exchange", b)
	r.round(t.Context())
	if f := r.fates(same[0]); f[0].Kind != spool.EventBounced || f[0].Probable ||
		f[0].Status != (reply.Enhanced{5, 1, 10}) {
		t.Errorf("the one of two messages with this Message-ID: %+v", f)
	}
	if f := r.fates(same[1]); f[0].Kind != spool.EventSent {
		t.Errorf("the other one: %+v", f)
	}
	if f := r.fates(other); len(f) != 1 || f[0].Kind != spool.EventSent {
		t.Errorf("a stranger: %+v", f)
	}
	if f := r.fates(group); f[0].Kind != spool.EventBounced || !strings.HasPrefix(f[0].Text, "member@contoso.com: ") {
		t.Errorf("a group: %+v", f)
	}
	if r.count(Foreign) != 1 || r.recorded != 2 {
		t.Errorf("events %v, recorded %d", r.events, r.recorded)
	}
}

// A mailbox that may not be read raises an alarm, and none that can.
func TestAMailboxThatMayNotBeRead(t *testing.T) {
	r := newRig(t, true)
	m := r.sent("<1@erp>", "one@example.net")
	r.arrives("exchange", r.about(m, time.Now()))
	r.round(t.Context())
	text := r.alarms["bounces:box@contoso.com"]
	if !strings.Contains(text, `grant it "Application Mail.Read"`) || r.count(Refused) != 1 ||
		!strings.Contains(r.log.String(), "cannot read a mailbox for bounces; mail is not affected") {
		t.Errorf("alarm %q, events %v, log %s", text, r.events, r.log.String())
	}
	r.double.SetGranted("Mail.Read")
	r.round(t.Context())
	if f := r.fates(m); f[0].Kind != spool.EventBounced || len(r.alarms) != 0 {
		t.Errorf("once it may: %+v, %v", f, r.alarms)
	}
}

// follower is the store of a node that does not lead.
type follower struct{ Store }

func (follower) Leads() bool { return false }

// Of several nodes the one that leads reads; one that stops forgets how far it was, since
// another reads on, and has no alarm about what it does not read any more.
func TestTheNodeThatLeadsReads(t *testing.T) {
	r := newRig(t, true)
	m := r.sent("<1@erp>", "one@example.net")
	r.arrives("exchange", r.about(m, time.Now()))
	r.turn(t.Context())
	if len(r.alarms) != 1 || len(r.list()) != 1 {
		t.Fatalf("alarms %v, mailboxes %v", r.alarms, r.list())
	}
	r.double.SetGranted("Mail.Read")
	asked := r.asides
	r.Store = follower{r.store}
	r.turn(t.Context())
	if f := r.fates(m); f[0].Kind != spool.EventSent || r.asides != asked || len(r.alarms) != 0 || len(r.list()) != 0 {
		t.Errorf("%+v, %d requests, alarms %v, mailboxes %v", f, r.asides-asked, r.alarms, r.list())
	}
	r.Store = r.store
	r.turn(t.Context())
	if f := r.fates(m); f[0].Kind != spool.EventBounced {
		t.Errorf("once it leads: %+v", f)
	}
}

// Where the list may be read and a report may not, the alarm stays until it may; and what Graph
// fails to show for good stops no other report.
func TestAReportThatMayNotBeRead(t *testing.T) {
	r := newRig(t, true, "Mail.ReadBasic")
	raised := 0
	alarm := r.Alarm
	r.Alarm = func(key, text string, firing bool) {
		if alarm(key, text, firing); firing {
			raised++
		} else {
			raised = -100
		}
	}
	odd, other := r.sent("<1@erp>", "one@example.net"), r.sent("<2@erp>", "two@example.net")
	r.arrives("exchange", r.about(odd, time.Now()))
	for range 3 {
		r.round(t.Context())
	}
	if raised < 1 || len(r.alarms) != 1 {
		t.Errorf("the alarm comes and goes: %d, %v", raised, r.alarms)
	}
	r.double.SetGranted("Mail.Read")
	if err := r.double.Inject(sandbox.Fault{Endpoint: "mime", Count: maxTries,
		Status: http.StatusInternalServerError, Code: "ErrorMimeContentConversionFailed"}); err != nil {
		t.Fatal(err)
	}
	r.arrives("exchange", r.about(other, time.Now().Add(time.Second)))
	for range maxTries {
		r.round(t.Context())
	}
	if f := r.fates(other); f[0].Kind != spool.EventBounced || f[0].Probable || r.count(Unreadable) != 1 {
		t.Errorf("the other report waits: %+v, %v", f, r.events)
	}
	if f := r.fates(odd); f[0].Kind != spool.EventBounced || f[0].Status != (reply.Enhanced{}) || len(r.alarms) != 0 {
		t.Errorf("of the odd one its header is known: %+v, %v", f, r.alarms)
	}
}

// Each report that says nothing is a line in the log and counted, and stops no other.
func TestBadReports(t *testing.T) {
	r := newRig(t, true, "Mail.Read")
	m, other := r.sent("<1@erp>", "one@example.net"), r.sent("<2@erp>", "two@example.net")
	if err := r.double.Inject(sandbox.Fault{Endpoint: "mime", Count: 1, Status: 200, Body: "<html>\r\n"}); err != nil {
		t.Fatal(err)
	}
	r.arrives("exchange", r.about(m, time.Now().Add(-3*time.Second)))
	r.arrives("bomb", r.about(other, time.Now().Add(-2*time.Second)))
	r.arrives("ndr-of-other-relay", r.about(other, time.Now().Add(-time.Second)))
	r.arrives("exchange", r.about(other, time.Now()))
	r.round(t.Context())
	if f := r.fates(m); f[0].Kind != spool.EventBounced || f[0].Status != (reply.Enhanced{}) {
		t.Errorf("its content is no report, and its header is: %+v", f)
	}
	if f := r.fates(other); f[0].Kind != spool.EventBounced || f[0].Status != (reply.Enhanced{5, 1, 10}) {
		t.Errorf("the good one: %+v", f)
	}
	log := r.log.String()
	if r.count(Unreadable) != 2 || r.count(Foreign) != 1 || r.count(Matched) != 2 ||
		strings.Count(log, "cannot read a report in a mailbox") != 2 ||
		!strings.Contains(log, "too many or nested too deep") || !strings.Contains(log, "not in the history") {
		t.Errorf("events %v, log %s", r.events, log)
	}
}

// Mail comes first; 410 begins again; what Graph asks for is granted; a store that takes nothing loses nothing.
func TestNothingIsLostOnTheWay(t *testing.T) {
	r := newRig(t, true, "Mail.Read")
	m := r.sent("<1@erp>", "one@example.net")
	r.arrives("exchange", r.about(m, time.Now()))
	quiet := func(why string) {
		t.Helper()
		r.round(t.Context())
		if f := r.fates(m); f[0].Kind != spool.EventSent {
			t.Errorf("%s: %+v", why, f)
		}
	}
	r.busy = true
	quiet("mail comes first")
	if n := len(r.double.Stats().Answers["search"]); n != 0 {
		t.Errorf("%d requests went before mail", n)
	}
	r.busy = false
	for _, status := range []int{http.StatusGone, http.StatusServiceUnavailable} {
		if err := r.double.Inject(sandbox.Fault{Endpoint: "search", Status: status, Count: 1}); err != nil {
			t.Fatal(err)
		}
		quiet(fmt.Sprint("HTTP ", status))
	}
	if !strings.Contains(r.log.String(), "it is read again from the beginning") {
		t.Errorf("the log says nothing of 410: %s", r.log.String())
	}
	if r.count(Failed) != 2 {
		t.Errorf("events %v", r.events)
	}
	for _, b := range r.list() {
		b.wait = time.Time{}
	}
	r.store.Inject(func(f *spooltest.Faults) {
		f.FailIf = func(op string, _ envelope.QueueID) error {
			if op == "bounced" {
				return spool.ErrFull
			}
			return nil
		}
	})
	quiet("the store is full")
	r.store.Inject(func(f *spooltest.Faults) { f.FailIf = nil })
	r.round(t.Context())
	if f := r.fates(m); f[0].Kind != spool.EventBounced {
		t.Errorf("in the end: %+v", f)
	}
}

// Limits of the mailbox or the tenant are alarms with their meaning, and so is a client much of
// whose mail bounces.
func TestAlarms(t *testing.T) {
	r := newRig(t, true, "Mail.Read")
	for _, shape := range []string{"tenant-limit", "tenant-limit-trial", "onmicrosoft-limit", "mailbox-limit"} {
		r.arrives(shape, r.about(r.sent("<"+shape+"@erp>", shape+"@example.net"), time.Now()))
	}
	for i := range fewest + 5 {
		r.arrives("exchange", r.about(r.sent(fmt.Sprintf("<%d@erp>", i), "dead@example.net"), time.Now()))
	}
	r.round(t.Context())
	r.watch.clients["erp"] = time.Time{}
	r.arrives("exchange", r.about(r.sent("<last@erp>", "dead@example.net"), time.Now()))
	r.round(t.Context())
	clients, limited := 0, map[string]int{}
	for e, times := range r.events {
		if e.Client == "erp" {
			clients += times
		}
		if e.Limit != "" {
			limited[e.Limit] += times
		}
	}
	if clients != fewest+10 || fmt.Sprint(limited) != "map[5.1.90:1 5.7.232:1 5.7.233:1 5.7.236:1]" {
		t.Errorf("%d bounces count for the client, and of the limits %v", clients, limited)
	}
	for _, key := range []string{"bounce-code:5.7.232", "bounce-code:5.7.233", "bounce-code:5.7.236",
		"bounce-code:5.1.90", "bounce-share:erp"} {
		if r.alarms[key] == "" {
			t.Errorf("no alarm %s in %v", key, r.alarms)
		}
	}
	for key, meaning := range map[string]string{"5.7.232": "Trial tenant has", "5.7.233": "Tenant has"} {
		if text := r.alarms["bounce-code:"+key]; !strings.HasPrefix(text, meaning) {
			t.Errorf("%s means %q", key, text)
		}
	}
	for text := range limits {
		if m := limits[text]; len(m[0]) > 100 || strings.Contains(m[0], "; ") || m[1] == "" {
			t.Errorf("%v: %q", text, m)
		}
	}
	r.watch.end(r.Tracker, time.Now().Add(25*time.Hour))
	if len(r.alarms) != 0 {
		t.Errorf("a day later: %v", r.alarms)
	}
}

// Where Graph shows no headers, header finds nothing and says so; full does.
func TestGraphThatShowsNoHeaders(t *testing.T) {
	r := newRig(t, false, "Mail.Read")
	r.sent("<1@erp>", "one@example.net")
	for range blindAfter {
		r.double.Receive(box1.String(), []byte("\r\nno header\r\n"), time.Now())
	}
	r.round(t.Context())
	if text := r.alarms["bounce-headers:box@contoso.com"]; !strings.Contains(text, "set track_bounces to full") {
		t.Errorf("alarms: %v", r.alarms)
	}
	r.settings.Full = true
	m := r.sent("<2@erp>", "two@example.net")
	r.arrives("exchange", r.about(m, time.Now()))
	r.round(t.Context())
	if f := r.fates(m); f[0].Kind != spool.EventBounced || len(r.alarms) != 0 {
		t.Errorf("with full: %+v, %v", f, r.alarms)
	}
}
