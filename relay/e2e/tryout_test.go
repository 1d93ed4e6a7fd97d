package e2e_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// The two-minute try-out: "serve --sandbox", the line it prints, and the page.
func TestTryOut(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:2525", "127.0.0.1:8025"} {
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
	if err := p.Stop(patience); err != nil {
		t.Errorf("SIGTERM ends it with %v\n%s", err, p.Tail())
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
