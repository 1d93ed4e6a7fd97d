package delivery

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite"
)

const (
	weekBoxes   = 8
	weekLatency = 200 * time.Millisecond
	weekMemory  = 100 << 20
)

// badWeek is a relay and a tenant in which everything goes wrong. All parts are
// the real ones: delivery, the store on disk, the client of Graph with its HTTP/2
// and TLS, and the double of Entra and Graph. Only the clock and the network
// between client and double are those of testing/synctest.
type badWeek struct {
	*Delivery
	t       *testing.T
	referee *referee
	log     *logBook
	alarms  *alarms
	double  *sandbox.Double
	store   *sqlite.Store
	secret  string // file
	boxes   []envelope.Address
	deleted envelope.Address
	reports envelope.Address // whose mailbox sends them

	gone                time.Time // since then the deleted mailbox is
	heldFrom            time.Time // since then its own hold is on
	holdFrom, holdUntil time.Time // of the identity

	mu       sync.Mutex
	accepted []letter
	poison   envelope.QueueID
	arrived  map[envelope.QueueID]int // reports at the double, by the message reported
}

// letter is a message that the relay took.
type letter struct {
	id        envelope.QueueID
	messageID string
	mailbox   envelope.Address
	at        time.Time
}

// TestBadWeek: on Friday evening the secret expires, and thousands of messages
// arrive until Monday morning; then Graph throttles hard while they drain, one
// mailbox was deleted, and one message is poison. At the end each message was
// sent once, or failed with one report that arrived, and none of them waited
// longer than the rules say (referee).
func TestBadWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2000, 1, 7, 17, 0, 0, 0, time.UTC))) // a Friday
		w := newBadWeek(t)
		defer w.start()()
		memory := watchMemory()
		w.friday()
		w.weekend()
		most := memory()
		w.monday(func() { most = max(most, memory()) })
		w.restOfTheWeek()
		w.check()
		if most = max(most, memory()); most > weekMemory {
			t.Errorf("%d MB of memory", most>>20)
		}
		t.Logf("%d MB of memory at most", most>>20)
		t.Log(w.referee.summary())
	})
}

func newBadWeek(t *testing.T) *badWeek {
	w := &badWeek{t: t, log: &logBook{}, alarms: &alarms{}, referee: newReferee(t, weekLatency),
		arrived: map[envelope.QueueID]int{},
		deleted: addr(t, "deleted@contoso.com"), reports: addr(t, "notifications@contoso.com")}
	for i := range weekBoxes {
		w.boxes = append(w.boxes, addr(t, fmt.Sprintf("box%d@contoso.com", i)))
	}
	double, err := sandbox.New(sandbox.Options{Latency: weekLatency, Keep: 16, OnMessage: w.arrive,
		Mailboxes: w.mailboxes(w.deleted)})
	if err != nil {
		t.Fatal(err)
	}
	w.double, w.store = double, openStore(t, filepath.Join(t.TempDir(), "queue.db"))
	w.must(double.Inject(sandbox.Fault{Endpoint: "sendMail", Subject: "poison", Status: 400,
		Code: "ErrorMimeContentInvalid"}))
	return w
}

func (w *badWeek) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// mailboxes are those of the tenant.
func (w *badWeek) mailboxes(further ...envelope.Address) (names []string) {
	for _, a := range append(append(further, w.reports), w.boxes...) {
		names = append(names, a.String())
	}
	return names
}

// start runs all parts, joined as the program joins them.
func (w *badWeek) start() (stop func()) {
	network := newMemNet()
	w.must(w.double.Serve(network))
	files, err := w.double.WriteFiles(w.t.TempDir())
	w.must(err)
	w.secret = files.Secret
	base, err := url.Parse(w.double.URL())
	w.must(err)
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	client, err := graph.New(graph.Config{
		Name: "contoso", CAFile: files.CA, Login: base, Graph: base, Dial: network.dial, Log: log,
		Identity: entra.Identity{
			TenantID: w.double.TenantID(), ClientID: w.double.ClientID(), SecretFile: files.Secret,
		},
		OnCredentialChange: func() { w.ProbeNow() },
	})
	w.must(err)
	r := Reports{ToSender: true, Postmaster: addr(w.t, "admin@contoso.com"), DelayWarning: 4 * time.Hour,
		From: w.reports, Mailbox: w.reports, Hostname: "relay.test"}
	route := Route{Identity: "contoso", Sender: watchedSender{client, w.referee}}
	w.Delivery = New(Config{
		Store:   watchedStore{w.store, w.referee},
		Limits:  Limits{MaxAge: 5 * 24 * time.Hour, MaxHold: weekMaxHold},
		OnEvent: w.referee.letGo,
		Route: func(mailbox envelope.Address) (Route, bool) {
			w.referee.look(mailbox)
			return route, true
		},
		Reports: func() Reports { return r }, Alarm: w.alarm, Log: log})
	w.referee.limit = w.slots
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { client.Run(ctx) })
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			w.t.Errorf("Run = %v", err)
		}
	})
	synctest.Wait()
	return func() {
		cancel()
		running.Wait()
		w.must(w.double.Close())
		w.must(w.store.Close())
	}
}

// slots tells the limit of the identity, as it is and as it was at a time since
// which it was not lowered. The referee takes this from the inside, and check sees
// that it comes back.
func (w *badWeek) slots(at time.Time) (now, then int) {
	w.Delivery.mu.Lock()
	id := w.identities["contoso"]
	w.Delivery.mu.Unlock()
	if id == nil {
		return defaultIdentitySlots, defaultIdentitySlots
	}
	return id.Load().Limit, id.SlotsAt(at)
}

// alarm is the operator's.
func (w *badWeek) alarm(key, text string, firing bool) {
	w.alarms.raise(key, text, firing)
	switch key {
	case "hold:identity:contoso":
		if firing {
			w.holdFrom = time.Now()
		} else {
			w.holdUntil = time.Now()
		}
		w.referee.hold(firing)
	case "hold:mailbox:" + w.deleted.String():
		w.heldFrom = time.Now()
	}
}

var reported = regexp.MustCompile(`(?m)^X-Graphrelay-Queue-ID: (\S+)`)

// arrive reads the reports that arrive, as their recipients would.
func (w *badWeek) arrive(m sandbox.Message) {
	if m.From != "" && !strings.Contains(m.From, w.reports.String()) {
		return
	}
	raw, err := w.double.Raw(m.ID)
	of := reported.FindSubmatch(raw)
	if err != nil || of == nil || !bytes.Contains(raw, []byte("multipart/report")) || len(m.Recipients) != 2 {
		w.t.Errorf("%+v is no report: %v", m, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived[envelope.QueueID(of[1])]++
}

// accept is one message from a client.
func (w *badWeek) accept(box envelope.Address, subject string) envelope.QueueID {
	now := time.Now()
	id := envelope.NewQueueID(now)
	messageID := "<" + string(id) + "@erp.contoso.com>"
	header := fmt.Sprintf("From: <%s>\r\nTo: <one@example.net>\r\nSubject: %s\r\nMessage-ID: %s\r\n\r\n", box, subject,
		messageID)
	body := header + strings.Repeat("An order has arrived.\r\n", 40)
	d, err := (watchedStore{w.store, w.referee}).Begin(context.Background(), "", 0)
	if err == nil {
		_, err = d.Write([]byte(body))
	}
	m := spool.Message{ID: id, Mailbox: box, From: box, Accepted: now,
		MessageID: messageID, HeaderSize: int64(len(header)), Size: int64(len(body)),
		Envelope: envelope.Envelope{ReversePath: addr(w.t, "erp@contoso.com"),
			Recipients: []envelope.Address{addr(w.t, "one@example.net")}}}
	end := w.Reserve(m, now)
	if end != nil {
		d.Attempt(now)
	}
	if err == nil {
		err = d.Commit(context.Background(), m)
	}
	if err != nil {
		w.t.Error(err)
	}
	if end != nil {
		end(err == nil)
	} else {
		w.Notify(m)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = append(w.accepted, letter{id, messageID, box, now})
	return id
}

// wait lets d pass, and everything that happens meanwhile.
func (w *badWeek) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// friday: mail flows, then the secret expires. The token lives on for some time.
func (w *badWeek) friday() {
	for _, box := range append(w.boxes, w.deleted) {
		w.accept(box, "Friday")
	}
	w.wait(time.Hour)
	if n := w.double.Count(); n != weekBoxes+1 {
		w.t.Fatalf("%d sent on Friday", n)
	}
	w.must(w.double.Inject(sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: 7000222,
		Message: "The provided client secret keys for app are expired."}))
	w.double.SetMailboxes(w.mailboxes())
	w.gone = time.Now()
}

// weekend: everything is accepted, nothing is sent, and little is tried.
func (w *badWeek) weekend() {
	const batches = 500
	n := 0
	for batch := 1; batch <= batches; batch++ {
		var clients sync.WaitGroup
		for ; n < weekMessages*batch/batches; n++ {
			clients.Go(w.client(n))
		}
		clients.Wait()
		time.Sleep(weekEnd / batches)
	}
	synctest.Wait()
	if w.alarms.text("hold:identity:contoso") == "" || w.log.count("sent\" hold=identity:contoso") != 1 {
		w.t.Error("the hold is not loud, or repeats itself")
	}
	if st, err := w.store.Stats(context.Background()); err != nil || st.Failed+st.Held+st.Sending != 0 ||
		st.Queued+st.Deferred+st.Paused < weekMessages*9/10 {
		w.t.Errorf("after the weekend: %+v, %v", st, err)
	}
	w.checkProbes()
}

// client sends message n of the weekend.
func (w *badWeek) client(n int) func() {
	box, subject := w.boxes[n%weekBoxes], "Weekend"
	switch {
	case n == weekMessages*2/5:
		return func() { w.poison = w.accept(box, "poison") }
	case n%100 == 7:
		box = w.deleted
	}
	return func() { w.accept(box, subject) }
}

// monday: the new secret is there, and Graph throttles while the backlog drains
// and new mail arrives. measure is called now and then.
func (w *badWeek) monday(measure func()) {
	w.newSecret()
	w.wait(10 * time.Second) // in which the file is looked at
	if w.alarms.text("hold:identity:contoso") != "" {
		w.t.Fatal("the hold outlives its cause by 10 s after the secret was renewed")
	}
	for n := range 24 * 60 {
		w.wait(time.Minute)
		if n%20 == 3 {
			measure()
		}
		switch {
		case n == 2:
			w.double.RevokeTokens() // as Entra does when the old secret is removed
		case n == 4:
			w.double.ForgetTokens()
		case n%10 == 5:
			w.accept(w.boxes[n/10%weekBoxes], "Monday")
		}
		if st, _ := w.store.Stats(context.Background()); st.Queued+st.Deferred+st.Paused+st.Sending <= w.lost() {
			w.t.Logf("the backlog took %v", time.Since(w.holdUntil))
			return
		}
	}
	w.t.Error("the backlog took more than a day")
}

// newSecret is what the administrator does, and how Graph is that day.
func (w *badWeek) newSecret() {
	const probes = 4 // are not throttled: that would keep the hold for half an hour
	w.double.ClearFaults()
	for _, f := range []sandbox.Fault{
		{Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second, Percent: 3, Skip: probes},
		{Status: http.StatusTooManyRequests, RetryAfter: 30 * time.Second, RetryAfterDate: true, Percent: 3,
			Skip: probes},
		{Subject: "poison", Status: 400, Code: "ErrorMimeContentInvalid"},
	} {
		f.Endpoint = "sendMail"
		w.must(w.double.Inject(f))
	}
	w.double.SetSecret("the-new-one-of-Monday")
	w.must(os.WriteFile(w.secret+".new", []byte(w.double.Secret()), 0o600))
	w.must(os.Rename(w.secret+".new", w.secret))
}

// lost counts the mail of the deleted mailbox.
func (w *badWeek) lost() (n int) {
	for _, l := range w.accepted {
		if l.mailbox.Equal(w.deleted) {
			n++
		}
	}
	return n - 1 // the one of Friday
}

// restOfTheWeek: Graph is well again, some mail arrives, and that of the deleted
// mailbox comes to max_hold.
func (w *badWeek) restOfTheWeek() {
	w.double.ClearFaults()
	for end := w.holdUntil.Add(weekMaxHold + 2*expireEvery); time.Now().Before(end); {
		for _, box := range w.boxes {
			w.accept(box, "later")
		}
		w.wait(3 * time.Hour)
	}
}

// watchMemory measures the memory in use above what was in use before: that of
// the double and of the referee too, which have to remember each message.
func watchMemory() (use func() uint64) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := heap()
	return func() uint64 {
		now := heap()
		return now - min(before, now)
	}
}
