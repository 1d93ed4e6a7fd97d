package harness

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readyLimit bounds the start of a relay, recovery of its store included.
const readyLimit = 60 * time.Second

// Sender is the address that a relay of the harness may send as.
const Sender = "notifications@contoso.com"

// Relay is a configured relay, running or not.
type Relay struct {
	*Process
	Addr   string // of its SMTP listener
	Dir    string // of the configuration, the admin socket and, by default, the store
	Store  string // the SQLite file
	Config string // the configuration file
	Socket string // the admin socket
	Watch  string // the address of metrics and health; "" without Watched

	t      testing.TB
	binary string
	flags  []string // of serve, beside -c
	env    []string
}

// Setting changes a relay before its first start.
type Setting func(*plan)

type plan struct {
	tags    []string
	store   string
	url     string // of a database in place of the store
	senders []string
	extra   map[string][]string // section -> lines
	watched bool
	flags   []string
	env     []string

	submission string
}

// SubmissionAt is where large mail is submitted, in place of the double.
func SubmissionAt(address string) Setting { return func(p *plan) { p.submission = address } }

// Tags builds the binary with build tags.
func Tags(tags ...string) Setting { return func(p *plan) { p.tags = tags } }

// StoreAt puts the store at path.
func StoreAt(path string) Setting { return func(p *plan) { p.store = path } }

// StoreURL puts the queue into a PostgreSQL database.
func StoreURL(url string) Setting { return func(p *plan) { p.url = url } }

// Senders are the addresses that may be sent as, each its own mailbox.
func Senders(addresses ...string) Setting { return func(p *plan) { p.senders = addresses } }

// With adds lines to a section of the configuration, as With("smtp", "max_recipients: 3").
func With(section string, lines ...string) Setting {
	return func(p *plan) { p.extra[section] = append(p.extra[section], lines...) }
}

// Watched opens an address of metrics and health, for Page.
func Watched() Setting { return func(p *plan) { p.watched = true } }

// WatchConfig makes the relay reload whenever its configuration file changes.
func WatchConfig() Setting { return func(p *plan) { p.flags = append(p.flags, "--watch-config") } }

// Env adds to the relay's environment.
func Env(vars ...string) Setting { return func(p *plan) { p.env = append(p.env, vars...) } }

// NewRelay configures a relay that sends to d. It does not start it.
func NewRelay(t testing.TB, d *Double, settings ...Setting) *Relay {
	t.Helper()
	dir := shortDir(t)
	p := plan{store: filepath.Join(dir, "queue.db"), senders: []string{Sender}, extra: map[string][]string{}}
	for _, s := range settings {
		s(&p)
	}
	r := &Relay{
		Addr: FreeAddr(t), Dir: dir, Store: p.store, Config: filepath.Join(dir,
			"config.yaml"), Socket: filepath.Join(dir, "admin.sock"),
		t: t, binary: Binary(t, p.tags...), flags: p.flags, env: append(os.Environ(), p.env...),
	}
	if p.watched {
		r.Watch = FreeAddr(t)
		With("top", "metrics: {address: "+r.Watch+"}")(&p)
	}
	WriteFile(t, filepath.Join(dir, "ca.pem"), string(d.CA()))
	WriteFile(t, filepath.Join(dir, "secret.txt"), d.Secret()+"\n")
	WriteFile(t, r.Config, p.yaml(r, d))
	return r
}

// StartRelay configures and starts a relay, and waits until it is ready.
func StartRelay(t testing.TB, d *Double, settings ...Setting) *Relay {
	t.Helper()
	r := NewRelay(t, d, settings...)
	r.Start()
	return r
}

func (p *plan) yaml(r *Relay, d *Double) string {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\n") }
	section := func(name string, lines ...string) {
		line(name + ":")
		for _, l := range append(lines, p.extra[name]...) {
			line("  " + l)
		}
	}
	line("hostname: relay.contoso.local")
	line("identities:")
	line("  - tenant_id: " + d.TenantID())
	line("    client_id: " + d.ClientID())
	line("    client_secret_file: " + filepath.Join(r.Dir, "secret.txt"))
	line("    ca_file: " + filepath.Join(r.Dir, "ca.pem"))
	endpoints := "login: " + d.URL() + ", graph: " + d.URL()
	if at := cmp.Or(p.submission, d.SubmissionAddress()); at != "" {
		endpoints += ", submission: " + at
	}
	line("    endpoints: {" + endpoints + "}")
	for _, l := range p.extra["identity"] {
		line("    " + l)
	}
	line("senders:")
	for _, s := range p.senders {
		line("  - address: " + s)
	}
	for _, l := range p.extra["top"] {
		line(l)
	}
	section("smtp", "listeners:", "  - address: "+r.Addr)
	if p.url != "" {
		file := filepath.Join(r.Dir, "queue.url")
		WriteFile(r.t, file, p.url+"\n")
		section("queue", "store_url_file: "+file)
	} else {
		section("queue", "store: sqlite:"+p.store)
	}
	section("admin", "address: unix:"+r.Socket)
	if len(p.extra["delivery"]) > 0 {
		section("delivery")
	}
	if len(p.extra["log"]) > 0 {
		section("log")
	}
	return b.String()
}

// Start runs the relay and waits until it is ready.
func (r *Relay) Start() {
	r.t.Helper()
	r.Launch()
	r.WaitReady()
}

// Launch runs the relay and does not wait.
func (r *Relay) Launch() {
	r.t.Helper()
	cmd := exec.Command(r.binary, append([]string{"serve", "-c", r.Config}, r.flags...)...)
	cmd.Env = r.env
	cmd.Dir = r.Dir
	r.Process = Start(r.t, cmd)
}

// LaunchWith is Launch as systemd does it, with the sockets that a unit has opened.
func (r *Relay) LaunchWith(name string, sockets ...*net.TCPListener) {
	r.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve -c "$1"`, r.binary, r.Config)
	for _, l := range sockets {
		file, err := l.File()
		if err != nil {
			r.t.Fatal(err)
		}
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	names := strings.Repeat(":"+name, len(sockets))[1:]
	cmd.Env = append(slices.Clone(r.env), "LISTEN_FDS="+strconv.Itoa(len(sockets)), "LISTEN_FDNAMES="+names)
	cmd.Dir = r.Dir
	r.Process = Start(r.t, cmd)
}

// WaitReady waits until the relay answers at its admin socket and accepts
// connections.
func (r *Relay) WaitReady() {
	r.t.Helper()
	ok := Holds(readyLimit, func() bool { return r.Ended() || r.Ready() })
	if !ok || r.Ended() {
		r.t.Fatalf("the relay did not become ready (ended: %v, %v)\n%s", r.Ended(), r.err, r.Tail())
	}
}

// Ready tells whether the relay answers at its admin socket and its port.
func (r *Relay) Ready() bool {
	if _, err := r.admin("/v1/status", nil); err != nil {
		return false
	}
	c, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Run runs another command of the same binary with this relay's configuration.
func (r *Relay) Run(args ...string) (output string, err error) {
	cmd := exec.Command(r.binary, append(args, "-c", r.Config)...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Entry is a message as "queue list --json" shows it.
type Entry struct {
	QueueID    string   `json:"queue_id"`
	State      string   `json:"state"`
	Size       int64    `json:"size"`
	Recipients []string `json:"recipients"`
	MessageID  string   `json:"message_id"`
	Attempts   int      `json:"attempts"`
	Unknown    bool     `json:"unknown_outcome"`
	Reason     string   `json:"reason"`
}

// Queue returns what "queue list --json" lists.
func (r *Relay) Queue() []Entry {
	r.t.Helper()
	out, err := r.Run("queue", "list", "--json")
	if err != nil {
		r.t.Fatalf("queue list: %v: %s", err, out)
	}
	var list []Entry
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		r.t.Fatalf("queue list --json: %v in %q", err, out)
	}
	return list
}

// Backlog is the number of messages that are in the queue, and of
// those held, as the admin socket says; -1 when it does not answer.
func (r *Relay) Backlog() (all, held int) {
	var s struct{ Queued, Deferred, Paused, Sending, Held int }
	if _, err := r.admin("/v1/status", &s); err != nil {
		return -1, 0
	}
	return s.Queued + s.Deferred + s.Paused + s.Sending + s.Held, s.Held
}

// Status reads what "status --json" prints, at the admin socket; false when it does
// not answer.
func (r *Relay) Status(into any) bool {
	_, err := r.admin("/v1/status", into)
	return err == nil
}

// WaitEmpty waits until nothing is in the queue.
func (r *Relay) WaitEmpty(limit time.Duration) {
	r.t.Helper()
	var all, held int
	if !Holds(limit, func() bool { all, held = r.Backlog(); return all == 0 }) {
		r.t.Fatalf("%d messages are still queued after %v, %d of them on hold\n%s", all, limit, held, r.Tail())
	}
}

func (r *Relay) admin(path string, into any) (int, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", r.Socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout: 10 * time.Second}
	res, err := client.Get("http://graphrelay" + path)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if into != nil {
		err = json.NewDecoder(res.Body).Decode(into)
	}
	return res.StatusCode, err
}

// Page is what a Watched relay answers at a path, such as /metrics.
func (r *Relay) Page(path string) string {
	r.t.Helper()
	res, err := http.Get("http://" + r.Watch + path)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", path, err, r.Tail())
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s = %s, %v: %s", path, res.Status, err, b)
	}
	return string(b)
}

// FreeAddr returns a loopback address at which nothing listens just now, and
// which is given to no other test before this one has ended: a relay that is
// restarted leaves its port alone for a moment. Its port is below those that the
// kernel gives to outgoing connections, of which a load test makes thousands: one
// of them would take it before the listener does.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		if !reserve(t, port) {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port between 10000 and 30000")
	return ""
}

// reserve keeps a port from the tests of all processes of this user until t has
// ended.
func reserve(t testing.TB, port int) bool {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("graphrelay-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		f.Close()
		return false
	}
	t.Cleanup(func() { f.Close() })
	return true
}

// WriteFile writes a file that only its owner reads.
func WriteFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shortDir makes a temporary folder whose name is short enough for a unix
// socket in it (108 octets), which t.TempDir does not promise.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
