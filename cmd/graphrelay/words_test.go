package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// plainer has, for each of the phrases that made texts hard to read, what to
// write instead; CONTRIBUTING has the whole glossary.
var plainer = []struct {
	phrase  *regexp.Regexp
	instead string
}{
	{phrase(`octets?`), "byte, bytes; octet only where an RFC is quoted"},
	{phrase(`shall`), "should, must or will"},
	{phrase(`(for|of|by|to|with) who`), `a noun with its clause: "for clients that ..."`},
	{phrase(`told`), "notified, logged, reported or printed"},
	{phrase(`tells? (of|whether|that|how|what|which)`), "says, shows, reports"},
	{phrase(`is no (error|URL|address|name|number|sender|mailbox|file|list|date|member)`), `"is not a ..."`},
	{phrase(`as it comes`), "by default"},
	{phrase(`tak(e|es|en) over`), "load, apply"},
	{phrase(`left alone`), "skipped, unchanged"},
	{phrase(`by the way of`), "through"},
	{phrase(`goes? on`), "continues"},
	{phrase(`given up`), "failed"},
	{phrase(`(comes?|came|become|became) of (it|a|the|them)`), "the outcome of, what happened to"},
	{phrase(`anew`), "again"},
	{phrase(`stands? (in|under|there|behind|beside|above|below)`), "is in, is under"},
	{phrase(`mended`), "fixed, repaired"},
	{phrase(`let in`), "accept, allow"},
	{phrase(`try-out`), "trial; or say what to run"},
}

func phrase(words string) *regexp.Regexp { return regexp.MustCompile(`(?i)\b(` + words + `)\b`) }

// logKeys are names of log attributes of which another one is the rule.
var logKeys = map[string]string{"cause": "error", "text": "error", "reason": "error", "err": "error"}

// What an administrator reads is plain English: the strings of the product, the
// guides, the manual pages, the templates of the console and the examples of
// the configuration.
func TestTextsArePlainEnglish(t *testing.T) {
	texts := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "relay/sandbox" || name == "relay/e2e" || name == "relay/spool/spooltest" ||
			d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.' || name == "dist"):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		case strings.HasSuffix(name, "_test.go"), strings.HasPrefix(name, "packaging/") && filepath.Ext(name) == ".go":
		case filepath.Ext(name) == ".go":
			texts += readSource(t, name, path)
		case slices.Contains([]string{".md", ".scd", ".yaml", ".gohtml", ".html", ".tmpl"}, filepath.Ext(name)) &&
			name != "packaging/doc/design.md" && name != "CONTRIBUTING.md" && name != "CHANGELOG.md":
			texts += readPage(t, name, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if texts < 1000 {
		t.Errorf("found only %d texts; the search is broken", texts)
	}
}

// readSource judges the strings and the names of log attributes in a source.
func readSource(t *testing.T, name, path string) (texts int) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				texts++
				judge(t, name, set.Position(n.Pos()).Line, text)
			}
		case *ast.CallExpr:
			judgeKeys(t, name, set, n)
		}
		return true
	})
	return texts
}

// judgeKeys looks at the attributes in a call of a logger: every second
// argument after the message.
func judgeKeys(t *testing.T, name string, set *token.FileSet, call *ast.CallExpr) {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "With"}, fun.Sel.Name) {
		return
	}
	for _, arg := range call.Args[min(1, len(call.Args)):] {
		lit, ok := arg.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			continue
		}
		key, _ := strconv.Unquote(lit.Value)
		if instead := logKeys[key]; instead != "" {
			t.Errorf("%s:%d: the log attribute %q must be %q", name, set.Position(lit.Pos()).Line, key, instead)
		}
	}
}

func readPage(t *testing.T, name, path string) (texts int) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(page), "\n") {
		texts++
		judge(t, name, i+1, line)
	}
	return texts
}

func judge(t *testing.T, name string, line int, text string) {
	t.Helper()
	text = strings.NewReplacer("there is no ", "", "octet-stream", "").Replace(strings.ToLower(text)) // both are right
	for _, p := range plainer {
		if found := p.phrase.FindString(text); found != "" {
			t.Errorf("%s:%d: %q: write %s, in\n\t%.160s", name, line, found, p.instead, text)
		}
	}
}
