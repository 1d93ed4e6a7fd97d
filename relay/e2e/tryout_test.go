package e2e_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// The two-minute try-out: "serve --sandbox", the line it prints, and the page.
func TestTryOut(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:2525", "127.0.0.1:8025", "127.0.0.1:8026"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			foreign.LeaveOut(t, "the try-out's fixed address is in use: %v", err)
		}
		l.Close()
	}
	binary := harness.Binary(t)
	p := harness.Start(t, exec.Command(binary, "serve", "--sandbox"))
	line := regexp.MustCompile(`(?m)^ +\S+ (send --server 127\.0\.0\.1:2525 .*)$`)
	harness.Until(t, patience, "the welcome", func() bool { return p.Ended() || line.MatchString(p.Output()) })
	found := line.FindStringSubmatch(p.Output())
	if found == nil {
		t.Fatalf("it ended:\n%s", p.Tail())
	}
	harness.Until(t, patience, "the first audit", func() bool { return strings.Contains(p.Output(), "msg=audit") })
	if out := p.Output(); !strings.Contains(out, "verdict=RESTRICTED") || strings.Contains(out, "UNPROVEN") {
		t.Errorf("a newcomer is not told RESTRICTED:\n%s", out)
	}
	if out, err := exec.Command(binary, strings.Fields(found[1])...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", found[1], err, out)
	}
	page := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(p.Output())
	harness.Until(t, patience, "the mail to be shown", func() bool { return shown(t, page) == 1 })
	besideTheTryOut(t, binary, p.Output())
	if err := p.Stop(patience); err != nil {
		t.Errorf("SIGTERM ends it with %v\n%s", err, p.Tail())
	}
}

// besideTheTryOut holds what the welcome promises beside the first mail: a console
// with a password, commands that find the service, and a log that raises nothing.
func besideTheTryOut(t *testing.T, binary, output string) {
	t.Helper()
	export := regexp.MustCompile(`(?m)^ +export (GRAPHRELAY_CONFIG=\S+)$`).FindStringSubmatch(output)
	login := regexp.MustCompile(`console: +(http://\S+)  password (\S+)`).FindStringSubmatch(output)
	if export == nil || login == nil {
		t.Fatalf("the welcome has no line for the commands or no console:\n%s", output)
	}
	for _, command := range []string{"status", "trace you@example.org", "queue list --state sent", "reload"} {
		cmd := exec.Command(binary, strings.Fields(command)...)
		cmd.Env = append(cmd.Environ(), export[1])
		if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 && command != "reload" {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	res, err := browser.PostForm(login[1]+"/login", url.Values{"password": {login[2]}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/" {
		t.Errorf("the console's password leads to %s: %s", res.Request.URL, res.Status)
	}
	for _, loud := range []string{"level=WARN", "level=ERROR", "msg=refused", "msg=received"} {
		if strings.Contains(output, loud) {
			t.Errorf("the log has %s although all is as it should be:\n%s", loud, output)
		}
	}
}

// shown asks the double's page how many messages it has.
func shown(t *testing.T, page string) int {
	t.Helper()
	res, err := http.Get(page + "/api/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var stats struct{ Messages int }
	if err := json.NewDecoder(res.Body).Decode(&stats); err != nil {
		t.Fatal(err)
	}
	return stats.Messages
}
