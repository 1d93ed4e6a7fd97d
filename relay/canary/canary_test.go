package canary

import (
	"bytes"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
	"graphrelay/relay/state"
)

func addr(s string) envelope.Address {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		panic(err) // a literal of a test
	}
	return a
}

var box1 = addr("box@contoso.com")

// rig is a Canary with a queue in memory that reads mailboxes of the double; its mail is
// sent by send.
type rig struct {
	*Canary
	t      *testing.T
	store  *spooltest.Mem
	double *sandbox.Double
	to     string
	now    time.Time
	busy   bool // mail comes first
	log    strings.Builder
}

func newRig(t *testing.T, granted ...string) *rig {
	t.Helper()
	r := &rig{t: t, to: "check@contoso.com", now: noon}
	r.store = spooltest.NewMem(func() time.Time { return r.now })
	d, err := sandbox.New(sandbox.Options{Granted: granted})
	if err == nil {
		err = d.Start("")
	}
	if err != nil {
		t.Fatal(err)
	}
	r.double = d
	t.Cleanup(func() { _ = d.Close() })
	files, err := d.WriteFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	client, err := graph.New(graph.Config{
		Name:     "contoso",
		Identity: entra.Identity{TenantID: d.TenantID(), ClientID: d.ClientID(), SecretFile: files.Secret},
		CAFile:   files.CA, Login: base, Graph: base,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Canary = New(Config{
		Store: r.store,
		Settings: func() Settings {
			s := Settings{From: addr("relay@contoso.com"), Mailbox: box1, Hostname: "relay.contoso.local"}
			if r.to != "" {
				s.To = addr(r.to)
			}
			return s
		},
		Reader: func() Reader { return client },
		Aside:  func(envelope.Address) bool { return !r.busy },
		Notify: func(spool.Message) {},
		Now:    func() time.Time { return r.now }, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	return r
}

// again is the same Canary after a restart.
func (r *rig) again() { r.Canary = New(r.Config) }

// steps lets time pass in steps of a minute, and returns what operators are shown.
func (r *rig) steps(n int) state.Canary {
	r.t.Helper()
	for range n {
		if err := r.step(r.t.Context(), r.Settings()); err != nil {
			r.t.Fatal(err)
		}
		r.now = r.now.Add(time.Minute)
	}
	return *r.State()
}

// all are the canaries that were ever in the queue, oldest first.
func (r *rig) all() []spool.Record {
	r.t.Helper()
	list, err := r.store.List(r.t.Context(), spool.Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// settle is what becomes of the canary in the queue.
func (r *rig) settle(s spool.State, text string) spool.Record {
	r.t.Helper()
	recs, err := r.store.Claim(r.t.Context(), spool.Claim{Mailbox: addr("box@contoso.com"), Now: r.now})
	if err != nil || len(recs) != 1 {
		r.t.Fatalf("%d canaries wait: %v", len(recs), err)
	}
	if err := r.store.Settle(r.t.Context(), spool.Settlement{ID: recs[0].ID, Attempt: recs[0].Attempts, State: s,
		Text: text, At: r.now}); err != nil {
		r.t.Fatal(err)
	}
	return recs[0]
}

// receive delivers a message with these fields to the mailbox.
func (r *rig) receive(fields string) {
	r.double.Receive(r.to, []byte(strings.ReplaceAll(fields+"\n\nx\n", "\n", "\r\n")), r.now)
}

func (r *rig) fault() (list []string) {
	for key, f := range state.Faults(state.Snapshot{Canary: r.State()}, r.now) {
		list = append(list, key+": "+f.Headline)
	}
	return list
}

const granted = "Mail.ReadBasic"

func TestACanaryArrives(t *testing.T) {
	r := newRig(t, granted)
	if s := r.steps(1); s.Stage != "queued" || s.Address != "check@contoso.com" || !s.Accepted.Equal(noon) {
		t.Errorf("before it is sent: %+v", s)
	}
	rec := r.settle(spool.Sent, "")
	r.receive("Message-ID: <other@contoso.com>\nSubject: of somebody else")
	if s := r.steps(3); s.Stage != "sent" || len(r.fault()) > 0 {
		t.Errorf("on its way: %+v, %v", s, r.fault())
	}
	r.receive("Message-ID: " + rec.MessageID)
	s := r.steps(1)
	if s.Stage != "arrived" || s.Travel != 240 || !s.Arrived.Equal(noon.Add(4*time.Minute)) || s.ID != string(rec.ID) {
		t.Errorf("it arrived four minutes later: %+v", s)
	}
	r.again()
	if s := r.steps(1); s.Stage != "arrived" || s.Travel != 240 || len(r.all()) != 1 {
		t.Errorf("after a restart: %+v, and %d canaries", s, len(r.all()))
	}
}

// follower is the store of a node that does not lead.
type follower struct{ Store }

func (follower) Leads() bool { return false }

// Of several nodes the one that leads sends and looks, and each shows how far the canary is. One
// that begins to lead goes on with the canary under way, and sends the next a day after it.
func TestTheNodeThatLeadsSends(t *testing.T) {
	r := newRig(t, granted)
	other := New(r.Config)
	other.Store = follower{r.store}
	see := func() state.Canary {
		if err := other.step(t.Context(), r.Settings()); err != nil {
			t.Fatal(err)
		}
		return *other.State()
	}
	see()
	if n := len(r.all()); n != 0 {
		t.Fatalf("%d canaries of a node that does not lead", n)
	}
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	r.receive("Message-ID: " + rec.MessageID)
	if s := see(); s.Stage != "sent" || s.ID != string(rec.ID) {
		t.Errorf("the other node shows %+v", s)
	}
	other.Store, r.Store = r.store, follower{r.store}
	if s := see(); s.Stage != "arrived" {
		t.Errorf("the node that leads now shows %+v", s)
	}
	if s := r.steps(1); s.Stage != "arrived" || len(r.all()) != 1 {
		t.Errorf("the node that led shows %+v of %d", s, len(r.all()))
	}
	r.now = noon.Add(Every)
	if see(); len(r.all()) != 2 {
		t.Errorf("%d canaries after a day", len(r.all()))
	}
}

// The message is mail that says what it is, whom nobody answers, and that has the smallest share.
func TestWhatACanaryLooksLike(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.all()[0]
	body, err := r.store.Open(t.Context(), rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for _, want := range []string{"From: <relay@contoso.com>\r\n", "To: <check@contoso.com>\r\n",
		"Subject: graphrelay canary: nothing to do\r\n", "Auto-Submitted: auto-generated\r\n",
		"X-Auto-Response-Suppress: All\r\n", "Message-ID: " + rec.MessageID + "\r\n",
		"X-Graphrelay-ID: " + bounce.Key(r.store.Key()).ID(rec.ID) + "\r\n", "It can be deleted at any time"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("it lacks %q:\n%s", want, raw)
		}
	}
	if strings.Contains(strings.ReplaceAll(string(raw), "\r\n", ""), "\n") || int(rec.HeaderSize) != len(header)+4 {
		t.Errorf("line ends, or a header of %d bytes in\n%q", rec.HeaderSize, raw)
	}
	if !rec.Envelope.ReversePath.IsZero() || !rec.Automatic || rec.Turn().Client != Client {
		t.Errorf("it is %+v", rec.Message)
	}
}

// In Junk Email it is found soon, and has arrived when somebody moves it, old as its date is then.
func TestACanaryInJunkEmail(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	arrived := r.now
	raw := []byte("Message-ID: " + rec.MessageID + "\r\n\r\nx\r\n")
	r.double.Advance(time.Until(r.now))
	r.double.Junk(r.to, raw)
	if s := r.steps(6); s.Stage != "missing" ||
		strings.Join(r.fault(), "") != "canary: Canary was moved to Junk Email, as other mail of the relay may be" {
		t.Errorf("%+v, %v", s, r.fault())
	}
	if f := state.Faults(state.Snapshot{Canary: r.State()}, r.now)["canary"]; !strings.HasPrefix(f.Remedy,
		"mark it as not junk in the mailbox, and allow the sender address for the tenant") {
		t.Errorf("%+v", f)
	}
	r.now = r.now.Add(time.Hour)
	r.receive("Message-ID: <other@contoso.com>")
	r.steps(2)
	r.double.Receive(r.to, raw, arrived)
	if s := r.steps(10); s.Stage != "arrived" || len(r.fault()) > 0 {
		t.Errorf("moved to the Inbox: %+v, %v", s, r.fault())
	}
}

// A message with a date of the future hides no later one.
func TestAWrongDateInTheInbox(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	r.double.Receive(r.to, []byte("Message-ID: <other@contoso.com>\r\n\r\nx\r\n"), noon.AddDate(50, 0, 0))
	r.steps(1)
	r.receive("Message-ID: " + rec.MessageID)
	if s := r.steps(1); s.Stage != "arrived" {
		t.Errorf("%+v", s)
	}
}

// Exchange may replace the Message-ID: then our own ID finds it.
func TestACanaryIsFoundByOurID(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	r.receive("Message-ID: <replaced@prod.exchange.example>\nx-graphrelay-id: " + bounce.Key(r.store.Key()).ID(rec.ID))
	if s := r.steps(1); s.Stage != "arrived" {
		t.Errorf("%+v", s)
	}
}

// A canary that does not arrive is a fault until one does, across restarts; the next is sent a day later.
func TestACanaryGoesMissing(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	r.settle(spool.Sent, "")
	if s := r.steps(60); s.Stage != "sent" || len(r.fault()) > 0 {
		t.Errorf("after 59 minutes: %+v", s)
	}
	if s := r.steps(3); s.Stage != "missing" ||
		strings.Join(r.fault(), "") != "canary: Canary has not arrived an hour after Microsoft accepted it" {
		t.Errorf("after an hour: %+v, %v", s, r.fault())
	}
	since := r.State().Since
	r.again()
	if s := r.steps(10); len(r.fault()) != 1 || !s.Since.Equal(since) || len(r.all()) != 1 {
		t.Errorf("after a restart: %+v, and %d canaries", s, len(r.all()))
	}
	r.now = noon.Add(Every)
	if s := r.steps(1); s.Stage != "queued" || len(r.all()) != 2 || len(r.fault()) != 1 {
		t.Errorf("a day later: %+v, %v, and %d canaries", s, r.fault(), len(r.all()))
	}
	r.steps(30)
	if len(r.all()) != 2 {
		t.Errorf("%d canaries while one waits", len(r.all()))
	}
	rec := r.settle(spool.Sent, "")
	r.receive("Message-ID: " + rec.MessageID)
	if s := r.steps(1); s.Stage != "arrived" || len(r.fault()) > 0 {
		t.Errorf("the next one arrived: %+v, %v", s, r.fault())
	}
}

func TestALateCanaryEndsTheFault(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	if r.steps(120); len(r.fault()) != 1 {
		t.Fatal("no fault after two hours")
	}
	r.receive("Message-ID: " + rec.MessageID)
	if s := r.steps(1); s.Stage != "arrived" || len(r.fault()) > 0 || s.Travel != 7260 {
		t.Errorf("%+v, %v", s, r.fault())
	}
}

func TestACanaryThatFails(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.settle(spool.Failed, "Microsoft refuses the recipient; correct it [ErrorInvalidRecipients]")
	r.steps(1)
	f := state.Faults(state.Snapshot{Canary: r.State()}, r.now)["canary"]
	if f.Headline != "Canary could not be delivered" || f.Remedy != "see why with graphrelay trace "+string(rec.ID) ||
		!strings.Contains(f.Detail, "Microsoft refuses the recipient") {
		t.Errorf("%+v", f)
	}
	if r.steps(60); len(r.all()) != 1 {
		t.Errorf("%d canaries within a day", len(r.all()))
	}
}

// Where tracking finds that it came back, nobody waits an hour.
func TestACanaryThatBounces(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	if _, err := r.store.Bounced(t.Context(), spool.Event{ID: rec.ID, At: r.now, Kind: spool.EventBounced,
		Recipient: addr(r.to)}); err != nil {
		t.Fatal(err)
	}
	if s := r.steps(1); s.Stage != "failed" || len(r.fault()) != 1 {
		t.Errorf("%+v, %v", s, r.fault())
	}
}

// A mailbox that may not be read, or is not there, is a fault at once, with what to do.
func TestAMailboxThatCannotBeRead(t *testing.T) {
	r := newRig(t)
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	r.steps(1)
	f := state.Faults(state.Snapshot{Canary: r.State()}, r.now)["canary-mailbox"]
	if f.Headline != "App may not read the mailbox of audit.canary" || !f.Warning ||
		!strings.Contains(f.Remedy, `grant it "Application Mail.ReadBasic" for this mailbox with the script of `+
			`graphrelay setup`) {
		t.Errorf("without the right: %+v", f)
	}
	r.double.SetGranted(granted)
	r.double.SetMailboxes([]string{"box@contoso.com"})
	r.steps(1)
	f = state.Faults(state.Snapshot{Canary: r.State()}, r.now)["canary-mailbox"]
	if f.Headline != "Mailbox of audit.canary does not exist in Exchange Online" ||
		!strings.Contains(f.Remedy, "correct audit.canary, or create the mailbox") {
		t.Errorf("without the mailbox: %+v", f)
	}
	r.double.SetMailboxes(nil)
	r.receive("Message-ID: " + rec.MessageID)
	if s := r.steps(1); s.Stage != "arrived" || len(r.fault()) > 0 {
		t.Errorf("with both: %+v, %v", s, r.fault())
	}
	if n := strings.Count(r.log.String(), "cannot look for a canary"); n != 1 {
		t.Errorf("%d lines say that the mailbox cannot be read", n)
	}
}

// While Graph does not answer, it says nothing about the canary: a fault of its own, an hour later.
func TestAMailboxThatDoesNotAnswer(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	r.settle(spool.Sent, "")
	if err := r.double.Inject(sandbox.Fault{Endpoint: "search", Status: 503}); err != nil {
		t.Fatal(err)
	}
	if r.steps(50); len(r.fault()) > 0 {
		t.Errorf("after 50 minutes: %v", r.fault())
	}
	r.now = r.now.Add(time.Hour)
	if s := r.steps(1); s.Stage != "sent" ||
		strings.Join(r.fault(), "") != "canary-mailbox: Mailbox of audit.canary cannot be read" {
		t.Errorf("after two hours: %+v, %v", s, r.fault())
	}
}

func TestMailComesBeforeTheCanary(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	rec := r.settle(spool.Sent, "")
	r.receive("Message-ID: " + rec.MessageID)
	r.busy = true
	if r.steps(90); r.double.Stats().Answers["search"][200] > 0 || len(r.fault()) > 0 {
		t.Errorf("the mailbox was read: %v, or %v", r.double.Stats().Answers, r.fault())
	}
	r.busy = false
	if s := r.steps(1); s.Stage != "arrived" {
		t.Errorf("%+v", s)
	}
}

// Another address is another canary, and without one nothing is sent or shown.
func TestTheAddressChanges(t *testing.T) {
	r := newRig(t, granted)
	r.steps(1)
	r.to = "other@contoso.com"
	if s := r.steps(1); s.Address != r.to || len(r.all()) != 2 {
		t.Errorf("%+v, and %d canaries", s, len(r.all()))
	}
	r.to = ""
	if r.State() != nil {
		t.Error("a canary is shown without an address")
	}
}

// Nodes that share a queue share its canary: what one has sent, the other looks for and does not send again.
func TestTwoNodesShareACanary(t *testing.T) {
	r := newRig(t, granted)
	one, other := r.Canary, New(r.Config)
	r.steps(1)
	r.Canary = other
	r.steps(2)
	rec := r.settle(spool.Sent, "")
	r.receive("Message-ID: " + rec.MessageID)
	if s := r.steps(1); s.Stage != "arrived" || len(r.all()) != 1 {
		t.Errorf("%+v, and %d canaries", s, len(r.all()))
	}
	r.Canary = one
	if s := r.steps(1); s.Stage != "arrived" || len(r.all()) != 1 || len(r.fault()) > 0 {
		t.Errorf("the first node: %+v, and %d canaries", s, len(r.all()))
	}
}

// A crash between the note and the commit sends the canary, one between the commit and the second note
// sends no other.
func TestACrashWhileACanaryIsQueued(t *testing.T) {
	r := newRig(t, granted)
	if err := r.store.Note(t.Context(), noteKey, `{"to":"check@contoso.com","message_id":"<a@b>",`+
		`"begun":"2026-11-30T11:59:00Z"}`); err != nil {
		t.Fatal(err)
	}
	if s := r.steps(1); s.Stage != "queued" || len(r.all()) != 1 {
		t.Errorf("before the commit: %+v, and %d canaries", s, len(r.all()))
	}
	noted, err := r.store.Noted(t.Context(), noteKey)
	if err == nil {
		err = r.store.Note(t.Context(), noteKey, strings.Replace(noted, `"queued":true`, `"queued":false`, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	r.again()
	if s := r.steps(2); s.Stage != "queued" || len(r.all()) != 1 {
		t.Errorf("after the commit: %+v, and %d canaries", s, len(r.all()))
	}
}
