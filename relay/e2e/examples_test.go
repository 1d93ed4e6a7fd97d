package e2e_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// An example of the manual: what a client says, and what the header says then.
type example struct {
	commands []string // MAIL and RCPT
	header   string
	want     []string // fields
}

func manualExamples(t *testing.T) []example {
	t.Helper()
	blocks := regexp.MustCompile("(?s)```\n([^`]*)```\n\nbecomes\n\n```\n([^`]*)```")
	var all []example
	for _, m := range blocks.FindAllStringSubmatch(readPage(t, "front-door.md"), -1) {
		e := example{want: strings.Split(strings.TrimSpace(m[2]), "\n")}
		for _, line := range strings.Split(strings.TrimSpace(m[1]), "\n") {
			if strings.HasPrefix(line, "MAIL ") || strings.HasPrefix(line, "RCPT ") {
				e.commands = append(e.commands, line)
			} else {
				e.header += line + "\r\n"
			}
		}
		all = append(all, e)
	}
	return all
}

// Each example of the manual is what the program does.
func TestManualExamples(t *testing.T) {
	examples := manualExamples(t)
	if len(examples) < 5 {
		t.Fatalf("found only %d examples; the search is broken", len(examples))
	}
	r, d := start(t, harness.Senders("notifications@contoso.com", "printer@contoso.com"), harness.With("top",
		"aliases: {root: admin@contoso.com}",
		"clients:",
		"  - {name: device, networks: [127.0.0.0/8], other_senders: rewrite}",
	))
	named := []string{"from", "sender", "reply-to", "to", "cc", "bcc", "x-graphrelay-to"}
	for i, e := range examples {
		c := harness.Hello(t, r.Addr)
		for _, line := range e.commands {
			c.Want(c.Say(line), 250)
		}
		c.Want(c.Say("DATA"), 354)
		_ = c.Raw(harness.DotStuff(e.header + "Subject: example\r\n\r\ntext\r\n"))
		c.Want(c.Read(), 250)
		fields, _ := harness.Split(string(d.WaitFor(t, i+1, patience)[i].Raw))
		var got []string
		for _, f := range fields {
			if name, _, _ := strings.Cut(f, ":"); slices.Contains(named, strings.ToLower(name)) {
				got = append(got, f)
			}
		}
		if !slices.Equal(got, e.want) {
			t.Errorf("example %q gives\n%s\nwant\n%s", e.header, strings.Join(got, "\n"), strings.Join(e.want, "\n"))
		}
	}
}
