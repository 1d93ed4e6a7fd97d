package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// liveCheck is a row of packaging/doc/live-checks.md.
type liveCheck struct{ number, open, command, one, other string }

// liveChecks reads the page's tables: it fails where a row is not a question, a command
// and two answers.
func liveChecks(t *testing.T, page string) (list []liveCheck) {
	t.Helper()
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| # ") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00"), "|")
		if len(cells) != 7 {
			t.Errorf("a row has %d columns, want #, what is open, command, if this, if that: %s", len(cells)-2, line)
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
		}
		list = append(list, liveCheck{cells[1], cells[2], cells[3], cells[4], cells[5]})
	}
	return list
}

// Each entry of the page is a command, and for each of its two answers what to do then.
func TestLiveChecksGiveBothAnswers(t *testing.T) {
	list := liveChecks(t, readFile(t, "../../packaging/doc/live-checks.md"))
	seen := map[string]bool{}
	for _, c := range list {
		if seen[c.number] || c.number == "" || c.open == "" || !strings.Contains(c.command, "`") {
			t.Errorf("entry %q has no number of its own, no question or no command", c.number)
		}
		seen[c.number] = true
		for _, cell := range []string{c.one, c.other} {
			answer, then, _ := strings.Cut(cell, " → ")
			if strings.TrimSpace(answer) == "" || strings.TrimSpace(then) == "" {
				t.Errorf("entry %s does not say what to do then: %q", c.number, cell)
			}
		}
		if c.one == c.other {
			t.Errorf("entry %s gives one answer twice", c.number)
		}
	}
	if len(list) < 31 {
		t.Errorf("only %d entries are left", len(list))
	}
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// The commands of the page that send mail run as they are printed, with its own
// functions, and what they send arrives.
func TestLiveChecksSendWhatTheySay(t *testing.T) {
	page := readFile(t, "../../packaging/doc/live-checks.md")
	_, rest, _ := strings.Cut(page, "\n```sh\n")
	functions, _, found := strings.Cut(rest, "\n```\n")
	if !found {
		t.Fatal("the page has no functions any more")
	}
	d := harness.StartDouble(t, mayWrite)
	r := harness.StartRelay(t, d, largeMail)
	bin := t.TempDir()
	if err := os.Symlink(harness.Binary(t), filepath.Join(bin, "graphrelay")); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range liveChecks(t, page) {
		for _, span := range codeSpan.FindAllStringSubmatch(c.command, -1) {
			command := span[1]
			if !strings.HasPrefix(command, "mail ") && !strings.HasPrefix(command, "(mail ") {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			cmd := exec.CommandContext(ctx, "sh", "-e", "-c", functions+"\n"+command)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GRAPHRELAY_SUBMIT="+r.Addr,
				"HOME="+bin)
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil || strings.Contains(command, "submit") && !strings.Contains(string(out), "250 2.0.0 ") {
				t.Fatalf("entry %s: %v: %s: %s", c.number, err, command, out)
			}
			ran++
			arrived := d.WaitFor(t, ran, time.Minute)
			if m := arrived[ran-1]; m.MessageID != "<check-"+c.number+"@relay.contoso.com>" {
				t.Errorf("entry %s: the message %s arrived", c.number, m.MessageID)
			}
		}
	}
	if ran < 9 {
		t.Errorf("only %d commands of the page send mail", ran)
	}
}
