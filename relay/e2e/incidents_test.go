package e2e_test

import (
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// Each test here is an incident of packaging/doc/incidents.md: "graphrelay status"
// alone says in its first three lines what is wrong, since when, and what to do.

// saysAs wants status to begin with the lines that the manual quotes under a heading,
// but for times and numbers.
func saysAs(t *testing.T, r *harness.Relay, heading string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(harness.ModuleDir(t), "packaging", "doc", "incidents.md"))
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("(?s)\n## " + heading + "\n[^#]*?\n```\n(.*?)```\n").FindSubmatch(page)
	if quoted == nil {
		t.Fatalf("the manual has no lines of %q", heading)
	}
	want, got := anyTime(string(quoted[1])), ""
	if !harness.Holds(patience, func() bool {
		out, err := r.Run("status")
		lines := append(strings.SplitAfterN(out, "\n", 4), "", "", "")
		got = strings.Join(lines[:3], "")
		return err == nil && anyTime(got) == want
	}) {
		t.Errorf("status begins\n%s\nthe manual has\n%s", got, want)
	}
	if n := strings.Count(got, ", since "); n != 1 {
		t.Errorf("%d of the first three lines say since when:\n%s", n, got)
	}
}

// anyTime is a text with one time, age and number for all.
func anyTime(s string) string {
	when := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ \([^)]+ ago\)|\d\d:\d\d:\d\d \S+`)
	s = when.ReplaceAllString(s, "TIME")
	return regexp.MustCompile(`\d+`).ReplaceAllString(s, "#")
}

// printers are a client at an address of this host, beside the local one.
func printers() harness.Setting {
	return harness.With("top", "clients: [{name: printers, networks: [127.0.0.2/32]}]")
}

// incident starts a relay in the zone of the manual.
func incident(t *testing.T, settings ...harness.Setting) (*harness.Relay, *harness.Double) {
	t.Helper()
	return start(t, append(settings, harness.Env("TZ=UTC"))...)
}

// without starts a relay whose Microsoft is somewhere else.
func without(t *testing.T, endpoint string) *harness.Relay {
	t.Helper()
	d := harness.NewDouble(t)
	r := harness.NewRelay(t, d, harness.Env("TZ=UTC"))
	edit(t, r, "login: "+d.URL()+", graph: "+d.URL(), "login: "+endpoint+", graph: "+endpoint)
	r.Start()
	return r
}

// submit sends mail as the printers, if the relay has them.
func submit(t *testing.T, r *harness.Relay, n int) {
	t.Helper()
	c := harness.HelloFrom(t, "127.0.0.2", r.Addr)
	for i := range n {
		c.Send(harness.Sender, []string{anyone}, plain(fmt.Sprint("page ", i)))
	}
}

func TestIncidentSecretExpired(t *testing.T) {
	t.Parallel()
	r, d := incident(t)
	inject(t, d, sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: 7000222})
	d.RevokeTokens()
	submit(t, r, 3)
	saysAs(t, r, "Client secret expired")
}

func TestIncidentConsentRemoved(t *testing.T) {
	t.Parallel()
	r, d := incident(t)
	for _, consents := range [][]string{{"Mail.Send"}, {}} {
		if err := d.SetAccess(sandbox.Access{Consents: consents}, 0); err != nil {
			t.Fatal(err)
		}
	}
	d.RevokeTokens()
	submit(t, r, 3)
	saysAs(t, r, "Consent removed")
}

func TestIncidentMailboxDeleted(t *testing.T) {
	t.Parallel()
	r, d := incident(t)
	d.SetMailboxes([]string{"else@contoso.com"})
	submit(t, r, 3)
	saysAs(t, r, "Mailbox deleted")
}

func TestIncidentGraphOutOfOrder(t *testing.T) {
	t.Parallel()
	r, d := incident(t)
	inject(t, d, sandbox.Fault{Endpoint: "sendMail", Status: 503})
	submit(t, r, 3)
	saysAs(t, r, "Microsoft answers 503")
}

// To connect to a multicast address fails as it does without a network.
func TestIncidentNoNetwork(t *testing.T) {
	t.Parallel()
	r := without(t, "https://224.0.0.1")
	submit(t, r, 3)
	saysAs(t, r, "No network")
}

func TestIncidentDNS(t *testing.T) {
	t.Parallel()
	r := without(t, "https://graph.invalid")
	submit(t, r, 3)
	saysAs(t, r, "No name server")
}

// No file system in memory has as much room as the relay wants to keep free.
func TestIncidentDiskFull(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/dev/shm", "graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r, _ := incident(t, harness.StoreAt(filepath.Join(dir, "queue.db")),
		harness.With("queue", "min_free_space: 1024GiB"))
	saysAs(t, r, "Disk full")
}

func TestIncidentCertificateExpired(t *testing.T) {
	t.Parallel()
	certificate, key := harness.CertificateUntil(t, time.Now().Add(-time.Hour))
	r, _ := incident(t, harness.With("smtp", "tls: {certificate_file: "+certificate+", key_file: "+key+"}"))
	saysAs(t, r, "TLS certificate expired")
}

func TestIncidentWrongSender(t *testing.T) {
	t.Parallel()
	r, _ := incident(t, printers())
	c := harness.HelloFrom(t, "127.0.0.2", r.Addr)
	for range 4 {
		c.Want(c.Say("MAIL FROM:<scan@contoso.com>"), 550)
	}
	saysAs(t, r, "Wrong sender")
	submit(t, r, 1)
	harness.Until(t, patience, "the warning to end once mail is accepted", func() bool {
		out, err := r.Run("status")
		return err == nil && !strings.Contains(out, "WARNING")
	})
}

func TestIncidentLoop(t *testing.T) {
	t.Parallel()
	r, _ := incident(t, printers())
	submit(t, r, 1001)
	saysAs(t, r, "A device in a loop")
}

func TestIncidentRunaway(t *testing.T) {
	t.Parallel()
	r, d := incident(t, printers())
	d.SetLatency(time.Hour)
	var all sync.WaitGroup
	for part := range 8 {
		all.Go(func() {
			if err := flood(r.Addr, part, 640); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	saysAs(t, r, "10,000 mails of a runaway program")
	d.SetLatency(0)
}

// Nothing that was queued in a backup is sent a second time by itself; new mail is sent.
func TestIncidentRestore(t *testing.T) {
	t.Parallel()
	const n = 100
	d := harness.NewDouble(t)
	r := harness.NewRelay(t, d, harness.Env("TZ=UTC"))
	r.Start()
	submit(t, r, n)
	swap := func(from, to string) {
		t.Helper()
		if err := r.Stop(patience); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, to, string(b))
		r.Start()
	}
	d.Listen(t)
	swap(r.Store, r.Store+".backup")
	d.WaitFor(t, n, longPatience)
	r.WaitEmpty(patience)
	swap(r.Store+".backup", r.Store)
	saysAs(t, r, "Restore from a backup")
	submit(t, r, 1)
	d.WaitFor(t, n+1, patience)
	harness.Until(t, patience, "all of the backup, and nothing else, to be held", func() bool {
		all, held := r.Backlog()
		return all == n && held == n
	})
	if out := command(t, r, "queue", "release", "--all"); !strings.Contains(out, "100") {
		t.Errorf("queue release --all: %s", out)
	}
	d.WaitFor(t, 2*n+1, longPatience)
	r.WaitEmpty(patience)
	harness.Until(t, patience, "the problem to end", func() bool {
		return strings.HasPrefix(command(t, r, "status"), "OK: mail flows\n")
	})
}

// flood sends messages of the printers to different recipients.
func flood(addr string, part, n int) error {
	printer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := printer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range n {
		if err := c.Mail(harness.Sender); err != nil {
			return err
		}
		if err := c.Rcpt(fmt.Sprintf("a%d.%d@example.org", part, i)); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		fmt.Fprint(w, plain(fmt.Sprintf("report %d.%d", part, i)))
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

func inject(t *testing.T, d *harness.Double, f sandbox.Fault) {
	t.Helper()
	if err := d.Inject(f); err != nil {
		t.Fatal(err)
	}
}
