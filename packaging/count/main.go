// Command count prints the size of the code: lines of product code in all and
// without blank and comment lines, and the widest line, longest function,
// longest file and median package. With -check it fails where a limit is passed.
//
//	go run ./packaging/count            # today's tree
//	go run ./packaging/count -root DIR  # another checkout
//	go run ./packaging/count -check     # as make lint does
//
// Product code is what runs at an administrator's: cmd, config and relay without
// tests, relay/sandbox, relay/e2e, relay/costtest, relay/spool/spooltest,
// relay/spool/postgres/pgtest and relay/spool/model. A tab counts four columns.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// The limits of CONTRIBUTING.md.
const (
	maxFunction = 54
	maxFile     = 444
	maxColumns  = 120
	maxMedian   = 900  // lines of the median product package
	maxRoot     = 1000 // lines of the package relay
)

type count struct {
	lines, code, comments, files int
	packages                     map[string]int
	wide, long                   []string // lines too wide; functions and files too long
}

func main() {
	root := flag.String("root", ".", "folder of the checkout")
	check := flag.Bool("check", false, "fail where a limit is passed")
	perPackage := flag.Bool("packages", false, "list the lines of every product package")
	flag.Parse()
	c := count{packages: map[string]int{}}
	if err := filepath.WalkDir(*root, c.visit(*root)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	c.print(*perPackage)
	if broken := c.broken(); *check && len(broken) > 0 {
		fmt.Fprintln(os.Stderr, strings.Join(broken, "\n"))
		os.Exit(1)
	}
}

func (c *count) visit(root string) fs.WalkDirFunc {
	return func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return c.add(filepath.ToSlash(name), source)
	}
}

func (c *count) add(name string, source []byte) error {
	lines := strings.Split(strings.TrimSuffix(string(source), "\n"), "\n")
	for i, line := range lines {
		if n := columns(line); n > maxColumns {
			c.wide = append(c.wide, fmt.Sprintf("%s:%d: %d columns, at most %d", name, i+1, n, maxColumns))
		}
	}
	if !isProduct(name) {
		return nil
	}
	code, comments := kinds(source)
	c.files++
	c.lines += len(lines)
	c.code += code
	c.comments += comments
	c.packages[filepath.ToSlash(filepath.Dir(name))] += len(lines)
	if len(lines) > maxFile {
		c.long = append(c.long, fmt.Sprintf("%s: %d lines, at most %d", name, len(lines), maxFile))
	}
	return c.functions(name, source)
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
}

func isProduct(name string) bool {
	if strings.HasSuffix(name, "_test.go") {
		return false
	}
	for _, dir := range []string{
		"relay/sandbox/", "relay/e2e/", "relay/spool/spooltest/", "relay/spool/model/", "relay/costtest/",
		"relay/spool/postgres/pgtest/",
	} {
		if strings.HasPrefix(name, dir) {
			return false
		}
	}
	return strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "config/") || strings.HasPrefix(name, "relay/")
}

func (c *count) functions(name string, source []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		begin, end := set.Position(f.Pos()).Line, set.Position(f.End()).Line
		if n := end - begin + 1; n > maxFunction {
			c.long = append(c.long, fmt.Sprintf("%s:%d: %s has %d lines, at most %d", name, begin, f.Name.Name, n,
				maxFunction))
		}
	}
	return nil
}

// kinds counts lines that hold code, and lines that hold nothing but a comment.
func kinds(source []byte) (code, comments int) {
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, scanner.ScanComments)
	isCode, isComment := map[int]bool{}, map[int]bool{}
	for {
		pos, t, text := s.Scan()
		if t == token.EOF {
			break
		}
		if t == token.SEMICOLON && text == "\n" {
			continue // made up by the scanner
		}
		first := set.Position(pos).Line
		for line := first; line <= first+strings.Count(text, "\n"); line++ {
			if t == token.COMMENT {
				isComment[line] = true
			} else {
				isCode[line] = true
			}
		}
	}
	for line := range isComment {
		if !isCode[line] {
			comments++
		}
	}
	return len(isCode), comments
}

func (c *count) median() int {
	var sizes []int
	for _, n := range c.packages {
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	if len(sizes) == 0 {
		return 0
	}
	return sizes[len(sizes)/2]
}

func (c *count) print(perPackage bool) {
	fmt.Printf("product code: %d lines in %d files of %d packages; %d of code, %d of comment only\n",
		c.lines, c.files, len(c.packages), c.code, c.comments)
	fmt.Printf("median package %d lines, relay %d lines; lines over %d columns, tests included: %d\n",
		c.median(), c.packages["relay"], maxColumns, len(c.wide))
	if !perPackage {
		return
	}
	for name, n := range c.packages {
		fmt.Printf("%6d %s\n", n, name)
	}
}

// broken lists every limit that is passed, for -check.
func (c *count) broken() []string {
	broken := append(slices.Clone(c.wide), c.long...)
	if n := c.median(); n > maxMedian {
		broken = append(broken, fmt.Sprintf("the median product package has %d lines, at most %d", n, maxMedian))
	}
	if n := c.packages["relay"]; n > maxRoot {
		broken = append(broken, fmt.Sprintf("relay has %d lines, at most %d: it is life cycle only", n, maxRoot))
	}
	return broken
}
