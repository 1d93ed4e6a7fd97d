package wiring

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/canary"
	"graphrelay/relay/delivery"
	"graphrelay/relay/e2e/confkeys"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/intake"
	"graphrelay/relay/policy"
	"graphrelay/relay/renewal"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool/postgres"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/state"
	"graphrelay/relay/tracking"
	"graphrelay/relay/verify"
)

// options are those of every part, as the configuration makes them.
type options struct {
	Graph      []graph.Config
	Submission []string
	Verify     []verify.Identity
	Audit      verify.AuditConfig
	Renews     map[string]string
	Holds      bool
	Audited    []string
	SMTP       smtpd.Config
	Listeners  []Listener
	KeyPair    []string
	Policy     policy.Rules
	Intake     intake.Rules
	Store      sqlite.Options
	URLFile    string
	Database   postgres.Options // where there is a URLFile
	Retention  []time.Duration
	Limits     delivery.Limits
	Reports    delivery.Reports
	Tracking   tracking.Settings
	Canary     canary.Settings
	Reading    config.Name
	Routes     map[string]delivery.Route
	Lookups    []envelope.Address
	Exact      []envelope.Address
	Webhook    string
	Alarms     map[string]int
	Weights    map[string]int
	Disk       []string
	Services   map[string]string
	Console    string
}

func optionsOf(t *testing.T, c *config.Config) options {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	certificate := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	o := options{
		Audit:     Audit(c, nil, log),
		Renews:    map[string]string{},
		Holds:     AuditHolds(c),
		SMTP:      SMTP(c, log),
		Listeners: Listeners(c, Submit{Path: "/run/graphrelay/submit.sock"}, certificate),
		Policy:    Policy(c, "host"),
		Intake:    Intake(c, "host"),
		Store:     Store(c, false, log),
		Limits:    Limits(c),
		Reports:   Reports(c),
		Tracking:  Tracking(c),
		Canary:    Canary(c),
		Reading:   CanaryIdentity(c),
		Routes:    map[string]delivery.Route{},
		Lookups:   Lookups(c),
		Exact:     ExactSenders(c),
		Webhook:   WebhookURLFile(c),
		Alarms:    map[string]int{},
		Weights:   map[string]int{},
		Console:   ConsolePassword(c),
	}
	for _, id := range c.Identities {
		o.Graph = append(o.Graph, Graph(id, "1.2.3", log, nil))
		o.Submission = append(o.Submission, SubmissionServer(id))
		if r := Renewals(c, nil, "1.2.3", log)[string(id.Name)]; r != nil {
			o.Renews[r.Identity] = r.File + " of " + r.Tenant.(renewal.Graph).ObjectID
		}
	}
	var boxes []envelope.Address
	for _, m := range c.Mailboxes {
		boxes = append(boxes, m.Address)
		if route, ok := Route(c, m.Address); ok {
			o.Routes[m.Address.String()] = route
		}
	}
	for _, client := range c.Clients {
		o.Weights[string(client.Name)] = Weight(c, string(client.Name))
	}
	if file := string(c.Queue.StoreURLFile); file != "" {
		o.URLFile, o.Database = file, Database(c, false, log)
	}
	o.Audited = audited(c, boxes)
	history, failed := Retention(c)
	o.Retention = []time.Duration{history, failed}
	store, reserve := Disk(c)
	o.Disk = []string{store, fmt.Sprint(reserve)}
	o.Alarms["queue"], o.Alarms["client"] = Alarms(c)
	chain, key := KeyPair(c)
	o.KeyPair = []string{chain, key}
	admin, metrics, console := Services(c)
	o.Services = map[string]string{"admin": admin, "metrics": metrics, "console": console}
	var err error
	if o.Verify, err = VerifyIdentities(c, "1.2.3", nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// flat writes each field of v with its value, by its path.
func flat(path string, v reflect.Value, to map[string]string) {
	nothing := v.Kind() == reflect.Pointer && v.IsNil()
	if text, ok := v.Interface().(fmt.Stringer); ok && !nothing {
		to[path] = text.String()
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			switch f := v.Type().Field(i); {
			case f.Anonymous:
				flat(path, v.Field(i), to)
			case f.IsExported():
				flat(path+"."+f.Name, v.Field(i), to)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			flat(fmt.Sprintf("%s[%d]", path, i), v.Index(i), to)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			flat(fmt.Sprintf("%s[%v]", path, key), v.MapIndex(key), to)
		}
	case reflect.Pointer, reflect.Func, reflect.Interface:
		if v.IsNil() {
			return
		}
		if to[path] = "set"; v.Kind() == reflect.Pointer {
			flat(path, v.Elem(), to)
		}
	default:
		to[path] = fmt.Sprint(v.Interface())
	}
}

func flatOptions(t *testing.T, text string) map[string]string {
	t.Helper()
	c, err := config.Parse("config.yaml", []byte(text), "/etc/graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	to := map[string]string{}
	flat("", reflect.ValueOf(optionsOf(t, c)), to)
	return to
}

// changed are the options that differ, each with its new value.
func changed(old, now map[string]string) []string {
	var list []string
	for path, value := range now {
		if was, ok := old[path]; !ok || was != value {
			list = append(list, strings.TrimPrefix(path, ".")+"="+value)
		}
	}
	for path := range old {
		if _, ok := now[path]; !ok {
			list = append(list, strings.TrimPrefix(path, ".")+" gone")
		}
	}
	slices.Sort(list)
	return list
}

// row is an edit of config.yaml and what it changes.
type row struct {
	key   string
	edits []edit
	want  []string
}

type edit struct{ old, now []string }

// rows reads keys.txt.
func rows(t *testing.T) (list []row) {
	t.Helper()
	for _, block := range strings.Split(read(t, "keys.txt"), "\n\n")[1:] {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		r := row{key: lines[0]}
		for i, line := range lines[1:] {
			text := line[1:]
			switch line[0] {
			case '-':
				if before := lines[i]; before[0] != '-' {
					r.edits = append(r.edits, edit{})
				}
				e := &r.edits[len(r.edits)-1]
				e.old = append(e.old, text)
			case '+':
				e := &r.edits[len(r.edits)-1]
				e.now = append(e.now, text)
			case '=':
				r.want = append(r.want, strings.TrimSpace(text))
			default:
				t.Fatalf("keys.txt: %s: %q begins with none of - + =", r.key, line)
			}
		}
		list = append(list, r)
	}
	return list
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (e edit) apply(t *testing.T, text string) string {
	t.Helper()
	old := "\n" + strings.Join(e.old, "\n") + "\n"
	if n := strings.Count("\n"+text, old); n != 1 {
		t.Fatalf("config.yaml has %q %d times, want it once", old, n)
	}
	now := "\n"
	for _, line := range e.now {
		now += line + "\n"
	}
	return strings.Replace("\n"+text, old, now, 1)[1:]
}

// Each key changes exactly the options that keys.txt names, to exactly these
// values.
func TestEachKeyChangesExactlyWhatItShould(t *testing.T) {
	text := read(t, "config.yaml")
	base := flatOptions(t, text)
	for _, r := range rows(t) {
		t.Run(r.key, func(t *testing.T) {
			edited := text
			for _, e := range r.edits {
				edited = e.apply(t, edited)
			}
			got := strings.Join(changed(base, flatOptions(t, edited)), "\n")
			if want := strings.Join(r.want, "\n"); got != want {
				t.Errorf("changes\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A canary has the smallest share of its mailbox, and takes none from a client of that name.
func TestTheShareOfTheCanary(t *testing.T) {
	text := read(t, "config.yaml")
	c := parse(t, text)
	s := state.Snapshot{}
	if Show(c, &s); Weight(c, "canary") != delivery.Bulk || s.Priorities["canary"] != "bulk" {
		t.Errorf("it has the weight %d and is shown as %q", Weight(c, "canary"), s.Priorities["canary"])
	}
	c = parse(t, strings.Replace(text, "- name: erp", "- name: canary", 1))
	if Show(c, &s); Weight(c, "canary") != delivery.Normal || s.Priorities["canary"] != "normal" {
		t.Errorf("a client has the weight %d and is shown as %q", Weight(c, "canary"), s.Priorities["canary"])
	}
}

// A request has 100 s and a second for each 64 KiB of its body, which is base64; a submission
// has the time of all its steps.
func TestHowLongASendMayTake(t *testing.T) {
	c := &config.Config{}
	c.Delivery.MIMELimit = 2 << 20
	for _, way := range []string{"off", "upload", "smtp"} {
		c.Delivery.LargeMessages = way
		if got := requestLimit(c)(1 << 20); got != 121*time.Second {
			t.Errorf("%s: 1 MiB may take %s", way, got)
		}
		want := 30*time.Minute + 6*time.Second
		if way == "smtp" {
			want = 20*time.Minute + 1280*time.Second
		}
		if got := requestLimit(c)(80 << 20); got != want {
			t.Errorf("%s: 80 MiB may take %s, want %s", way, got, want)
		}
	}
}

// A new key must say in keys.txt what it changes. Sections say it by their keys.
func TestEveryKeyHasARow(t *testing.T) {
	keys := confkeys.Of[config.Config]()
	known := map[string]bool{}
	for _, k := range keys {
		known[k.Path] = true
	}
	tested := map[string]bool{}
	for _, r := range rows(t) {
		if tested[r.key] = true; !known[r.key] {
			t.Errorf("keys.txt has a row for %s, which is no key", r.key)
		}
	}
	for i, k := range keys {
		section := i+1 < len(keys) && strings.HasPrefix(strings.TrimPrefix(keys[i+1].Path, k.Path), ".") ||
			i+1 < len(keys) && strings.HasPrefix(keys[i+1].Path, k.Path+"[].")
		if !section && !tested[k.Path] {
			t.Errorf("key %s has no row in testdata/keys.txt: add one that says which options it changes", k.Path)
		}
	}
}
