package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
)

// TestEveryAnswer makes the double give each answer of the catalogue to a
// message of a whole relay, and sees what becomes of it: the reply, the
// outcome, the log line, the hold, the metric and the report. A row that no
// answer reaches fails, and so a new one does until its scenario is here.
func TestEveryAnswer(t *testing.T) {
	for i, fact := range graph.Catalogue() {
		t.Run(fmt.Sprintf("%02d %s %s", i, fact.Of, firstWord(fact)), func(t *testing.T) {
			switch {
			case fact.Of == graph.OfMetadata:
				tryAnswer(t, fact) // not beside others: the environment says where the metadata service is
				return
			case fact.When == whenStopped:
				t.Parallel()
				tryStop(t, fact)
				return
			}
			t.Parallel()
			tryAnswer(t, fact)
		})
	}
}

// The rows that the relay and its host bring about, and not an answer.
const (
	whenStopped    = "the relay stops before anything has left"
	whenUnreadable = "the message cannot be read from the queue"
	whenEarly      = "a 202 comes before the whole message has left"
)

func firstWord(f graph.Fact) string {
	return strings.TrimSpace(strings.Join([]string{f.HTTP, strings.Split(f.Code, " ")[0], f.Match,
		strings.Split(f.When, ",")[0]}, " "))
}

// rowID is the Message-ID by which the fault finds the message, and not its report.
const rowID = "<row@client.example.org>"

// tryAnswer sends one message, meets the fact, and holds everything that can be
// seen of it against the row.
func tryAnswer(t *testing.T, f graph.Fact) {
	r := newAnswered(t, f)
	if f.When == whenUnreadable {
		r.hideBodies(t)
	}
	text := "x"
	switch {
	case isOfLargeMail(f):
		text = strings.Repeat(strings.Repeat("x", 70)+"\r\n", 3000)
	case f.When == whenEarly: // more than the double takes before it reads
		text = strings.Repeat(strings.Repeat("x", 70)+"\r\n", 25000)
	}
	r.submit(t, text)
	entry := r.outcome(t)
	r.wantOutcome(t, f, entry)
	switch entry.Msg {
	case "paused":
		r.wantHold(t, f)
	case "failed":
		r.wantReport(t, entry)
	}
	r.wantMetric(t, `graphrelay_delivery_outcomes_total{mailbox="`+harness.Sender+`",outcome="`+entry.Msg+`"}`)
	if f.Of == graph.OfGraph || isOfLargeMail(f) {
		r.wantMetric(t, `graphrelay_graph_responses_total{code="`+strconv.Itoa(entry.HTTPStatus)+
			`",identity="default"}`)
	}
	if got := r.double.Ledger()[rowID]; f.Outcome != outcome.Delivered && got != 0 ||
		f.Outcome == outcome.Delivered && got != 1 {
		t.Errorf("the double has recorded it %d times", got)
	}
}

// submit hands the message in. The reply is the same whatever Graph will say: it
// is not asked before it.
func (a *answered) submit(t *testing.T, text string) {
	t.Helper()
	c := harness.Hello(t, a.smtp)
	defer c.Close()
	c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
	c.Want(c.Say("RCPT TO:<someone@example.org>"), 250)
	c.Want(c.Say("DATA"), 354)
	c.Want(c.Say("From: "+harness.Sender+"\r\nTo: someone@example.org\r\nSubject: x\r\nMessage-ID: "+rowID+"\r\n\r\n"+
		text+"\r\n."), 250)
}

// wantOutcome holds the line of the log against the row.
func (a *answered) wantOutcome(t *testing.T, f graph.Fact, entry logLine) {
	t.Helper()
	want, text := outcomeOf(f), f.Text
	if f.Of == graph.OfNumber {
		text = "AADSTS" // the rows of the login decide, the number advises
	}
	if !slices.Contains(want, entry.Msg) {
		t.Errorf("the log says %q, want one of %q: %+v", entry.Msg, want, entry)
	}
	if f.Outcome != outcome.Delivered &&
		(!strings.HasPrefix(entry.Text, text) && f.Of != graph.OfNumber && !isOfLargeMail(f) ||
			!strings.Contains(entry.Text, text) || !strings.Contains(entry.Text, f.Advice)) {
		t.Errorf("the log says %q, want %q and %q", entry.Text, text, f.Advice)
	}
	if f.Of != graph.OfNumber && entry.Status != f.Status.String() {
		t.Errorf("status %s, want %s", entry.Status, f.Status)
	}
	if entry.Duplicate != (f.Of != graph.OfNumber && f.Outcome == outcome.Unknown) {
		t.Errorf("possible duplicate: %v", entry.Duplicate)
	}
}

// TestDoubtfulAnswerAfterDelivery: the double records the message and then answers as Microsoft says that it may
// happen. With hold nobody gets it twice.
func TestDoubtfulAnswerAfterDelivery(t *testing.T) {
	for _, f := range graph.Catalogue() {
		if !f.Doubt || f.Of != graph.OfGraph {
			continue
		}
		for code := range strings.FieldsSeq(f.Code) {
			t.Run(code, func(t *testing.T) {
				t.Parallel()
				one := f
				one.Code = code
				r := newAnswered(t, one, func(s *scenario) {
					s.fault.Stored, s.delivery = true, "unknown_outcome: hold"
				})
				r.submit(t, "x")
				entry := r.outcome(t)
				if entry.Msg != "held" || !entry.Duplicate || !strings.Contains(entry.Text, f.Advice) {
					t.Errorf("%+v", entry)
				}
				if got := r.double.Ledger()[rowID]; got != 1 {
					t.Errorf("the double has recorded it %d times", got)
				}
			})
		}
	}
}

// tryStop stops the relay while a message waits for a connection. Nothing has
// left, and after the next start it goes out as ever. The metric is that of the
// next run: by the time of the outcome nobody is answered any more.
func tryStop(t *testing.T, f graph.Fact) {
	r := newAnswered(t, f)
	r.submit(t, "x")
	select {
	case <-r.log.attempts:
	case <-time.After(time.Minute):
		t.Fatal("nobody tried to send it")
	}
	r.stop()
	r.wantOutcome(t, f, r.outcome(t))
	r.run(t, scenario{})
	r.double.WaitFor(t, 1, time.Minute)
	if entry := r.outcome(t); entry.Msg != "sent" || entry.Duplicate {
		t.Errorf("after the next start: %+v", entry)
	}
	r.wantMetric(t, `graphrelay_delivery_outcomes_total{mailbox="`+harness.Sender+`",outcome="sent"}`)
	if got := r.double.Ledger()[rowID]; got != 1 {
		t.Errorf("the double has recorded it %d times", got)
	}
}

// outcomeOf is the event in the log. A refused SendAs depends on who chose the
// sender.
func outcomeOf(f graph.Fact) []string {
	switch {
	case f.Of == graph.OfNumber:
		return []string{"paused", "deferred"}
	case f.Outcome == outcome.Delivered:
		return []string{"sent"}
	case f.Outcome == outcome.Bounce || f.Outcome == outcome.TooLarge:
		return []string{"failed"}
	case f.Outcome == outcome.Hold && f.Scope == outcome.ScopeSendAs:
		return []string{"paused", "failed"}
	case f.Outcome == outcome.Hold && f.Scope == outcome.ScopeMessage:
		return []string{"held"}
	case f.Outcome == outcome.Hold:
		return []string{"paused"}
	}
	return []string{"deferred"}
}

// answered is a relay within this process whose double gives one answer.
type answered struct {
	double  *harness.Double
	dir     string
	smtp    string
	metrics string
	log     *logLines
	stop    func()
}

func newAnswered(t *testing.T, f graph.Fact, change ...func(*scenario)) *answered {
	t.Helper()
	d := harness.StartDouble(t, mayWrite)
	dir, err := os.MkdirTemp("", "gr") // a short name, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	harness.WriteFile(t, filepath.Join(dir, "ca.pem"), string(d.CA()))
	harness.WriteFile(t, filepath.Join(dir, "secret"), d.Secret())
	a := &answered{double: d, dir: dir, smtp: harness.FreeAddr(t), metrics: harness.FreeAddr(t),
		log: &logLines{lines: make(chan logLine, 1000), attempts: make(chan struct{}, 1)}}
	s := scenarioOf(t, f, d)
	for _, c := range change {
		c(&s)
	}
	if s.fault.Endpoint != "" {
		if s.fault.Endpoint == "sendMail" && !s.fault.Early {
			s.fault.MessageID = rowID
		}
		if err := d.Inject(s.fault); err != nil {
			t.Fatal(err)
		}
	}
	a.run(t, s)
	return a
}

func (a *answered) run(t *testing.T, s scenario) {
	t.Helper()
	a.stop = runRelay(t, a.yaml(a.double, s, a.dir), a.dir, a.log)
}

// runRelay runs a relay within this process until it is stopped, or the test ends.
func runRelay(t *testing.T, yaml, dir string, log io.Writer) (stop func()) {
	t.Helper()
	c, err := config.Parse("config.yaml", []byte(yaml), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(t.Context(),
		relay.Options{Config: c, Version: "test", Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (a *answered) yaml(d *harness.Double, s scenario, dir string) string {
	login, graphURL := d.URL(), d.URL()
	if s.login != "" {
		login = s.login
	}
	if s.graph != "" {
		graphURL = s.graph
	}
	credential := "client_secret_file: secret"
	if s.credential != "" {
		credential = s.credential
	}
	return "hostname: relay.contoso.local\n" +
		"identities:\n  - {tenant_id: " + d.TenantID() + ", client_id: " + d.ClientID() + ", " + credential +
		", ca_file: ca.pem, endpoints: {login: \"" + login + "\", graph: \"" + graphURL + "\"}" + s.identity + "}\n" +
		"senders: [{address: " + harness.Sender + "}]\n" +
		"smtp: {listeners: [{address: \"" + a.smtp + "\"}]}\n" +
		"queue: {store: \"sqlite:queue.db\"}\n" +
		"admin: {address: \"unix:" + filepath.Join(dir, "a.sock") + "\"}\n" +
		"metrics: {address: \"" + a.metrics + "\"}\n" +
		"delivery: {" + s.delivery + "}\n"
}

// logLine is what is looked at of a line of the log.
type logLine struct {
	Msg, Status, Hold, Mailbox, From string

	Text       string `json:"error"`
	HTTPStatus int    `json:"http_status"`
	Duplicate  bool   `json:"possible_duplicate"`
}

// logLines hands the lines of a JSON log on.
type logLines struct {
	lines    chan logLine
	attempts chan struct{}

	mu    sync.Mutex
	holds []logLine
	all   bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	var line logLine
	_ = json.Unmarshal(p, &line) // lines of other forms are not looked at
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	switch {
	case line.Msg == "attempt":
		select {
		case l.attempts <- struct{}{}:
		default:
		}
	case strings.HasPrefix(line.Msg, "hold begins"):
		l.holds = append(l.holds, line)
	case slices.Contains([]string{"sent", "deferred", "paused", "held", "failed"}, line.Msg):
		select {
		case l.lines <- line:
		default:
		}
	}
	return len(p), nil
}

// outcome waits for the first line that ends an attempt.
func (a *answered) outcome(t *testing.T) logLine {
	t.Helper()
	select {
	case line := <-a.log.lines:
		return line
	case <-time.After(time.Minute):
		a.log.mu.Lock()
		defer a.log.mu.Unlock()
		t.Fatalf("nothing came of the message:\n%s", a.log.all.String())
		return logLine{}
	}
}

func (a *answered) wantHold(t *testing.T, f graph.Fact) {
	t.Helper()
	want := map[outcome.Scope]string{outcome.ScopeIdentity: "identity:", outcome.ScopeMailbox: "mailbox:",
		outcome.ScopeSendAs: "sendas:"}[f.Scope]
	ok := harness.Holds(10*time.Second, func() bool {
		a.log.mu.Lock()
		defer a.log.mu.Unlock()
		return slices.ContainsFunc(a.log.holds,
			func(l logLine) bool { return strings.HasPrefix(l.Hold, want) && strings.Contains(l.Text, f.Advice) })
	})
	if !ok {
		t.Errorf("no hold %q begins: %+v", want, a.log.holds)
	}
}

// wantReport waits for the report to the sender: by its status for programs, and
// in plain words what the log says.
func (a *answered) wantReport(t *testing.T, entry logLine) {
	t.Helper()
	report := string(a.double.WaitFor(t, 1, time.Minute)[0].Raw)
	for _, want := range []string{"multipart/report", "Status: " + entry.Status,
		"Final-Recipient: rfc822; someone@example.org", rowID} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is not in the report:\n%s", want, report)
		}
	}
	what, _, _ := strings.Cut(entry.Text, " [")
	if !strings.Contains(strings.Join(strings.Fields(report), " "), what) {
		t.Errorf("%q is not in the report:\n%s", what, report)
	}
}

// wantMetric waits until the counter is 1 or more.
func (a *answered) wantMetric(t *testing.T, name string) {
	t.Helper()
	var page string
	ok := harness.Holds(10*time.Second, func() bool {
		resp, err := http.Get("http://" + a.metrics + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		page = string(b)
		return regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` [1-9]`).MatchString(page)
	})
	if !ok {
		t.Errorf("no metric %s in\n%s", name, page)
	}
}
