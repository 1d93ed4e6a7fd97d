package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What is wrong with a command line is said in words of ours, with what to write.
func TestUsageErrors(t *testing.T) {
	for line, want := range map[string]string{
		"queue show": "a queue ID is missing, as in `graphrelay queue show 06hhgq2g00dcrdpj`",
		"cert show": "a FILE with a certificate is missing, as in `graphrelay cert show " +
			"/etc/graphrelay/entra.pem`",
		"cert renew a.pem b": "unexpected argument \"b\": `graphrelay cert renew` takes only a FILE with a " +
			"certificate, as in `graphrelay cert renew /etc/graphrelay/entra.pem`",
		"trace a b": "unexpected argument \"b\": `graphrelay trace` takes only a text, in quotes if it has " +
			"spaces, and a day, as in `graphrelay trace 06hhgq2g00dcrdpj`",
		"status x": "unexpected argument \"x\": `graphrelay status` takes only flags, as in `graphrelay " +
			"status`",
		"nonsense":        "unknown command \"nonsense\"; `graphrelay --help` lists the commands",
		"queue purge":     "unknown command \"purge\"; `graphrelay queue --help` lists the commands",
		"sandbox start":   "unknown command \"start\"; `graphrelay sandbox --help` lists the commands",
		"completion tcsh": "unknown command \"tcsh\"; `graphrelay completion --help` lists the commands",
		"completion bash x": "unexpected argument \"x\": `graphrelay completion bash` takes only flags, as in " +
			"`graphrelay completion bash`",
		"send --to": "--to needs a value: write --to ADDRESS; `graphrelay send --help` shows the flags",
		"verify --wait 2": "invalid value \"2\" for --wait: write a time with its unit, as in 30s, 10m or 2h; " +
			"`graphrelay verify --help` shows the flags",
		"trace --limit few": "invalid value \"few\" for --limit: write a number; `graphrelay trace --help` shows the " +
			"flags",
		"status --json=maybe": "invalid value \"maybe\" for --json: write the flag alone; `graphrelay status --help` " +
			"shows " +
			"the flags",
	} {
		var b strings.Builder
		code := run(t.Context(), strings.Fields(line), io.Discard, &b)
		if code != exitUsage || b.String() != "graphrelay: "+want+"\n" {
			t.Errorf("%s = %d %s", line, code, b.String())
		}
	}
}

// Every command shows an example, and the first of them is its own. A switch is
// shown by its name alone.
func TestEveryCommandHasAnExample(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.HasParent() && !strings.Contains(example(c), c.Name()) {
			t.Errorf("%s: the first example is %q", c.CommandPath(), example(c))
		}
		if help := c.UsageString(); strings.Contains(help, "[=") {
			t.Errorf("%s: %s", c.CommandPath(), help)
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(newRoot())
}
