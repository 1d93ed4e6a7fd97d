package strict

import (
	"fmt"
	"slices"
	"strings"
)

// Places say where the keys of a file are.
type Places struct {
	file string
	at   map[string]place // by path; only keys of the file
}

type place struct {
	line int
	text string // of a scalar
}

// Given reports whether the file has the key, rightly written or not.
func (p *Places) Given(key string) bool {
	_, ok := p.at[key]
	return ok
}

// Problem is a mistake at a key, or where the nearest section around it is.
func (p *Places) Problem(key, wrong, remedy string) Problem {
	at, given := p.at[key]
	text := at.text
	for path := key; !given && path != ""; {
		path = parent(path)
		at, given = p.at[path]
	}
	return Problem{p.file, max(1, at.line), key, wrong, text, remedy}
}

// Scope lets a rule ask and report about the keys of one section.
type Scope struct {
	d    *decoder
	path string
}

// Given is that of Places.
func (s Scope) Given(key string) bool { return s.d.places.Given(join(s.path, key)) }

// Sound reports whether nothing under the key was wrong so far: only then does
// it make sense to miss something there.
func (s Scope) Sound(key string) bool {
	path := join(s.path, key)
	return !slices.ContainsFunc(s.d.problems, func(p Problem) bool { return strings.HasPrefix(p.Key, path) })
}

// Fail records a mistake, as Bad makes one.
func (s Scope) Fail(key, wrong, remedy string) { s.d.fail(join(s.path, key), &Fault{wrong, remedy}) }

// FailIf is Fail where the condition of the mistake holds.
func (s Scope) FailIf(bad bool, key, wrong, remedy string) {
	if bad {
		s.Fail(key, wrong, remedy)
	}
}

// Entry is the path of a key in a list.
func Entry(list string, i int, key string) string { return join(Indexed(list, i), key) }

// Indexed is the path of an entry of a list.
func Indexed(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// join appends a key to a path: smtp + listeners = smtp.listeners.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent takes the last key or index off a path.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}
