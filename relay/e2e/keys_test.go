package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/config"
	"graphrelay/relay/e2e/confkeys"
)

var update = flag.Bool("update", false, "rewrite packaging/doc/configuration.md; then read the difference")

// manual is the path of a page of the manual.
func manual(page string) string { return filepath.Join("..", "..", "packaging", "doc", page) }

func readPage(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(manual(page))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The table of keys in the manual is the one that the program decodes by. The
// meaning of a key is written there and nowhere else; every key needs one.
func TestManualListsEveryKey(t *testing.T) {
	const page = "configuration.md"
	text := readPage(t, page)
	head, _, found := strings.Cut(text, "| Key |")
	if !found {
		t.Fatalf("%s has no table that begins with | Key |", page)
	}
	meanings := meaningsIn(text)
	for _, k := range confkeys.Of[config.Config]() {
		if !strings.HasSuffix(meanings[k.Path], ".") {
			t.Errorf("%s: write a sentence about %s into the last column of the table, not %q", page, k.Path,
				meanings[k.Path])
		}
	}
	want := head + keyTable(confkeys.Of[config.Config](), meanings)
	if *update && text != want {
		if err := os.WriteFile(manual(page), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		text = want
	}
	for i, line := range strings.Split(want, "\n") {
		if got := strings.Split(text, "\n"); i >= len(got) || got[i] != line {
			t.Fatalf("%s differs from the keys of the program at line %d, which must be\n%s\nrun: go test "+
				"./relay/e2e -run TestManualListsEveryKey -update", page, i+1, line)
		}
	}
	if text != want {
		t.Errorf("%s has text after the table of keys; the table comes last on the page", page)
	}
}

func keyTable(keys []confkeys.Key, meanings map[string]string) string {
	var b strings.Builder
	b.WriteString("| Key | Type | Default | Range | Meaning |\n|---|---|---|---|---|\n")
	for _, k := range keys {
		preset := code(k.Default)
		if k.Required {
			preset = "*required*"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", code(k.Path), k.Type, preset, code(k.Range), meanings[k.Path])
	}
	return b.String()
}

// meaningsIn reads the last column of the table, by key.
func meaningsIn(page string) map[string]string {
	meanings := map[string]string{}
	for line := range strings.Lines(page) {
		key, found := strings.CutPrefix(line, "| `")
		key, _, _ = strings.Cut(key, "`")
		row := strings.TrimSuffix(strings.TrimSpace(line), " |")
		if found {
			meanings[key] = row[strings.LastIndex(row, " | ")+3:]
		}
	}
	return meanings
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}

// cell keeps a text within its cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// Each piece of configuration in the manual is one that the program takes.
func TestManualConfigurationsAreValid(t *testing.T) {
	const least = "identities:\n  - tenant_id: 11111111-1111-1111-1111-111111111111\n    client_id: " +
		"22222222-2222-2222-2222-222222222222\n" +
		"    certificate_file: entra.pem\nsenders:\n  - address: notifications@contoso.com\n  - address: " +
		"erp@contoso.com\n"
	hash := "$2a$10$" + strings.Repeat("a", 53)
	count := 0
	for _, page := range []string{"configuration.md", "front-door.md"} {
		for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readPage(t, page), -1) {
			text := strings.ReplaceAll(m[1], "$2a$10$...", hash)
			if begin := least; !strings.Contains(text, "identities:") {
				if strings.HasPrefix(text, "senders:") {
					begin, _, _ = strings.Cut(least, "senders:")
				}
				text = begin + text
			}
			if _, err := config.Parse(page, []byte(text), "/etc/graphrelay"); err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
			count++
		}
	}
	if count < 3 {
		t.Errorf("found only %d pieces; the search is broken", count)
	}
}
