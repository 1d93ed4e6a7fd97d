package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/state"
)

var update = flag.Bool("update", false, "rewrite packaging/doc/metrics.md; then read the difference")

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// full is a Monitor in which every metric has a value.
func full(t *testing.T) *Monitor {
	t.Helper()
	m := filled(Config{Version: "v1", Now: func() time.Time { return noon }, Limits: []string{"5.1.90", "5.7.233"},
		Snapshot: func(context.Context) (state.Snapshot, error) {
			return state.Snapshot{
				Queued: 3, Lanes: []state.Lane{{Mailbox: "a@example.org", Queued: 3, Oldest: noon.Add(-time.Hour),
					Slots: 3, Backoff: noon.Add(time.Minute),
					Clients: []state.Waits{{Client: "erp", Waiting: 2}, {Waiting: 1}}}},
				Holds:     []state.Hold{{Key: "mailbox:a@example.org"}},
				Mailboxes: []state.MailboxDay{{Mailbox: "a@example.org", Recipients: 7}},
				Clients:   []state.ClientHour{{Client: "erp", Messages: 8}},
				Credentials: []state.Credential{
					{Identity: "contoso", Kind: "certificate", Expires: noon.Add(time.Hour),
						Renewal: &state.Renewal{Stage: "trying", Failing: true}},
					{Identity: "other", Kind: "client secret"},
				},
				Certificate: noon, Audits: []state.Audit{{Identity: "contoso", At: noon, Passed: true}},
				Nodes: []state.Node{{Name: "one", Lanes: 3, Seen: 14.5},
					{Name: "one", Leads: true, Lanes: 2, Seen: 1.5}},
				Canary: &state.Canary{Stage: "arrived", Arrived: noon, Travel: 4.5}, Reload: state.Reload{At: noon},
			}, nil
		}})
	m.Accepted(Taken{Client: "erp", Addr: "192.0.2.1", Recipients: 2, Size: 100,
		Repairs: []string{"display_name"}})
	m.Refused("erp", "192.0.2.1", state.Refused{Step: "rcpt", Status: reply.Enhanced{5, 7, 1}})
	m.Attempted("a@example.org")
	m.Outcome(Outcome{Kind: "sent", Mailbox: "a@example.org", Identity: "contoso", HTTPStatus: 202,
		Duration: time.Second, Delay: 2 * time.Second, Duplicate: true, Damaged: "repaired"})
	m.Outcome(Outcome{Kind: "deferred", Mailbox: "a@example.org", Identity: "contoso", Reply: 432, Submission: true,
		Duration: time.Second})
	m.AlertPosted(nil)
	m.Bounced("a@example.org", "5.1")
	m.BouncedNow("erp", "5.7.233")
	m.BouncedNow("", "")
	m.BounceReport("a@example.org", "matched")
	return m
}

func get(m *Monitor, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9725"+path, nil))
	return w
}

// Each kind of hold is counted, an audit's too: with it no mail of an identity goes.
func TestHoldsAreCountedByScope(t *testing.T) {
	m := filled(Config{Snapshot: func(context.Context) (state.Snapshot, error) {
		return state.Snapshot{Holds: []state.Hold{{Key: "identity:contoso"}, {Key: "audit:contoso"},
			{Key: "mailbox:a@b"}, {Key: "mailbox:c@d"},
			{Key: "sendas:a@b from c@d"}}}, nil
	}})
	text := get(m, "/metrics").Body.String()
	for _, want := range []string{`{scope="identity"} 1`, `{scope="audit"} 1`, `{scope="mailbox"} 2`,
		`{scope="sendas"} 1`} {
		if !strings.Contains(text, "graphrelay_holds"+want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
}

// What is served is what Metrics lists, and the other way round.
func TestMetricsAreThoseServed(t *testing.T) {
	families, err := full(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]string{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), prefix) {
			var labels []string
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			served[f.GetName()] = fmt.Sprint(strings.ToLower(f.GetType().String()), len(labels), f.GetHelp())
		}
	}
	for _, m := range New(Config{}).described {
		if got, want := served[m.Name], fmt.Sprint(m.Type, len(m.Labels), m.Help); got != want {
			t.Errorf("%s is served as %q, want %q", m.Name, got, want)
		}
		delete(served, m.Name)
	}
	for name := range served {
		t.Errorf("%s is served and not listed", name)
	}
}

// The table of metrics in the manual is the one of the program.
func TestManualListsEveryMetric(t *testing.T) {
	path := filepath.Join("..", "..", "packaging", "doc", "metrics.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(b), "| Metric |")
	if !found {
		t.Fatalf("%s has no table that begins with | Metric |", path)
	}
	want := head + table()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(b) != want {
		t.Errorf("%s is not the program's table; run: go test ./relay/monitor -run TestManual -update", path)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n")
	for _, m := range New(Config{}).described {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, m.Help)
	}
	return b.String()
}

func TestScrape(t *testing.T) {
	w := get(full(t), "/metrics")
	for _, want := range []string{
		`graphrelay_accepted_messages_total{client="erp"} 1`, `graphrelay_accepted_recipients_total{client="erp"} 2`,
		`graphrelay_refusals_total{at="rcpt",status="5.7.1"} 1`, `graphrelay_repairs_total{repair="display_name"} 1`,
		`graphrelay_delivery_outcomes_total{mailbox="a@example.org",outcome="sent"} 1`,
		`graphrelay_graph_responses_total{code="202",identity="contoso"} 1`,
		`graphrelay_submission_responses_total{code="432",identity="contoso"} 1`,
		`graphrelay_submission_duration_seconds_count{identity="contoso"} 1`,
		`graphrelay_graph_request_duration_seconds_count{identity="contoso"} 1`,
		`graphrelay_bounces_total{class="5.1",mailbox="a@example.org"} 1`,
		`graphrelay_client_bounces_total{client="erp"} 1`, `graphrelay_limit_bounces_total{status="5.1.90"} 0`,
		`graphrelay_limit_bounces_total{status="5.7.233"} 1`,
		`graphrelay_bounce_reports_total{mailbox="a@example.org",result="matched"} 1`,
		`graphrelay_damaged_large_messages_total{mailbox="a@example.org",result="repaired"} 1`,
		`graphrelay_queue_oldest_age_seconds 3600`,
		`graphrelay_lane_waiting_messages{client="erp",mailbox="a@example.org"} 2`,
		`graphrelay_lane_waiting_messages{client="",mailbox="a@example.org"} 1`,
		`graphrelay_lane_backoff_seconds{mailbox="a@example.org"} 60`, `graphrelay_holds{scope="mailbox"} 1`,
		`graphrelay_node_lanes{node="one"} 5`, `graphrelay_node_leads{node="one"} 1`,
		`graphrelay_node_seen_seconds{node="one"} 1.5`, `graphrelay_ready 1`,
		`graphrelay_build_info{goversion="go`, `process_start_time_seconds`, `go_goroutines`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if strings.Contains(w.Body.String(), `graph_responses_total{code="0"`) {
		t.Error("a reply to large mail counts as silence of Graph")
	}
	if strings.Contains(w.Body.String(), `kind="client secret"`) {
		t.Error("an expiry that nobody knows has a value")
	}
}

// A wildcard makes as many mailboxes as there are senders; the labels do not.
func TestLabelsAreBounded(t *testing.T) {
	m := filled(Config{})
	for i := range 3 * maxLabels {
		m.Attempted(fmt.Sprintf("u%d@example.org", i))
	}
	text := get(m, "/metrics").Body.String()
	if n := strings.Count(text, "graphrelay_delivery_attempts_total{"); n != maxLabels+1 {
		t.Errorf("%d values of mailbox, want %d and one for the others", n, maxLabels)
	}
	if want := fmt.Sprintf(`attempts_total{mailbox="other"} %d`, 2*maxLabels); !strings.Contains(text, want) {
		t.Errorf("the scrape lacks %s", want)
	}
}

func TestHealth(t *testing.T) {
	full := errors.New("no room; free space")
	alarm := state.Alarm{Key: "hold:mailbox:a@example.org", Fault: state.FaultOf("held; do this")}
	for _, c := range []struct {
		name           string
		s              state.Snapshot
		err            error
		status         string
		alive, ready   int
		reasonContains string
	}{
		{"well", state.Snapshot{}, nil, state.OK, 200, 200, ""},
		{"a hold degrades and mail is still accepted", state.Snapshot{Alarms: []state.Alarm{alarm}}, nil,
			state.Degraded, 200, 200, `"key":"hold:mailbox"`},
		{"a full disk is alive and not ready", state.Snapshot{Full: full}, nil, state.Degraded, 200, 503,
			`"key":"disk"`},
		{"a broken store is alive and not ready", state.Snapshot{Unhealthy: errors.New("broken")}, nil,
			state.Degraded, 200, 503, `"key":"store"`},
		{"a stop is not ready", state.Snapshot{Stopping: true}, nil, state.Degraded, 200, 503, "stopping"},
		{"a store that does not answer is dead", state.Snapshot{}, context.DeadlineExceeded, state.Dead, 503, 503,
			`"key":"snapshot"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := filled(Config{Snapshot: func(context.Context) (state.Snapshot, error) { return c.s, c.err }})
			for path, code := range map[string]int{"/healthz": c.alive, "/readyz": c.ready} {
				w := get(m, path)
				var h state.Outline
				if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
					t.Fatal(err)
				}
				if w.Code != code || h.Status != c.status || !strings.Contains(w.Body.String(), c.reasonContains) {
					t.Errorf("%s = %d %s, want %d %s", path, w.Code, w.Body, code, c.status)
				}
				for _, word := range []string{"example.org", "do this", "free space", "broken", "deadline"} {
					if strings.Contains(w.Body.String(), word) {
						t.Errorf("%s shows %q to everybody: %s", path, word, w.Body)
					}
				}
			}
		})
	}
}

func TestOnlyReading(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch,
		http.MethodOptions} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			w := httptest.NewRecorder()
			filled(Config{}).Handler().ServeHTTP(w, httptest.NewRequest(method, "http://127.0.0.1:9725"+path, nil))
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s = %d", method, path, w.Code)
			}
		}
	}
}

// A page elsewhere can make its own name lead here, and must not read.
func TestHostHeader(t *testing.T) {
	m := filled(Config{Hostname: func() string { return "Relay.contoso.local" }})
	for host, want := range map[string]int{
		"": 200, "127.0.0.1:9725": 200, "[::1]:9725": 200, "192.0.2.7": 200, "localhost:9725": 200,
		"graphrelay:9725":          200,
		"relay.contoso.local:9725": 200, "relay.contoso.local.": 200,
		"evil.example": 421, "evil.example:9725": 421, "relay.contoso.local.evil.example": 421,
		"127.0.0.1.evil.example": 421, "127.0.0.1@evil.example": 421,
	} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			m.Handler().ServeHTTP(w, r)
			if w.Code != want || want == 421 && !strings.Contains(w.Body.String(), "hostname") {
				t.Errorf("%q %s = %d %s", host, path, w.Code, w.Body)
			}
		}
	}
}

func TestMinutes(t *testing.T) {
	now := noon
	m := filled(Config{Now: func() time.Time { return now }})
	m.Accepted(Taken{})
	m.Outcome(Outcome{Kind: "sent", Delay: 100 * time.Millisecond})
	m.Outcome(Outcome{Kind: "sent", Delay: 3 * time.Second})
	m.Outcome(Outcome{Kind: "deferred", Duplicate: true})
	now = now.Add(2 * time.Minute)
	m.Refused("", "", state.Refused{})
	list := m.Minutes(4)
	if len(list) != 4 || list[0].Accepted != 0 || list[1].Accepted != 1 || list[1].Sent != 2 ||
		list[1].Unknown != 1 || list[3].Refused != 1 || !list[3].Start.Equal(now) {
		t.Errorf("minutes = %+v", list)
	}
	if d := list[1].Delay(0.5); d != 128*time.Millisecond {
		t.Errorf("median = %v, want the bucket of 100 ms", d)
	}
	if d := list[1].Delay(0.95); d != 4096*time.Millisecond {
		t.Errorf("95 %% = %v, want the bucket of 3 s", d)
	}
	now = now.Add(Kept * time.Minute) // the ring came round
	for _, c := range m.Minutes(Kept) {
		if c.Accepted+c.Sent+c.Refused > 0 {
			t.Fatalf("%v is still there", c.Start)
		}
	}
}

func TestClientsAreBounded(t *testing.T) {
	now := noon
	m := filled(Config{Now: func() time.Time { now = now.Add(time.Second); return now }})
	m.Refused("", "first", state.Refused{Reply: strings.Repeat("x", 9000)})
	for i := range 2 * maxClients {
		m.Accepted(Taken{Client: "erp", Addr: fmt.Sprint(i)})
	}
	list := m.Clients()
	if len(list) != maxClients || list[0].Addr != fmt.Sprint(2*maxClients-1) {
		t.Errorf("%d clients, first %+v", len(list), list[0])
	}
	m.Refused("erp", "999", state.Refused{Step: "rcpt", Status: reply.Enhanced{5, 7, 1},
		Reply: strings.Repeat("x", 9000), Why: "not granted"})
	if c := m.Clients()[0]; c.Accepted != 1 || c.Refusals != 1 || c.Why != "not granted" || len(c.Reply) > 500 ||
		c.Step != "rcpt" {
		t.Errorf("client = %+v", c)
	}
}

// filled makes a Monitor of a Config that may lack what a test does not look at.
func filled(c Config) *Monitor {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Hostname == nil {
		c.Hostname = func() string { return "" }
	}
	if c.Snapshot == nil {
		c.Snapshot = func(context.Context) (state.Snapshot, error) { return state.Snapshot{}, nil }
	}
	return New(c)
}

// The last minute is never empty while mail flows, at whatever second somebody looks.
func TestLastMinute(t *testing.T) {
	now := noon
	m := New(Config{Now: func() time.Time { return now }, Hostname: func() string { return "relay" }})
	m.Accepted(Taken{Client: "erp"})
	m.Outcome(Outcome{Kind: "sent"})
	for _, after := range []time.Duration{0, time.Second, 30 * time.Second, 59 * time.Second} {
		if now = noon.Add(after); m.LastMinute().Traffic != (state.Traffic{Accepted: 1, Sent: 1}) {
			t.Errorf("after %s: %+v", after, m.LastMinute().Traffic)
		}
	}
	if now = noon.Add(time.Minute); m.LastMinute().Traffic != (state.Traffic{}) {
		t.Errorf("after a minute: %+v", m.LastMinute().Traffic)
	}
	if got := m.Minutes(2)[0].Accepted; got != 1 {
		t.Errorf("the minute before has %d", got)
	}
}
