package e2e_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A refusal is what a client reads: code, status and text. In the manual and in
// texts taken from the source "…" stands for words that differ.
type refusal struct {
	code, status, text string
	fault              bool // in the manual: only a fault produces it
}

func (r refusal) String() string { return r.code + " " + r.status + " " + r.text }

// matches tells whether a reply, or another pattern, is this refusal.
func (r refusal) matches(reply string) bool {
	var pattern strings.Builder
	for i, piece := range strings.Split(r.String(), "…") {
		if i > 0 {
			pattern.WriteString(".*")
		}
		pattern.WriteString(regexp.QuoteMeta(piece))
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(reply)
}

// faults are the refusals that no client can provoke in the program as a whole,
// and the test that does in a part of it, or in the whole under fault injection.
func faults() map[string]string {
	return map[string]string{
		"421 4.3.0 Internal error, closing connection": "smtpd TestRowPanic",

		"454 4.7.0 Too many logins at once, try again later": "intake TestOneVerificationAtATime",

		"550 5.6.0 From, Sender and Reply-To of this message cannot be rewritten safely": "intake TestGuards",
		"550 5.7.1 Sending is not allowed here; ask the administrator " +
			"of this relay": "policy TestTheZeroClientMaySendAsNobody",
		"554 5.5.1 No valid recipients":                                 "intake TestGuards",
		"451 4.3.0 Mail system not able to store mail, try again later": "e2e/torture TestFailedFlush",
		"451 4.3.0 Local error in processing, try again later":          "smtpd TestRowErrorMapping",
	}
}

// Each refusal of the manual is produced: by a dialog with the program, or by
// the test of a part.
func TestManualListsEveryRefusal(t *testing.T) {
	rows := manualRefusals(t)
	if len(rows) < 60 {
		t.Fatalf("found only %d refusals in the manual; the search is broken", len(rows))
	}
	f := newFront(t)
	all, tests := dialogs(), faults()
	for _, row := range rows {
		produce, where := all[row.String()], tests[row.String()]
		delete(all, row.String())
		delete(tests, row.String())
		switch {
		case row.fault != (where != ""):
			t.Errorf("%s: marked as a fault: %v, but produced by %q", row, row.fault, where)
		case row.fault && !existsTest(t, where):
			t.Errorf("%s: there is no test %s", row, where)
		case !row.fault && produce == nil:
			t.Errorf("%s: no dialog of this test produces it", row)
		case !row.fault:
			t.Run(row.String(), func(t *testing.T) {
				t.Parallel()
				if got := produce(t, f); !row.matches(got) {
					t.Errorf("reply %q, want %q", got, row)
				}
			})
		}
	}
	for text := range all {
		t.Errorf("the manual lacks %s", text)
	}
	for text := range tests {
		t.Errorf("the manual lacks %s", text)
	}
}

// Each refusal in the source, ours and the library's, stands in the manual.
func TestManualKnowsEveryRefusalInTheSource(t *testing.T) {
	rows := manualRefusals(t)
	ours := sourceRefusals(t)
	if len(ours) < 60 {
		t.Fatalf("found only %d refusals in the source; the search is broken", len(ours))
	}
	for _, r := range ours {
		if !anyMatches(r, rows) {
			t.Errorf("the manual lacks %s", r)
		}
	}
	foreign := libraryRefusals(t)
	if len(foreign) < 20 {
		t.Fatalf("found only %d refusals in go-smtp; the search is broken", len(foreign))
	}
	for _, r := range foreign {
		if !anyMatches(r, rows) && !libraryNever(r) {
			t.Errorf("go-smtp may answer %s, which the manual lacks", r)
		}
	}
}

func anyMatches(r refusal, rows []refusal) bool {
	for _, row := range rows {
		if r.matches(row.String()) {
			return true
		}
	}
	return false
}

// libraryNever tells of replies of go-smtp that no client sees: 500, 502 and
// 504 are replaced (smtpd.appendPolished), and AUTH, STARTTLS, BDAT the
// parameters of extensions that are off, HELO without a name, its own timeouts and
// its parser of commands are never reached.
func libraryNever(r refusal) bool {
	if r.code == "500" || r.code == "502" || r.code == "504" {
		return true
	}
	for _, part := range []string{"Internal server error", "Too busy", "Idle timeout", "Connection error",
		"Bad command", "TLS is required", "Invalid base64 data", "Negotiation cancelled", "Handshake error",
		"chunk size argument", "Too many arguments", "BDAT argument", "Malformed size argument", "RET value", "ENVID",
		"NOTIFY", "ORCPT", "Domain/address argument", "RRVS", " BY ", "BY parameter", "MT-PRIORITY"} {
		if strings.Contains(r.text, part) {
			return true
		}
	}
	return false
}

func manualRefusals(t *testing.T) []refusal {
	t.Helper()
	var rows []refusal
	for line := range strings.Lines(readPage(t, "replies.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if _, err := strconv.Atoi(strings.TrimSpace(cells[0])); err != nil {
			continue
		}
		if len(cells) != 5 {
			t.Errorf("replies.md: %d cells instead of 5 in: %s", len(cells), line)
			continue
		}
		text, fault := strings.CutSuffix(cells[2], " (*)")
		rows = append(rows, refusal{strings.TrimSpace(cells[0]), cells[1], text, fault})
	}
	return rows
}

// existsTest looks for "package TestName".
func existsTest(t *testing.T, where string) bool {
	t.Helper()
	pkg, name, _ := strings.Cut(where, " ")
	files, err := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "func "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// sourceRefusals finds each call of status.New, and of functions that only add
// a text to it.
func sourceRefusals(t *testing.T) []refusal {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join("..", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []refusal
	for _, folder := range append(folders, "..") {
		all = append(all, refusalsIn(t, folder)...)
	}
	return all
}

func refusalsIn(t *testing.T, folder string) []refusal {
	t.Helper()
	files := parseFolder(t, folder)
	helpers := map[string]refusal{}
	var all []refusal
	for _, file := range files {
		for _, decl := range file.Decls {
			f, _ := decl.(*ast.FuncDecl)
			ast.Inspect(decl, func(n ast.Node) bool {
				r, text := statusCall(n)
				switch {
				case text == nil:
				case f != nil && isParameter(f, text):
					helpers[f.Name.Name] = r
				default:
					r.text = pattern(text)
					all = append(all, r)
				}
				return true
			})
		}
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			name, _ := call.Fun.(*ast.Ident)
			if name == nil {
				return true
			}
			if r, known := helpers[name.Name]; known {
				r.text = pattern(call.Args[0])
				all = append(all, r)
			}
			return true
		})
	}
	return all
}

func parseFolder(t *testing.T, folder string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// statusCall reads New(CODE, Enhanced{a, b, c}, text) of package status.
func statusCall(n ast.Node) (r refusal, text ast.Expr) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 3 || lastName(call.Fun) != "New" {
		return refusal{}, nil
	}
	status, ok := call.Args[1].(*ast.CompositeLit)
	if !ok || lastName(status.Type) != "Enhanced" {
		return refusal{}, nil
	}
	var digits []string
	for _, e := range status.Elts {
		digits = append(digits, e.(*ast.BasicLit).Value)
	}
	return refusal{code: call.Args[0].(*ast.BasicLit).Value, status: strings.Join(digits, ".")}, call.Args[2]
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func isParameter(f *ast.FuncDecl, e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	for _, field := range f.Type.Params.List {
		for _, p := range field.Names {
			if ok && p.Name == name.Name {
				return true
			}
		}
	}
	return false
}

// pattern is the text that an expression makes, with "…" for what differs.
func pattern(e ast.Expr) string { return (&source{}).text(e) }

// libraryRefusals reads the replies of go-smtp.
func libraryRefusals(t *testing.T) []refusal {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/emersion/go-smtp").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []refusal
	for _, file := range parseFolder(t, strings.TrimSpace(string(out))) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 ||
				lastName(call.Fun) != "writeResponse" && lastName(call.Fun) != "protocolError" {
				return true
			}
			code, isNumber := call.Args[0].(*ast.BasicLit)
			status, isStatus := call.Args[1].(*ast.CompositeLit)
			if !isNumber || !isStatus || code.Value < "400" {
				return true
			}
			var digits []string
			for _, e := range status.Elts {
				digits = append(digits, fmt.Sprint(e.(*ast.BasicLit).Value))
			}
			all = append(all, refusal{code: code.Value, status: strings.Join(digits, "."), text: pattern(call.Args[2])})
			return true
		})
	}
	return all
}
