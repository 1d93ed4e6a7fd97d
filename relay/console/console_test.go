package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/envelope"
	"graphrelay/relay/monitor"
	"graphrelay/relay/operator"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

const password = "hunter2 and more"

var credentials = []state.Credential{{Identity: "contoso", Kind: "certificate", Subject: hostile,
	Renewal: &state.Renewal{Text: hostile, Failing: true}}}

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// fake is everything that a Console asks.
type fake struct {
	spool.Reader // of which the console uses no more than fake overrides
	now          time.Time
	hash         string
	records      []spool.Record
	holds        []spool.Hold
	header       string
	history      []spool.Event
	done         []string // what the operator did
	changes      []operator.Change
	refusals     []spool.Refusal
	err          error // of the operator
	monitor      *monitor.Monitor
	snap         state.Snapshot
	snapErr      error
}

func (f *fake) Get(_ context.Context, id envelope.QueueID) (spool.Record, error) {
	for _, r := range f.records {
		if r.ID == id {
			return r, nil
		}
	}
	return spool.Record{}, spool.ErrNotFound
}

func (f *fake) List(_ context.Context, filter spool.Filter) (list []spool.Record, _ error) {
	for i := len(f.records) - 1; i >= 0; i-- {
		if r := f.records[i]; filter.Matches(r) && (filter.After == "" || r.ID < filter.After) &&
			len(list) < filter.Limit {
			list = append(list, r)
		}
	}
	return list, nil
}

func (f *fake) History(_ context.Context, id envelope.QueueID) ([]spool.Event, error) {
	if f.history != nil {
		return f.history, nil
	}
	return []spool.Event{{ID: id, At: noon, Kind: spool.EventHeld, Attempt: 1, HTTPStatus: 403,
		Status: reply.Enhanced{5, 7, 1}, Text: f.records[0].LastText, RequestID: hostile}}, nil
}

func (f *fake) Holds(context.Context) ([]spool.Hold, error) { return f.holds, nil }

func (f *fake) Open(context.Context, envelope.QueueID) (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{strings.NewReader(f.header + "secret body"), io.NopCloser(nil)}, nil
}

func (f *fake) act(what string, id envelope.QueueID) error {
	f.done = append(f.done, what+" "+string(id))
	return f.err
}

func (f *fake) Do(_ context.Context, a operator.Action, id envelope.QueueID, by string) error {
	return f.act(string(a)+" by "+by, id)
}

// selects are the messages that a change is made to.
func (f *fake) selects(c operator.Change) (n int) {
	for _, r := range f.records {
		if slices.Contains(c.IDs, r.ID) || len(c.IDs) == 0 && c.Filter.Matches(r) && r.ID > c.Filter.After {
			n++
		}
	}
	return n
}

func (f *fake) Count(_ context.Context, c operator.Change) (operator.Counted, error) {
	return operator.Counted{Messages: f.selects(c), Until: c.Filter.Until}, f.err
}

func (f *fake) Change(_ context.Context, c operator.Change, report func(operator.Progress) error) error {
	f.changes = append(f.changes, c)
	_ = report(operator.Progress{Changed: f.selects(c), Skipped: 1, Errors: []string{hostile}, Done: true})
	return f.err
}

func (f *fake) TryAll() []state.Wait { f.done = append(f.done, "try all"); return nil }

func (f *fake) Probe(key string, _ envelope.Address) (keys []string) {
	for _, h := range f.holds {
		if h.Key == key {
			f.done, keys = append(f.done, "probe "+key), []string{key}
		}
	}
	return keys
}

func (f *fake) Refusals(_ context.Context, filter spool.RefusalFilter) (list []spool.Refusal, _ error) {
	for _, r := range f.refusals {
		if filter.Matches(r) {
			list = append(list, r)
		}
	}
	list = list[min(len(list), filter.Skip):]
	return list[:min(len(list), filter.PageSize())], f.err
}

func (f *fake) TestMail(_ context.Context, from, to envelope.Address) (envelope.QueueID, error) {
	return id(1), f.act("test "+from.String()+" "+to.String(), id(1))
}

func id(n int) envelope.QueueID {
	return envelope.QueueID("06h19xnk24szrc" + string("0123456789"[n/10%10]) + string("0123456789"[n%10]))
}

func addr(s string) envelope.Address {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func record(n int, state spool.State) spool.Record {
	return spool.Record{State: state, Message: spool.Message{ID: id(n), Mailbox: addr("a@example.org"),
		From: addr("a@example.org"), Subject: "Report " + string("0123456789"[n%10]),
		Accepted: noon, HeaderSize: 14, Client: envelope.Client{Name: "erp",
			Addr: netip.MustParseAddrPort("192.0.2.7:1")},
		Envelope: envelope.Envelope{ReversePath: addr("bounce@example.org"),
			Recipients: []envelope.Address{addr("to@example.net")}}, MessageID: "<m@example.org>"}}
}

// bench is a Console over a fake, and a browser.
type bench struct {
	*fake
	t       *testing.T
	console *Console
	handler http.Handler
	cookie  *http.Cookie // of the session
	browser *http.Cookie // of the browser
}

func newBench(t *testing.T, records ...spool.Record) *bench {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{hash: string(hash), now: noon, records: records, header: "Subject: x\r\n\r\n"}
	f.snap.Credentials = credentials
	now := func() time.Time { return f.now }
	f.monitor = monitor.New(monitor.Config{Now: now})
	c := New(Config{Hostname: func() string { return "relay.example.org" },
		PasswordHash: func() string { return f.hash }, Store: f, Operator: f, Seen: f.monitor,
		Snapshot: func(context.Context) (state.Snapshot, error) { return f.snap, f.snapErr },
		Setup: func() Setup {
			return Setup{Version: "v1", Senders: []envelope.Address{addr("a@example.org")}}
		},
		Audit:  func(identity string) { f.done = append(f.done, "audit "+identity) },
		Reload: func(context.Context) error { f.done = append(f.done, "reload"); return f.err },
		Now:    now, Log: slog.New(slog.DiscardHandler)})
	return &bench{fake: f, t: t, console: c, handler: c.Handler()}
}

// do makes a request as a browser on the console's own pages would.
func (b *bench) do(method, path string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8025"+path, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "http://127.0.0.1:8025")
	}
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func (b *bench) get(path string) *httptest.ResponseRecorder { return b.do(http.MethodGet, path, nil) }

func (b *bench) logIn() *bench {
	b.t.Helper()
	w := b.do(http.MethodPost, "/login", url.Values{"password": {password}})
	for _, c := range w.Result().Cookies() {
		switch c.Name {
		case cookieName:
			b.cookie = c
		case browserCookie:
			b.browser = c
		}
	}
	if w.Code != http.StatusSeeOther || b.cookie == nil {
		b.t.Fatalf("login = %d %s", w.Code, w.Body)
	}
	return b
}

var tokenField = regexp.MustCompile(`name="token" value="([A-Z2-7]+)"`)

func (b *bench) token() string {
	b.t.Helper()
	m := tokenField.FindStringSubmatch(b.get("/test").Body.String())
	if m == nil {
		b.t.Fatal("the page has no token")
	}
	return m[1]
}

var everyPage = []string{"/", "/?range=30d", "/messages", "/messages/" + string(id(1)),
	"/messages/" + string(id(1)) + "/retry", "/messages/all/release",
	"/clients", "/clients/erp", "/refusals", "/setup", "/test", "/none"}

func TestEveryPageIsShownWithASession(t *testing.T) {
	b := newBench(t, record(1, spool.Held)).logIn()
	for _, path := range everyPage[:len(everyPage)-1] {
		if w := b.get(path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "</html>") {
			t.Errorf("%s = %d %s", path, w.Code, w.Body)
		}
	}
	if w := b.get("/none"); w.Code != http.StatusNotFound {
		t.Errorf("/none = %d", w.Code)
	}
	if w := b.do(http.MethodGet, "/messages/"+string(id(1)), nil); strings.Contains(w.Body.String(), "secret body") ||
		!strings.Contains(w.Body.String(), "Subject: x") {
		t.Errorf("the header alone is shown: %s", w.Body)
	}
}

// A message that bounced shows the fate of each recipient: what, why, which host said so, and when.
func TestAMessageShowsTheFateOfEachRecipient(t *testing.T) {
	r := record(1, spool.Sent)
	r.Bounces, r.Envelope.Recipients = 1, []envelope.Address{addr("one@example.net"), addr("two@example.net")}
	b := newBench(t, r).logIn()
	b.history = []spool.Event{
		{ID: r.ID, At: noon, Kind: spool.EventSent},
		{ID: r.ID, At: noon.Add(time.Hour), Kind: spool.EventBounced, Recipient: addr("two@example.net"),
			Probable: true, Status: reply.Enhanced{5, 1, 1},
			Text: "550 no such user " + hostile, Remote: "mx.example.net" + hostile},
	}
	page := b.get("/messages/" + string(r.ID)).Body.String()
	_, page, _ = strings.Cut(page, `id="fates"`)
	page, _, _ = strings.Cut(page, "</section>")
	for _, want := range []string{"<dt>one@example.net</dt><dd>accepted by Microsoft <small>",
		"<dt>two@example.net</dt><dd>probably bounced: 5.1.1 550 no such user ", "[mx.example.net",
		"2026-11-25T13:00:00Z"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q: %s", want, page)
		}
	}
	if strings.Contains(page, "<script") {
		t.Errorf("foreign words are markup: %s", page)
	}
}

// Where a certificate renews itself, Setup says so beside its end, and marks what fails.
func TestSetupShowsTheRenewal(t *testing.T) {
	b := newBench(t).logIn()
	for _, failing := range []bool{false, true} {
		b.snap.Credentials = []state.Credential{{Identity: "contoso", Kind: "certificate", Expires: noon,
			Renewal: &state.Renewal{Text: "tried 3 of 12 times", Failing: failing}}}
		text := b.get("/setup").Body.String()
		if !strings.Contains(text, "renews itself: tried 3 of 12 times</span>") ||
			strings.Contains(text, `<span class="mark bad">renews itself`) != failing {
			t.Errorf("failing %v: %s", failing, text)
		}
	}
}

// Setup shows how far the newest canary has come, and marks one that is missing; without it nothing.
func TestSetupShowsTheCanary(t *testing.T) {
	b := newBench(t).logIn()
	if text := b.get("/setup").Body.String(); strings.Contains(text, "Canary") {
		t.Errorf("without one: %s", text)
	}
	c := state.Canary{Address: "check@contoso.com", Stage: "arrived", Accepted: noon, Arrived: noon, Travel: 4.25}
	missing := state.Canary{Address: "check@contoso.com", Stage: "missing", Accepted: noon, Problem: "Canary has not"}
	for want, c := range map[string]state.Canary{
		`<code>check@contoso.com</code> <span class="mark good">arrived</span>`: c,
		`, 4.2 s on its way`: c,
		`<code>check@contoso.com</code> <span class="mark bad">missing</span>`: missing,
	} {
		b.snap.Canary = &c
		if text := b.get("/setup").Body.String(); !strings.Contains(text, want) {
			t.Errorf("lacks %q: %s", want, text)
		}
	}
}

// Where nodes share a queue, Setup shows each, and the overview which mailboxes another one sends for.
func TestNodesAreShown(t *testing.T) {
	b := newBench(t).logIn()
	if text := b.get("/setup").Body.String(); strings.Contains(text, "Nodes") {
		t.Errorf("of one that is alone: %s", text)
	}
	b.snap.Nodes = []state.Node{{Name: "relay1", This: true, Leads: true, Lanes: 1, Seen: 1.6},
		{Name: "<b>", Lanes: 12}}
	b.snap.Lanes = []state.Lane{{Mailbox: "a@contoso.com", Queued: 2, Elsewhere: true}}
	text := b.get("/setup").Body.String() + b.get("/").Body.String()
	for _, want := range []string{"<code>relay1</code>, this one, leads: sends for 1 mailbox, seen 2 s ago",
		"<code>&lt;b&gt;</code>: sends for 12 mailboxes, seen 0 s ago", "sent by another node"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q: %s", want, text)
		}
	}
}

type addrOf string

func (a addrOf) Network() string { return "tcp" }
func (a addrOf) String() string  { return string(a) }

func TestActions(t *testing.T) {
	b := newBench(t, record(1, spool.Queued), record(2, spool.Sent)).logIn()
	token := url.Values{"token": {b.token()}}
	base := "/messages/" + string(id(1)) + "/"
	for _, action := range []string{"retry", "hold", "delete"} {
		if w := b.get(base + action); w.Code != http.StatusOK ||
			!strings.Contains(w.Body.String(), `action="`+base+action+`"`) {
			t.Errorf("the question of %s = %d", action, w.Code)
		}
		w := b.do(http.MethodPost, base+action, token)
		if done := b.done[len(b.done)-1]; w.Code != http.StatusSeeOther || done != action+" by console "+string(id(1)) {
			t.Errorf("%s = %d, done %v", action, w.Code, b.done)
		}
	}
	if w := b.get("/messages/" + string(id(2)) + "/delete"); w.Code != http.StatusConflict {
		t.Errorf("deleting what is sent is offered: %d", w.Code)
	}
	for err, code := range map[error]int{spool.ErrState: http.StatusConflict, spool.ErrNotFound: http.StatusNotFound,
		errors.New("disk"): http.StatusInternalServerError} {
		b.err = err
		if w := b.do(http.MethodPost, base+"retry", token); w.Code != code {
			t.Errorf("%v = %d", err, w.Code)
		}
	}
	b.err = nil
	n := len(b.done)
	for _, path := range []string{base + "explode", "/messages/xyz/retry"} {
		if w := b.do(http.MethodPost, path, token); w.Code != http.StatusNotFound || len(b.done) > n {
			t.Errorf("%s = %d", path, w.Code)
		}
	}
}

func TestTestMail(t *testing.T) {
	b := newBench(t, record(1, spool.Sent)).logIn()
	token := b.token()
	send := func(from, to string) *httptest.ResponseRecorder {
		return b.do(http.MethodPost, "/test", url.Values{"token": {token}, "from": {from}, "to": {to}})
	}
	if w := send("a@example.org", "b@example.org\r\nBcc: c@example.org"); w.Code != http.StatusUnprocessableEntity ||
		len(b.done) > 0 {
		t.Errorf("two lines = %d, done %v", w.Code, b.done)
	}
	if w := send("a@example.org", "b@example.org"); w.Header().Get("Location") != "/messages/"+string(id(1)) {
		t.Errorf("= %d %v", w.Code, b.done)
	}
	b.err = errors.New("refused " + hostile)
	if w := send("a@example.org", "b@example.org"); w.Code != http.StatusUnprocessableEntity ||
		!strings.Contains(w.Body.String(), "refused &lt;script&gt;") {
		t.Errorf("= %d %s", w.Code, w.Body)
	}
}

func TestPaging(t *testing.T) {
	var all []spool.Record
	for n := range pageSize + 20 {
		all = append(all, record(n, spool.Held))
	}
	b := newBench(t, all...).logIn()
	first := b.get("/messages?state=held&mailbox=a@example.org").Body.String()
	next := regexp.MustCompile(`href="(/messages\?[^"]*after=[^"]*)"`).FindStringSubmatch(first)
	if next == nil || strings.Count(first, `class="who"`) != pageSize {
		t.Fatalf("the first page has %d messages, next %v", strings.Count(first, `class="who"`), next)
	}
	second := b.get(strings.ReplaceAll(next[1], "&amp;", "&")).Body.String()
	if strings.Count(second, `class="who"`) != 20 || !strings.Contains(next[1], "state=held") ||
		strings.Contains(second, "Next page") || !strings.Contains(second, "First page") {
		t.Errorf("the second page has %d messages", strings.Count(second, `class="who"`))
	}
}

func TestSearch(t *testing.T) {
	odd := record(2, spool.Held)
	odd.Client.Name, odd.MessageID, odd.From = "scanner", "<odd@example.org>", addr("scan@example.org")
	odd.Envelope.Recipients = []envelope.Address{addr("hr@example.net")}
	odd.Client.Addr = netip.MustParseAddrPort("192.0.2.99:5")
	b := newBench(t, record(1, spool.Queued), odd).logIn()
	for q, want := range map[string]string{
		"": "12", "hr@example.net": "2", "scan@example.org": "2", "bounce@example.org": "12", "odd@example.org": "2",
		"<odd@example.org>": "2",
		"192.0.2.99":        "2", "scanner": "2", "erp": "1", "nobody@example.org": "", "&state=held": "2",
		"&state=waiting": "1",
	} {
		query := "?q=" + url.QueryEscape(q)
		if strings.HasPrefix(q, "&") {
			query = "?q=" + q
		}
		text := b.get("/messages" + query).Body.String()
		got := ""
		for _, n := range []string{"1", "2"} {
			if strings.Contains(text, "Report "+n) {
				got += n
			}
		}
		if got != want {
			t.Errorf("%q finds %q, want %q", q, got, want)
		}
	}
	if w := b.get("/messages?q=" + string(id(2))); w.Header().Get("Location") != "/messages/"+string(id(2)) {
		t.Errorf("a queue ID = %d %v", w.Code, w.Header())
	}
	for _, bad := range []string{"state=exploded", "mailbox=x", "after=x"} {
		if w := b.get("/messages?" + bad); w.Code != http.StatusOK ||
			!strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("%s = %d", bad, w.Code)
		}
	}
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	b := newBench(t).logIn()
	b.snapErr = errors.New("disk I/O error")
	if w := b.get("/"); w.Code != http.StatusInternalServerError ||
		!strings.Contains(w.Body.String(), "disk I/O error") ||
		!strings.Contains(w.Body.String(), "graphrelay status") {
		t.Errorf("= %d %s", w.Code, w.Body)
	}
}

// What keeps a mailbox from sending is said, whatever kind of hold it is.
func TestLanesTellTheirHold(t *testing.T) {
	lane := state.Lane{Mailbox: "A@example.org", Identity: "contoso", Queued: 1}
	for key, want := range map[string]string{
		"":                                      "OK",
		"mailbox:a@example.org":                 "on hold: Because",
		"identity:contoso":                      "on hold: Because",
		"audit:contoso":                         "on hold: Because",
		"sendas:a@example.org from c@x.example": "mail from c@x.example is on hold",
		"mailbox:b@example.org":                 "OK",
		"identity:other":                        "OK",
	} {
		list, _ := lanesOf(state.Snapshot{Lanes: []state.Lane{lane},
			Holds: []state.Hold{{Key: key, Text: "because"}}}, noon)
		if got := string(list[0].State); got != want || (got == "OK") != (list[0].Class == "good") {
			t.Errorf("%q: %q, %s, want %q", key, got, list[0].Class, want)
		}
	}
}

func TestOverviewTellsWhatNeedsAttention(t *testing.T) {
	b := newBench(t).logIn()
	b.snap = state.Snapshot{Full: errors.New("no room"), Held: 2,
		Alarms: []state.Alarm{{Key: "hold:mailbox:a@example.org",
			Fault: state.Fault{Headline: "Refused", Remedy: "do this", Since: noon}}},
		Holds: []state.Hold{{Key: "mailbox:a@example.org", Text: "refused; do this"}},
		Lanes: []state.Lane{{Mailbox: "b@example.org", Queued: 9, Slots: 3, Backoff: noon.Add(time.Minute)},
			{Mailbox: "a@example.org", Queued: 1}, {Mailbox: "c@example.org", Queued: 2}}}
	b.monitor.Accepted(monitor.Taken{Client: "erp"})
	b.monitor.Outcome(monitor.Outcome{Kind: "sent", Delay: 300 * time.Millisecond})
	text := b.get("/").Body.String()
	for _, want := range []string{"Needs attention", "<strong>Refused (a@example.org)</strong>",
		"<p>do this</p>", ">no<", "on hold: Refused<",
		"throttled by Microsoft, resumes in 60 s", "accepted <b>1</b>", "sent <b>1</b>",
		"512 ms"} {
		if !strings.Contains(text, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
	if strings.Index(text, "a@example.org</a>") > strings.Index(text, "b@example.org</a>") {
		t.Error("the mailbox on hold is not first")
	}
}

// Where clients take turns in a mailbox, it is said whose mail waits.
func TestOverviewTellsWhoTakesTurns(t *testing.T) {
	b := newBench(t).logIn()
	erp := state.Waits{Client: "erp", Priority: "bulk", Waiting: 8120, Next: noon, Sources: 1}
	b.snap = state.Snapshot{Lanes: []state.Lane{
		{Mailbox: "a@example.org", Queued: 8124, Clients: []state.Waits{erp, {Client: "printers\u202e",
			Priority: "normal", Waiting: 3, Next: noon, Sources: 2, Busiest: "192.0.2.7", FromBusiest: 2},
			{Priority: "high", Waiting: 1, Next: noon, Sources: 1}}},
	}}
	body := b.get("/").Body.String()
	for _, want := range []string{"Clients that take turns", `<a href="/clients/erp">erp</a></td><td>bulk</td>`,
		`printers\u202e</a>`, "192.0.2.7 (2)", "<td>reports and test mail</td><td>high</td>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
	b.snap.Lanes[0].Clients = []state.Waits{erp}
	if strings.Contains(b.get("/").Body.String(), "Clients that take turns") {
		t.Error("one client alone takes turns")
	}
}
