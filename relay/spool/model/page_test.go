package model

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables in packaging/doc/reliability.md; then read the difference")

// rows are a table of the page, between two comments with its name.
type rows struct {
	name string
	text strings.Builder
}

func table(name string) *rows { return &rows{name: name} }

func (r *rows) add(cells ...any) {
	for _, cell := range cells {
		fmt.Fprintf(&r.text, "| %v ", cell)
	}
	r.text.WriteString("|\n")
}

// compare wants the rows in the page.
func (r *rows) compare(t *testing.T) {
	t.Helper()
	path := filepath.Join("..", "..", "..", "packaging", "doc", "reliability.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+r.name+" -->\n", "<!-- end of "+r.name+" -->\n"
	before, rest, ok := strings.Cut(string(page), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks %q or %q", path, begin, end)
	}
	head, _ := cutLines(got, 2)
	want := head + r.text.String()
	switch {
	case got == want:
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table %q in %s is not what was found; run: go test ./relay/spool/model -update\n%s",
			r.name, path, want)
	}
}

// cutLines splits a text after n lines.
func cutLines(text string, n int) (first, rest string) {
	lines := strings.SplitAfterN(text, "\n", n+1)
	if len(lines) <= n {
		return text, ""
	}
	return strings.Join(lines[:n], ""), lines[n]
}
