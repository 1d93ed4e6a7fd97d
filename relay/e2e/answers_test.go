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
	"graphrelay/relay/sandbox"
)

// provenInParts are rows of the catalogue that a whole relay meets only by a
// fault of its own or an operator's stop, and the test that shows them.
func provenInParts() map[string]string {
	return map[string]string{
		"the message cannot be read from the queue":                                  "graph TestUnreadableMessageIsNotSent",
		"the relay stops before anything has left":                                   "graph TestCancelledBeforeTheRequestIsRetry",
		"this machine has no such identity":                                          "graph TestManagedIdentity",
		"the machine asks for tokens too often":                                      "graph TestEveryAnswerOfTheMetadataService",
		"the metadata service refuses this program":                                  "graph TestEveryAnswerOfTheMetadataService",
		"what answers is no metadata service":                                        "graph TestEveryAnswerOfTheMetadataService",
		"the machine's identity is not ready, as it is for a minute after an update": "graph TestEveryAnswerOfTheMetadataService",
	}
}

// TestEveryAnswer makes the double give each answer of the catalogue to a
// message of a whole relay, and sees what becomes of it: the reply, the
// outcome, the log line, the hold, the metric and the report. A row that no
// answer reaches fails, and so a new one does until its scenario is here.
func TestEveryAnswer(t *testing.T) {
	parts := provenInParts()
	for i, fact := range graph.Catalogue() {
		name := fmt.Sprintf("%02d %s %s", i, fact.Of, firstWord(fact))
		row := fact.Text
		if fact.When != "" {
			row = fact.When
		}
		if where, ok := parts[row]; ok {
			delete(parts, row)
			if !existsTest(t, where) {
				t.Errorf("%s: there is no test %s", name, where)
			}
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tryAnswer(t, fact)
		})
	}
	for row := range parts {
		t.Errorf("the catalogue has no row %q", row)
	}
}

func firstWord(f graph.Fact) string {
	return strings.TrimSpace(strings.Join([]string{f.HTTP, strings.Split(f.Code, " ")[0], f.Match, strings.Split(f.When, ",")[0]}, " "))
}

// rowID is the Message-ID by which the fault finds the message, and not its report.
const rowID = "<row@client.example.org>"

// tryAnswer sends one message, meets the fact, and holds everything that can be
// seen of it against the row.
func tryAnswer(t *testing.T, f graph.Fact) {
	r := newAnswered(t, f)
	c := harness.Hello(t, r.smtp)
	c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
	c.Want(c.Say("RCPT TO:<someone@example.org>"), 250)
	c.Want(c.Say("DATA"), 354)
	// The reply is the same whatever Graph will say: it is not asked before it.
	c.Want(c.Say("From: "+harness.Sender+"\r\nTo: someone@example.org\r\nSubject: x\r\nMessage-ID: "+rowID+"\r\n\r\nx\r\n."), 250)

	entry := r.outcome(t)
	want, text := outcomeOf(f), f.Text
	if f.Of == graph.OfNumber {
		text = "AADSTS" // the rows of the login decide, the number advises
	}
	if !slices.Contains(want, entry.Msg) {
		t.Errorf("the log says %q, want one of %q: %+v", entry.Msg, want, entry)
	}
	if f.Outcome != graph.Delivered && (!strings.HasPrefix(entry.Text, text) && f.Of != graph.OfNumber || !strings.Contains(entry.Text, text) || !strings.Contains(entry.Text, f.Advice)) {
		t.Errorf("the log says %q, want %q and %q", entry.Text, text, f.Advice)
	}
	if f.Of != graph.OfNumber && entry.Status != f.Status.String() {
		t.Errorf("status %s, want %s", entry.Status, f.Status)
	}
	if entry.Duplicate != (f.Of != graph.OfNumber && f.Outcome == graph.Unknown) {
		t.Errorf("possible duplicate: %v", entry.Duplicate)
	}
	switch entry.Msg {
	case "held":
		if f.Scope != graph.ScopeMessage { // alone it begins no hold
			r.wantHold(t, f)
		}
	case "bounced":
		r.wantReport(t, entry)
	}
	r.wantMetric(t, `graphrelay_delivery_outcomes_total{mailbox="`+harness.Sender+`",outcome="`+entry.Msg+`"}`)
	if f.Of == graph.OfGraph {
		r.wantMetric(t, `graphrelay_graph_responses_total{code="`+strconv.Itoa(entry.HTTPStatus)+`",identity="default"}`)
	}
	if got := r.double.Ledger()[rowID]; f.Outcome != graph.Delivered && got != 0 || f.Outcome == graph.Delivered && got != 1 {
		t.Errorf("the double has recorded it %d times", got)
	}
}

// outcomeOf is the event in the log. A refused SendAs depends on who chose the
// sender.
func outcomeOf(f graph.Fact) []string {
	switch {
	case f.Of == graph.OfNumber:
		return []string{"held", "deferred"}
	case f.Outcome == graph.Delivered:
		return []string{"sent"}
	case f.Outcome == graph.Bounce || f.Outcome == graph.TooLarge:
		return []string{"bounced"}
	case f.Outcome == graph.Hold && f.Scope == graph.ScopeFrom:
		return []string{"held", "bounced"}
	case f.Outcome == graph.Hold:
		return []string{"held"}
	}
	return []string{"deferred"}
}

// answered is a relay within this process whose double gives one answer.
type answered struct {
	double  *harness.Double
	smtp    string
	metrics string
	log     *logLines
}

func newAnswered(t *testing.T, f graph.Fact) *answered {
	t.Helper()
	d := harness.StartDouble(t)
	dir, err := os.MkdirTemp("", "gr") // a short name, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	harness.WriteFile(t, filepath.Join(dir, "ca.pem"), string(d.CA()))
	harness.WriteFile(t, filepath.Join(dir, "secret"), d.Secret())
	a := &answered{double: d, smtp: harness.FreeAddr(t), metrics: harness.FreeAddr(t), log: &logLines{lines: make(chan logLine, 1000)}}
	s := scenarioOf(t, f, d)
	if s.fault.Endpoint != "" {
		if s.fault.Endpoint == "sendMail" {
			s.fault.MessageID = rowID
		}
		if err := d.Inject(s.fault); err != nil {
			t.Fatal(err)
		}
	}
	runRelay(t, a.yaml(d, s, dir), dir, a.log)
	return a
}

// runRelay runs a relay within this process until the test ends.
func runRelay(t *testing.T, yaml, dir string, log io.Writer) {
	t.Helper()
	c, err := config.Parse("config.yaml", []byte(yaml), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(t.Context(), relay.Options{Config: c, Version: "test", Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (a *answered) yaml(d *harness.Double, s scenario, dir string) string {
	login, graphURL := d.URL(), d.URL()
	if s.login != "" {
		login = s.login
	}
	if s.graph != "" {
		graphURL = s.graph
	}
	return "hostname: relay.contoso.local\n" +
		"identities:\n  - {tenant_id: " + d.TenantID() + ", client_id: " + d.ClientID() + ", client_secret_file: secret, ca_file: ca.pem, endpoints: {login: \"" + login + "\", graph: \"" + graphURL + "\"}" + s.identity + "}\n" +
		"senders: [{address: " + harness.Sender + "}]\n" +
		"smtp: {listeners: [{address: \"" + a.smtp + "\"}]}\n" +
		"queue: {store: \"sqlite:queue.db\"}\n" +
		"admin: {address: \"unix:" + filepath.Join(dir, "a.sock") + "\"}\n" +
		"metrics: {address: \"" + a.metrics + "\"}\n"
}

// scenario is how a row is reached: a fault of the double, or a server that is
// not where the configuration says.
type scenario struct {
	fault        sandbox.Fault
	login, graph string // endpoints in place of the double
	identity     string // further keys, ", key: value"
}

func scenarioOf(t *testing.T, f graph.Fact, d *harness.Double) scenario {
	t.Helper()
	switch f.Of {
	case graph.OfGraph:
		return scenario{fault: graphFault(f)}
	case graph.OfLogin:
		return scenario{fault: loginFault(f)}
	case graph.OfNumber:
		number, _ := strconv.Atoi(strings.TrimPrefix(strings.Fields(f.When)[0], "AADSTS"))
		return scenario{fault: sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: number}}
	}
	switch {
	case strings.Contains(f.When, "after octets"):
		return scenario{fault: sandbox.Fault{Endpoint: "sendMail", Drop: sandbox.DropBody}}
	case strings.Contains(f.When, "TLS fails"):
		return scenario{graph: harness.StartDouble(t).URL()} // of another authority
	case strings.Contains(f.When, "name is not resolved"):
		return scenario{graph: "https://graph.invalid"}
	case strings.Contains(f.When, "the proxy refuses"):
		p := sandbox.NewProxy("", "") // which lets nothing out of this machine
		if err := p.Start(""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return scenario{graph: "https://192.0.2.1", identity: ", proxy: \"" + p.URL() + "\""}
	case strings.Contains(f.When, "anything else before octets"):
		return scenario{graph: "https://" + harness.FreeAddr(t)}
	case strings.Contains(f.When, "on the way to Entra"):
		return scenario{login: "https://" + harness.FreeAddr(t)}
	}
	t.Fatalf("there is no scenario for %+v", f)
	return scenario{}
}

// graphFault is an answer that a row describes, and no row before it.
func graphFault(f graph.Fact) sandbox.Fault {
	x := sandbox.Fault{Endpoint: "sendMail", Status: statusOf(f.HTTP), Code: exampleCode(f.Code), Message: f.Match, Headers: map[string]string{}}
	switch {
	case f.Outcome == graph.Delivered:
		return sandbox.Fault{}
	case f.Page:
		x.Status, x.Body = 200, sandbox.BodyHTML
	case f.Code == "-":
		x.Code, x.Body = "", sandbox.BodyHTML
	case f.HTTP == "":
		x.Status = statusOfCode(f.Code)
	}
	if x.Status/100 == 3 {
		x.Headers["Location"] = "https://192.0.2.1/"
	}
	if f.Code == "" && x.Body == "" {
		x.Code = "SomethingNew"
	}
	if x.Status < 400 && x.Body == "" {
		x.Code, x.Message = "", ""
	}
	return x
}

func loginFault(f graph.Fact) sandbox.Fault {
	x := sandbox.Fault{Endpoint: "token", Status: statusOf(f.HTTP), Code: exampleCode(f.Code), AADSTS: 1}
	if f.HTTP == "" {
		x.Status = 400
	}
	switch f.Code {
	case "":
		x.Code = "something_new"
	case "-":
		x.Code, x.AADSTS, x.Body = "", 0, sandbox.BodyHTML
	}
	return x
}

// statusOf is one status of a pattern, none that another row names.
func statusOf(pattern string) int {
	word, _, _ := strings.Cut(pattern, " ")
	switch word {
	case "2xx":
		return 203
	case "3xx":
		return 302
	case "5xx":
		return 501
	case "":
		return 418
	}
	n, _ := strconv.Atoi(word)
	return n
}

// statusOfCode is the status with which a code was seen, where the row takes any.
func statusOfCode(code string) int {
	switch {
	case code == "":
		return 418
	case code == "ErrorQuotaExceeded":
		return 507
	case regexp.MustCompile("Throttled|Quota|Limit").MatchString(code):
		return 429
	case regexp.MustCompile("Unable|Base64").MatchString(code):
		return 400
	case regexp.MustCompile("Token|Audience|claims").MatchString(code):
		return 401
	case regexp.MustCompile("REST|NotFound|NonExistent|InvalidUser").MatchString(code):
		return 404
	case regexp.MustCompile("Busy").MatchString(code):
		return 503
	case regexp.MustCompile("Range").MatchString(code):
		return 416
	}
	return 403
}

func exampleCode(pattern string) string {
	word, _, _ := strings.Cut(pattern, " ")
	return strings.ReplaceAll(strings.TrimSuffix(word, "-"), "*", "Example")
}

// logLine is what is looked at of a line of the log.
type logLine struct {
	Msg, Text, Status, Hold, Mailbox, From string
	HTTPStatus                             int  `json:"http_status"`
	Duplicate                              bool `json:"possible_duplicate"`
}

// logLines hands the lines of a JSON log on.
type logLines struct {
	lines chan logLine

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
	case strings.HasPrefix(line.Msg, "hold begins"):
		l.holds = append(l.holds, line)
	case slices.Contains([]string{"sent", "deferred", "held", "bounced", "failed"}, line.Msg):
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
	want := map[graph.Scope]string{graph.ScopeIdentity: "identity:", graph.ScopeMailbox: "mailbox:", graph.ScopeFrom: "sendas:"}[f.Scope]
	ok := harness.Holds(10*time.Second, func() bool {
		a.log.mu.Lock()
		defer a.log.mu.Unlock()
		return slices.ContainsFunc(a.log.holds, func(l logLine) bool { return strings.HasPrefix(l.Hold, want) && strings.Contains(l.Text, f.Advice) })
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
	for _, want := range []string{"multipart/report", "Status: " + entry.Status, "Final-Recipient: rfc822; someone@example.org", rowID} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is not in the report:\n%s", want, report)
		}
	}
	what, _, _ := strings.Cut(entry.Text, " (Graph answered")
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
