package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/config"
	"graphrelay/relay/e2e/confkeys"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The parts of the manual that repeat what the program knows, its commands,
// flags and keys, and the tables of metrics and replies, which tests of their
// own hold against the code, are made from these and compared here: nothing is
// missing from the manual and nothing else is in it.
var updateManual = flag.Bool("update-manual", false,
	"rewrite the made parts of packaging/man; then read the difference")

func TestManual(t *testing.T) {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	queue, _, err := root.Find([]string{"queue"})
	if err != nil {
		t.Fatal(err)
	}
	sendmail, _, err := root.Find([]string{"sendmail"})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct{ page, name, text string }{
		{"graphrelay.8.scd", "commands",
			commandsOf(root, func(c *cobra.Command) bool { return c != queue && c != sendmail })},
		{"graphrelay.8.scd", "metrics", tableOf(t, "metrics.md", "| Metric |", 0, 3)},
		{"graphrelay.8.scd", "replies", tableOf(t, "replies.md", "| Code |", 0, 1, 2, 3)},
		{"graphrelay-queue.8.scd", "commands", commandsOf(queue, func(*cobra.Command) bool { return true })},
		{"sendmail.8.scd", "options", literal(optionsOf(sendmail))},
		{"graphrelay-config.5.scd", "keys", keysPart(t)},
	} {
		compare(t, filepath.Join("..", "..", "packaging", "man", part.page), part.name, part.text)
	}
}

// compare holds the text between two comments of a page against what it must be.
func compare(t *testing.T, page, name, want string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "; begin "+name+"\n", "; end "+name+"\n"
	before, rest, ok := strings.Cut(string(b), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no %q and %q", page, begin, end)
	}
	if got == want {
		return
	}
	if *updateManual {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s, part %s, is not what the program does; run: go test ./cmd/graphrelay -run TestManual "+
		"-update-manual\n%s", page, name, firstDifference(got, want))
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			return fmt.Sprintf("line %d: want %q", i+1, w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// commandsOf describes every command below c that is for people.
func commandsOf(c *cobra.Command, wanted func(*cobra.Command) bool) string {
	var b strings.Builder
	for _, sub := range c.Commands() {
		if !wanted(sub) || sub.Name() == "help" || sub.Hidden && sub.Name() != "completion" {
			continue
		}
		if sub.Runnable() && sub.Name() != "completion" || !sub.HasSubCommands() {
			b.WriteString(commandOf(sub))
		}
		if sub.Name() == "completion" {
			b.WriteString(completionOf(sub))
			continue
		}
		b.WriteString(commandsOf(sub, wanted))
	}
	return b.String()
}

func commandOf(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n*%s*\n\n%s", escape(c.CommandPath()), escape(strings.TrimSuffix(c.UseLine(), " [flags]")),
		prose(orShort(c)))
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			b.WriteString(flagOf(f))
		}
	})
	if c.Example != "" {
		b.WriteString(literal(c.Example))
	}
	return b.String()
}

// completionOf names the shells; cobra's own text says how to install it, and a
// package has done that.
func completionOf(c *cobra.Command) string {
	var shells []string
	for _, s := range c.Commands() {
		shells = append(shells, s.Name())
	}
	return fmt.Sprintf("## %s\n\n*%s* %s\n\nPrint the shell completion script. The packages bring it for bash, zsh "+
		"and fish.\n\n",
		escape(c.CommandPath()), escape(c.CommandPath()), strings.Join(shells, "|"))
}

func orShort(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

func flagOf(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	head := "*" + escape(name) + "*"
	if value != "" {
		head += " " + escape(value)
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" &&
		f.Name != "config" {
		usage += " (" + f.DefValue + " by default)"
	}
	return head + "\n\t" + escape(usage) + "\n\n"
}

// optionsOf is the text of sendmail's own help, which knows its options.
func optionsOf(c *cobra.Command) string { return c.Long }

// prose makes paragraphs; indented lines of a text are shown as they are.
func prose(text string) string {
	var b strings.Builder
	for _, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(p, "  ") {
			b.WriteString(literal(p))
			continue
		}
		lines := strings.Split(p, "\n")
		for i, l := range lines {
			lines[i] = escapeLine(strings.TrimSpace(l))
		}
		b.WriteString(strings.Join(lines, "\n") + "\n\n")
	}
	return b.String()
}

func literal(text string) string {
	return "```\n" + strings.Trim(text, "\n") + "\n```\n\n"
}

var special = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, "`", "\\`")

func escape(text string) string { return special.Replace(text) }

// escapeLine also keeps the first character from beginning a list or a heading.
func escapeLine(line string) string {
	if line != "" && strings.ContainsRune("-#|[].;", rune(line[0])) {
		return `\` + special.Replace(line)
	}
	return special.Replace(line)
}

// tableOf lists the rows of the tables of a guide that begin with head: the
// named cells, the last one as the text below the others.
func tableOf(t *testing.T, guide, head string, cells ...int) string {
	t.Helper()
	var b strings.Builder
	rowsOf(t, guide, head, func(row []string) {
		var title []string
		for _, c := range cells[:len(cells)-1] {
			title = append(title, row[c])
		}
		fmt.Fprintf(&b, "*%s*\n\t%s\n\n", escape(strings.Join(title, " ")), escapeLine(row[cells[len(cells)-1]]))
	})
	return b.String()
}

// rowsOf calls do with the cells of each row of the tables of a guide that begin
// with head.
func rowsOf(t *testing.T, guide, head string, do func(row []string)) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("..", "..", "packaging", "doc", guide))
	if err != nil {
		t.Fatal(err)
	}
	in, rows := false, 0
	for line := range strings.Lines(string(file)) {
		switch {
		case strings.HasPrefix(line, head):
			in = true
		case !strings.HasPrefix(line, "|"):
			in = false
		case in && !strings.HasPrefix(line, "|---"):
			rows++
			do(splitRow(line))
		}
	}
	if rows == 0 {
		t.Fatalf("%s holds no table that begins with %q", guide, head)
	}
}

func splitRow(line string) []string {
	const bar = "\x00"
	line = strings.ReplaceAll(strings.TrimSpace(line), `\|`, bar)
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(c, bar, "|"), "`", ""))
	}
	return cells
}

// keysPart describes every key of the configuration.
func keysPart(t *testing.T) string {
	t.Helper()
	meanings := map[string]string{}
	rowsOf(t, "configuration.md", "| Key |", func(row []string) { meanings[row[0]] = row[4] })
	var b strings.Builder
	for _, k := range confkeys.Of[config.Config]() {
		fmt.Fprintf(&b, "*%s* (%s)\n\t%s", escape(k.Path), escape(k.Type), escape(meanings[k.Path]))
		if k.Range != "" {
			fmt.Fprintf(&b, " Range: %s.", escape(k.Range))
		}
		switch {
		case k.Required:
			b.WriteString(" Required.")
		case k.Default != "":
			fmt.Fprintf(&b, " Default: %s.", escape(k.Default))
		}
		b.WriteString("\n\n")
	}
	return b.String()
}
