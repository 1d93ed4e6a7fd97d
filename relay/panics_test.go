package relay_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestPanicsHaveFixedTexts: the Go runtime prints the value of a panic that ends the
// service as it is, past the redactor of secrets. So none of the product's has text
// that came from outside.
func TestPanicsHaveFixedTexts(t *testing.T) {
	allowed := map[string]bool{
		"http.ErrAbortHandler": true, // net/http takes it
		"v.Type().String()":    true, // a type of ours
		"name":                 true, // a file of this program
	}
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "e2e" ||
			d.Name() == "sandbox" || d.Name() == "spooltest" || d.Name() == "costtest" || d.Name() == "packaging"):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "panic" {
				seen++
				if !fixed(call.Args[0], allowed) {
					t.Errorf("%s: a panic whose text may come from outside", set.Position(call.Pos()))
				}
			}
			return true
		})
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d panics read: %v", seen, err)
	}
}

// fixed reports whether a text is made of literals and what is allowed.
func fixed(e ast.Expr, allowed map[string]bool) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.BinaryExpr:
		return fixed(e.X, allowed) && fixed(e.Y, allowed)
	}
	return allowed[source(e)]
}

// source writes names and calls as they are in Go.
func source(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return source(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return source(e.Fun) + "()"
	}
	return ""
}
