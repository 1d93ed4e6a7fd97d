package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// What a program may read of the service keeps its shape: the JSON of status,
// queue list, queue show and trace, and the page of metrics, each with its
// fields, types and values, in a scenario with a message in every state. The
// golden files are a promise: they are never rewritten. Texts for people are not
// compared, but for the help of the metrics, which may be renewed:
// go test ./relay/e2e -run TestGolden -update.
func TestGoldenOutputs(t *testing.T) {
	r := goldenScene(t)
	n := newNormalizer(r)
	list := n.json(t, command(t, r, "queue", "list", "--json"))
	var shown, traced []string
	for _, e := range everyMessage(t, r) {
		shown = append(shown, n.json(t, command(t, r, "queue", "show", e.QueueID, "--json")))
		traced = append(traced, n.json(t, command(t, r, "trace", e.QueueID, "--json")))
	}
	if took := command(t, r, "trace", idOf(t, r, "sent"), "--json"); !jsonTook.MatchString(took) {
		t.Errorf("no duration_ms in %s", took)
	}
	status := n.json(t, command(t, r, "status", "--json"))
	metrics, help := metricLines(r.Page("/metrics"))
	for name, text := range map[string]string{
		"queue-list.golden": list, "queue-show.golden": strings.Join(shown, ""),
		"trace.golden":  strings.Join(traced, ""),
		"status.golden": status, "metrics.golden": metrics,
	} {
		compareGolden(t, name, text, false)
	}
	compareGolden(t, "metrics-help.golden", help, *update)
}

// goldenScene has messages sent, deferred, on hold, held, failed and deleted, a
// hold of a mailbox, an audit that passed and a credential with a known end.
func goldenScene(t *testing.T) *harness.Relay {
	t.Helper()
	const slow, strange, denied = "slow@contoso.com", "strange@contoso.com", "denied@contoso.com"
	d := harness.StartDouble(t, harness.Latency(20*time.Millisecond))
	d.SetAllowed([]string{harness.Sender, slow})
	inject := func(f sandbox.Fault) {
		if err := d.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	inject(sandbox.Fault{MessageID: "<failed@client.example.org>", Status: 400, Code: "ErrorInvalidRecipients",
		Message: "At least one recipient is not valid."})
	inject(sandbox.Fault{Endpoint: "sendMail", Mailbox: slow, Status: 503, Code: "ErrorServerBusy",
		RetryAfter: time.Hour})
	r := harness.StartRelay(t, d, harness.Watched(), harness.Senders(harness.Sender, slow, strange),
		harness.With("identity", "name: contoso", "denied_mailbox: "+denied, "client_secret_expires: 2099-01-31"),
		harness.With("top", "audit: {every: 24h, on_failure: stop}", "reports: {to_sender: false}"))
	history := func(id, event string) {
		harness.Until(t, patience, id+" to be "+event, func() bool {
			out, err := r.Run("trace", "<"+id+"@client.example.org>", "--json")
			return err == nil && strings.Contains(out, `"event": "`+event+`"`)
		})
	}
	send := func(from, id, event string) {
		c := harness.Hello(t, r.Addr)
		c.Want(c.Send(from, []string{anyone, "b@example.org"}, strings.ReplaceAll(plain(id), harness.Sender, from)),
			250)
		history(id, event)
	}
	harness.Until(t, patience, "the audit to pass", func() bool {
		return strings.Contains(command(t, r, "status", "--json"), `"passed": true`)
	})
	send(harness.Sender, "sent", "sent")
	send(harness.Sender, "failed", "failed")
	send(slow, "deferred", "deferred")
	for _, id := range []string{"held", "deleted"} {
		send(slow, id, "accepted")
	}
	send(strange, "on-hold", "paused")
	command(t, r, "queue", "hold", idOf(t, r, "held"))
	command(t, r, "queue", "delete", "--yes", idOf(t, r, "deleted"))
	for _, key := range []string{"hold:mailbox", "queue:held"} {
		harness.Until(t, patience, "the alarm "+key, func() bool { return strings.Contains(r.Page("/readyz"), key) })
	}
	return r
}

// command is what a command of the program prints.
func command(t *testing.T, r *harness.Relay, args ...string) string {
	t.Helper()
	out, err := r.Run(args...)
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func idOf(t *testing.T, r *harness.Relay, message string) string {
	t.Helper()
	list := everyMessage(t, r)
	i := slices.IndexFunc(list, func(e harness.Entry) bool { return e.MessageID == "<"+message+"@client.example.org>" })
	if i < 0 {
		t.Fatalf("there is no message %s in %+v", message, list)
	}
	return list[i].QueueID
}

// everyMessage lists the messages of every state, in the order of acceptance.
func everyMessage(t *testing.T, r *harness.Relay) (list []harness.Entry) {
	t.Helper()
	out := command(t, r, "queue", "list", "--state",
		"queued,deferred,paused,sending,held,sent,failed,deleted,damaged", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// normalizer replaces what differs from run to run: times, IDs, durations,
// sizes, addresses, and texts for people.
type normalizer []replacement

type replacement struct {
	pattern *regexp.Regexp
	with    string
}

func newNormalizer(r *harness.Relay) (n normalizer) {
	for _, c := range [][2]string{
		{regexp.QuoteMeta(r.Dir), "DIR"},
		{`[0-9a-f]{8}-[0-9a-f-]{27}`, "UUID"},
		{`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)`, "TIME"},
		{`127\.0\.0\.1:\d+`, "ADDRESS"},
		{`\b[0-9][0-9a-z]{15}\b`, "QUEUE-ID"},
	} {
		n = append(n, replacement{regexp.MustCompile(c[0]), c[1]})
	}
	return n
}

// texts are the names of values that are for people.
const texts = "text|headline|remedy|meanwhile|detail|reason|paused_reason|health|header|error"

var (
	jsonText   = regexp.MustCompile(`(?m)^( *"(?:` + texts + `)": )(".*?")(,?)$`)
	jsonListed = regexp.MustCompile(`(?m)^( +)("[^"]* .*")(,?)$`) // an element of a list that is a sentence
	jsonNumber = regexp.MustCompile(`(?m)^( *"(?:size|header_size|connections|slots)": )\d+`)
	jsonTook   = regexp.MustCompile(`,\n *"duration_ms": \d+`) // absent below a millisecond
	jsonMinute = regexp.MustCompile(`"last_minute": \{[^}]*\}`)
	jsonID     = regexp.MustCompile(`("version": )".*"`)
)

// json normalises the output of a command.
func (n normalizer) json(t *testing.T, s string) string {
	t.Helper()
	if !json.Valid([]byte(s)) {
		t.Fatalf("no JSON: %s", s)
	}
	for _, c := range n {
		s = c.pattern.ReplaceAllString(s, c.with)
	}
	s = jsonText.ReplaceAllString(s, `$1"TEXT"$3`)
	s = jsonListed.ReplaceAllString(s, `$1"TEXT"$3`)
	s = jsonNumber.ReplaceAllString(s, `${1}0`)
	s = jsonTook.ReplaceAllString(s, "")
	s = jsonID.ReplaceAllString(s, `$1"VERSION"`)
	return jsonMinute.ReplaceAllStringFunc(s, func(m string) string {
		return regexp.MustCompile(`\d+`).ReplaceAllString(m, "0")
	})
}

// changingMetrics have other values in each run.
var changingMetrics = regexp.MustCompile(
	`_(seconds|bytes|bytes_total|slots)$|_seconds_(bucket|sum)$|smtp_connections|disk_`)

// metricLines keeps names, types, labels and values of our metrics, and returns
// their help apart.
func metricLines(page string) (values, help string) {
	var v, h strings.Builder
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), " ")
		series, value, _ := strings.Cut(line, "} ")
		if series == line {
			series, value, _ = strings.Cut(line, " ")
		} else {
			series += "}"
		}
		bare, _, _ := strings.Cut(name, "{")
		switch {
		case !strings.HasPrefix(name, "graphrelay_"):
		case strings.HasPrefix(line, "# HELP "):
			fmt.Fprintln(&h, strings.TrimPrefix(line, "# HELP "))
		case strings.HasPrefix(line, "# TYPE "):
			fmt.Fprintln(&v, line)
		case bare == "graphrelay_build_info":
			fmt.Fprintln(&v, `graphrelay_build_info{goversion="GO",version="VERSION"} 1`)
		case changingMetrics.MatchString(bare):
			fmt.Fprintln(&v, series, "N")
		default:
			fmt.Fprintln(&v, series, value)
		}
	}
	return v.String(), h.String()
}

// compareGolden holds a text to a file. One that may be renewed is written.
func compareGolden(t *testing.T, name, text string, renew bool) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	want, err := os.ReadFile(path)
	if renew || os.IsNotExist(err) && *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(want) != text {
		t.Errorf("%s differs (%v): %s", name, err, firstDifference(string(want), text))
	}
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "", ""
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i+1, b, a)
		}
	}
	return "nothing"
}
