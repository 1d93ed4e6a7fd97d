package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/graph"
	"graphrelay/relay/submission"
)

// TestEveryRemedyHasATest lists the remedies of the product, from the catalogue and
// from the source, and wants somebody to follow each: a row of the tables beside
// this test, or a test of a part. A new one fails until it has a test, and so does a
// row whose remedy is gone.
func TestEveryRemedyHasATest(t *testing.T) {
	rows := remediesInSource(t)
	for _, f := range graph.Catalogue() {
		rows[f.Advice] = "graph.Catalogue"
	}
	replies, losses := submission.Catalogue()
	for _, r := range slices.Concat(replies, losses) {
		rows[r.Advice] = "submission.Catalogue"
	}
	delete(rows, "")
	if len(rows) < 180 {
		t.Fatalf("found only %d remedies; the search is broken", len(rows))
	}
	answers, host, door, parts := remediesOfAnswers(), remediesOnThisHost(), remediesAtTheDoor(), remediesOfParts()
	for text, where := range parts {
		if !existsTest(t, where) {
			t.Errorf("%q: there is no test %s", text, where)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(rows)) {
		_, here := host[text]
		_, at := door[text]
		if !at && answers[text] == nil && !here && parts[text] == "" {
			t.Errorf("%s: no test follows %q", rows[text], text)
		}
	}
	known := slices.Concat(slices.Collect(maps.Keys(answers)), slices.Collect(maps.Keys(host)),
		slices.Collect(maps.Keys(door)), slices.Collect(maps.Keys(parts)))
	for _, text := range known {
		if rows[text] == "" {
			t.Errorf("there is no remedy %q any more", text)
		}
	}
}

// TestEveryRemedyNamesCommandsThatExist wants each command of this program that a
// remedy names to be one, with the flags that it names.
func TestEveryRemedyNamesCommandsThatExist(t *testing.T) {
	r := harness.NewRelay(t, harness.NewDouble(t))
	named := regexp.MustCompile(`graphrelay((?: [a-z]+)*)((?: --[a-z]+)*)`)
	usage := map[string]string{}
	for text, where := range remediesInSource(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			for len(words) > 0 && !commandOf(t, r, usage, words) {
				words = words[:len(words)-1] // words of the sentence follow
			}
			if len(words) == 0 && m[2] != "" {
				t.Errorf("%s: %q names no command", where, text)
			}
			for _, flag := range strings.Fields(m[2]) {
				if !strings.Contains(usage[strings.Join(words, " ")], flag+" ") {
					t.Errorf("%s: %q: the command has no %s", where, text, flag)
				}
			}
		}
	}
}

// commandOf reports whether words are a command, and keeps its usage.
func commandOf(t *testing.T, r *harness.Relay, usage map[string]string, words []string) bool {
	t.Helper()
	name := strings.Join(words, " ")
	if _, known := usage[name]; !known {
		usage[name], _ = r.Run(append(slices.Clone(words), "--help")...)
	}
	return strings.Contains(usage[name], "graphrelay "+name)
}

// source is a package whose remedies are looked for.
type source struct {
	files  map[string]*ast.File
	consts map[string]ast.Expr // by name, those within functions too
}

// remediesInSource are the remedies by text, with "…" for what differs, and where
// they are.
func remediesInSource(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for dir, s := range sources(t) {
		for path, file := range s.files {
			ast.Inspect(file, func(n ast.Node) bool {
				for _, e := range remediesAt(n) {
					if text := strings.TrimSpace(s.text(e)); strings.Trim(text, "…:;, ") != "" {
						found[text] = dir + "/" + filepath.Base(path)
					}
				}
				return true
			})
		}
	}
	return found
}

// sources parses the packages that tell somebody what to do. The pages of the console
// say what their buttons do, and config/strict what to write: a golden file shows each.
func sources(t *testing.T) map[string]*source {
	t.Helper()
	all := map[string]*source{}
	set := token.NewFileSet()
	top := harness.ModuleDir(t)
	for _, root := range []string{"relay", "config/check.go", "config/warnings.go"} {
		err := filepath.WalkDir(filepath.Join(top, root), func(path string, _ fs.DirEntry, err error) error {
			dir, _ := filepath.Rel(top, filepath.Dir(path))
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				regexp.MustCompile("^relay/(e2e|sandbox|console)").MatchString(dir) {
				return err
			}
			file, err := parser.ParseFile(set, path, nil, 0)
			if all[dir] == nil {
				all[dir] = &source{map[string]*ast.File{}, map[string]ast.Expr{}}
			}
			all[dir].add(path, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (s *source) add(path string, file *ast.File) {
	s.files[path] = file
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for i, value := range v.Values {
				s.consts[v.Names[i].Name] = value
			}
		}
		return true
	})
}

// text is a text of the source, with "…" for what is not constant.
func (s *source) text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		return s.text(e.X) + s.text(e.Y)
	case *ast.ParenExpr:
		return s.text(e.X)
	case *ast.Ident:
		if value := s.consts[e.Name]; value != nil {
			return s.text(value)
		}
	case *ast.CallExpr:
		if lastName(e.Fun) == "Sprintf" {
			return regexp.MustCompile(`%(\[\d\])?[a-z]`).ReplaceAllString(s.text(e.Args[0]), "…")
		}
	}
	return "…"
}

// remediesAt are the expressions at a node that are remedies: a field, a variable or
// a result of that name, and the arguments of the functions that take one.
func remediesAt(n ast.Node) (found []ast.Expr) {
	is := func(e ast.Expr) bool { return slices.Contains([]string{"remedy", "Remedy", "Advice"}, lastName(e)) }
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if is(n.Key) {
			found = append(found, n.Value)
		}
	case *ast.ValueSpec:
		if is(n.Names[0]) && len(n.Values) > 0 {
			found = append(found, n.Values[0])
		}
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			if is(to) && len(n.Lhs) == len(n.Rhs) {
				found = append(found, n.Rhs[i])
			}
		}
	case *ast.CompositeLit:
		if lastName(n.Type) == "Reason" && len(n.Elts) == 2 {
			found = append(found, n.Elts[1])
		}
	case *ast.CallExpr:
		found = remediesOfCall(n)
	case *ast.FuncDecl:
		found = remediesReturned(n)
	}
	return found
}

// remediesOfCall is the argument of a call that is a remedy.
func remediesOfCall(call *ast.CallExpr) []ast.Expr {
	at := map[string]int{"fail": 2, "warn": 2, "Problem": 2, "Full": 1, "finding": 3}
	name := lastName(call.Fun)
	if i, ok := at[name]; ok && i < len(call.Args) {
		return call.Args[i : i+1]
	}
	if name == "String" && len(call.Args) == 2 {
		if key, ok := call.Args[0].(*ast.BasicLit); ok && key.Value == `"remedy"` {
			return call.Args[1:]
		}
	}
	return nil
}

// remediesReturned are what a function returns as a remedy, by the name of the
// result, or of the function.
func remediesReturned(f *ast.FuncDecl) (found []ast.Expr) {
	at, i := -1, 0
	if f.Type.Results != nil {
		for _, field := range f.Type.Results.List {
			for _, name := range field.Names {
				if name.Name == "remedy" {
					at = i
				}
				i++
			}
		}
	}
	if name := strings.ToLower(f.Name.Name); strings.HasSuffix(name, "remedy") && i == 0 {
		at = 0
	}
	if at < 0 || f.Body == nil {
		return nil
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && at < len(r.Results) {
			found = append(found, r.Results[at])
		}
		return true
	})
	return found
}
