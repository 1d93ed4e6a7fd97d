//go:build browser

package browser_test

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

const (
	password = "correct horse battery staple"
	patience = 12 * time.Minute
	other    = "scanner@contoso.com"
)

// site is a relay with a console, its double, and what the script may ask of
// the world outside of the browser.
type site struct {
	t     *testing.T
	d     *harness.Double
	relay *harness.Relay
	url   string
}

// TestConsole runs testdata/console.cjs: it logs in, watches a mail arrive,
// finds a held message, reads why, lets the cause be mended, retries, and looks
// at each page with axe-core in light and dark.
func TestConsole(t *testing.T) {
	s := startSite(t)
	showcase := startShowcase(t)
	s.drive("console.cjs", s.url, password, s.d.PageURL(), showcase, shots(t))
}

func startSite(t *testing.T) *site {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	d := harness.StartDouble(t, harness.Latency(40*time.Millisecond))
	if err := d.StartPage(harness.FreeAddr(t)); err != nil {
		t.Fatal(err)
	}
	address := harness.FreeAddr(t)
	r := harness.StartRelay(t, d, harness.Senders(harness.Sender, other),
		harness.With("delivery", "unknown_outcome: hold"),
		harness.With("top", fmt.Sprintf("console: {address: %s, password_hash: %q}", address, hash)))
	return &site{t: t, d: d, relay: r, url: "http://" + address}
}

// shots is where the screenshots of the manual are.
func shots(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "packaging", "doc", "screenshots"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// drive runs a script. Each line that begins with "> " asks for something
// outside of the browser, and is answered by a line when it is done.
func (s *site) drive(script string, args ...string) {
	s.t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := foreign.Playwright(s.t)(append([]string{path, foreign.Chromium(s.t)}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); w.Close() }()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		s.t.Log(lines.Text())
		if what, asks := strings.CutPrefix(lines.Text(), "> "); asks {
			s.act(what)
			fmt.Fprintln(in, "done")
		}
	}
	if err := <-ended; err != nil {
		s.t.Errorf("%s: %v\n%s", script, err, s.relay.Tail())
	}
}

func (s *site) act(what string) {
	s.t.Helper()
	switch what {
	case "send":
		for _, m := range []struct{ from, subject string }{
			{harness.Sender, "Backup of db01 finished"}, {other, "Scan from the second floor"}, {harness.Sender,
				"UPS: battery test passed"},
		} {
			s.send(m.from, m.subject)
		}
	case "break":
		if err := s.d.Inject(sandbox.Fault{Endpoint: "sendMail", Subject: "Monthly report",
			Drop: sandbox.DropBody}); err != nil {
			s.t.Fatal(err)
		}
		s.send(harness.Sender, "Monthly report")
	case "mend":
		s.d.ClearFaults()
	case "html":
		s.sendHTML()
	case "hostile":
		s.send(harness.Sender, "<script>document.title='owned'</script> \u202egnp.exe")
		if out, err := s.relay.Run("send", "--server", s.relay.Addr, "--from", "stranger@contoso.com", "--to",
			"a@example.org"); err == nil {
			s.t.Fatalf("a stranger was accepted: %s", out)
		}
	default:
		s.t.Fatalf("the script asks for %q", what)
	}
}

// sendHTML sends a mail with HTML that would like to run a script and load an image.
func (s *site) sendHTML() {
	s.t.Helper()
	c := harness.Hello(s.t, s.relay.Addr)
	defer c.Close()
	c.Send(harness.Sender, []string{"admin@example.org"}, strings.Join([]string{"From: " + harness.Sender,
		"To: admin@example.org", "Subject: Invoice as HTML", "MIME-Version: 1.0", "Content-Type: text/html", "",
		"<h1>Invoice 4711</h1><script>document.body.dataset.owned = 1</script>",
		`<img src="https://tracker.example/1.gif" onerror="document.body.dataset.owned = 1" alt="">`, ""}, "\r\n"))
}

func (s *site) send(from, subject string) {
	s.t.Helper()
	if out, err := s.relay.Run("send", "--server", s.relay.Addr, "--from", from, "--to", "admin@example.org",
		"--subject", subject); err != nil {
		s.t.Fatalf("send: %v: %s", err, out)
	}
}
