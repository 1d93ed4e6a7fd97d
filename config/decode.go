package config

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxProblems bounds the report on a file that is no configuration at all.
const maxProblems = 100

// Load reads the file at path. Relative paths in it are taken from its folder.
// The error is Errors.
func Load(path string) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	f, err := os.Open(abs)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(path, data, filepath.Dir(abs))
}

func unreadable(path string, err error) Errors {
	if inner, ok := err.(*os.PathError); ok {
		err = inner.Err
	}
	f := bad("cannot be read: "+err.Error(), "name a configuration file with -c FILE, and see that this user may read it")
	return Errors{{File: path, Wrong: f.wrong, Remedy: f.remedy}}
}

// Parse decodes the content of a file; name is for messages, and relative
// paths are taken from baseDir. The error is Errors, each with a line from 1.
func Parse(name string, data []byte, baseDir string) (*Config, error) {
	d := &decoder{file: name, base: baseDir, places: map[string]place{}}
	root, f := parseYAML(data)
	if f != nil {
		return nil, Errors{{File: name, Line: f.line, Wrong: f.wrong, Text: f.text, Remedy: f.remedy}}
	}
	c := &Config{file: name, places: d.places}
	d.value("", root, reflect.ValueOf(c).Elem(), "")
	c.checkRules(scope{d, ""})
	if len(d.problems) > 0 {
		d.problems.byLine()
		return nil, d.problems
	}
	c.complete()
	return c, nil
}

// place is where a key stands and what was written there.
type place struct {
	line int
	text string // of a scalar
}

// decoder walks the syntax tree and the structs side by side.
type decoder struct {
	file, base string
	problems   Errors
	places     map[string]place // by path; only what the file says
}

// fail records a problem at path, or where the nearest section around it is.
func (d *decoder) fail(path string, f *fault) {
	at, given := d.places[path]
	text := at.text
	for p := path; !given && p != ""; {
		p = parent(p)
		at, given = d.places[p]
	}
	d.add(max(1, at.line), path, text, f)
}

func (d *decoder) add(line int, path, text string, f *fault) {
	switch {
	case len(d.problems) < maxProblems:
		d.problems = append(d.problems, Problem{d.file, line, path, f.wrong, text, f.remedy})
	case len(d.problems) == maxProblems:
		more := bad("file holds more than 100 mistakes", "correct the others first")
		d.problems = append(d.problems, Problem{d.file, line, "", more.wrong, "", more.remedy})
	}
}

// value decodes n into v by v's type.
func (d *decoder) value(path string, n ast.Node, v reflect.Value, tag reflect.StructTag) {
	if _, known := d.places[path]; !known {
		d.places[path] = place{line: lineOf(n.GetToken())}
	}
	if f := refuse(n); f != nil {
		d.fail(path, f)
		return
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(path, n, v, tag)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, n, v.Elem(), tag)
	case v.Kind() == reflect.Slice:
		d.list(path, n, v, tag)
	case v.Kind() == reflect.Map:
		d.names(path, n, v)
	default:
		d.section(path, n, v)
	}
}

// refuse names the parts of YAML that a configuration does without: whatever
// makes a value come from elsewhere, and a value that is not there.
func refuse(n ast.Node) *fault {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return bad("is a YAML anchor, alias or merge", `write the value itself, and quotes around a text that begins with & or *`)
	case *ast.TagNode:
		return bad("has a YAML tag", "write the value without !")
	case *ast.LiteralNode:
		return bad("is a block text", "write the value on one line")
	case *ast.NullNode:
		return bad("has no value", "write a value, or take the key out")
	}
	return nil
}

func (d *decoder) section(path string, n ast.Node, v reflect.Value) {
	pairs, ok := pairsOf(n)
	if word, is := n.(ast.ScalarNode); is && d.word(path, word, v) {
		return
	}
	if !ok {
		d.fail(path, bad("must be a section of keys", "write "+keyNames(v.Type())+" under it, indented"))
		return
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		d.pair(path, pair, v, seen)
	}
	d.absent(path, v, seen)
	if c, ok := v.Addr().Interface().(checker); ok {
		c.check(scope{d, path})
	}
}

// checker is a section with rules of its own, beyond those of its values.
type checker interface{ check(scope) }

func (d *decoder) pair(path string, pair *ast.MappingValueNode, v reflect.Value, seen map[string]bool) {
	name, line := pair.Key.GetToken().Value, lineOf(pair.Key.GetToken())
	key := join(path, printable(name))
	if f := refuse(pair.Key); f != nil {
		d.add(line, key, "", f)
		return
	}
	field, ok := fieldNamed(v.Type(), name)
	if !ok {
		d.add(line, key, name, unknownKey(name, v.Type()))
		return
	}
	if seen[name] {
		d.add(line, key, name, bad("key stands twice", "write it once"))
		return
	}
	seen[name] = true
	d.places[key] = place{line: line}
	d.value(key, pair.Value, v.FieldByIndex(field.Index), field.Tag)
}

// absent fills in what the file does not say.
func (d *decoder) absent(path string, v reflect.Value, seen map[string]bool) {
	for _, field := range fieldsOf(v.Type()) {
		name := field.Tag.Get("yaml")
		if seen[name] {
			continue
		}
		key, target := join(path, name), v.FieldByIndex(field.Index)
		switch text, has := field.Tag.Lookup("default"); {
		case field.Tag.Get("required") != "":
			d.fail(key, bad("is missing", "write "+missing(name, field.Type)))
		case has:
			d.preset(key, text, target, field.Tag)
		case target.Kind() == reflect.Struct && !isScalar(target.Type()):
			d.absent(key, target, nil)
		}
	}
}

func missing(name string, t reflect.Type) string {
	if isScalar(t) {
		return name + ": " + sample(t)
	}
	return name + " with at least one entry of " + keyNames(t.Elem())
}

// preset decodes a default. It leaves no place behind: the key is not given.
func (d *decoder) preset(path, text string, v reflect.Value, tag reflect.StructTag) {
	n, f := parseYAML([]byte(text))
	if f != nil {
		d.fail(path, f.fault)
		return
	}
	sub := &decoder{file: d.file, base: d.base, places: map[string]place{}}
	sub.value(path, n, v, tag)
	for _, p := range sub.problems {
		d.fail(path, bad(p.Wrong, p.Remedy))
	}
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value, tag reflect.StructTag) {
	seq, ok := n.(*ast.SequenceNode)
	if word, is := n.(ast.ScalarNode); is && d.word(path, word, v) {
		return
	}
	if !ok {
		d.fail(path, bad("must be a list", `write one entry a line, each begun with "- "`))
		return
	}
	if len(seq.Values) == 0 {
		d.fail(path, bad("is an empty list", "write at least one entry, or take the key out"))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, entry := range seq.Values {
		d.value(path+"["+strconv.Itoa(i)+"]", entry, v.Index(i), tag)
	}
}

// word decodes a list or a section that is written as one word; false for one
// that knows none.
func (d *decoder) word(path string, n ast.ScalarNode, v reflect.Value) bool {
	s, ok := v.Addr().Interface().(shorthand)
	if !ok {
		return false
	}
	text := n.GetToken().Value
	d.places[path] = place{d.places[path].line, hidePassword(text)}
	if f := s.short(text); f != nil {
		d.fail(path, f)
	}
	return true
}

// names decodes a section whose keys the administrator chooses.
func (d *decoder) names(path string, n ast.Node, v reflect.Value) {
	pairs, ok := pairsOf(n)
	if !ok {
		d.fail(path, bad("must be a section of names", "write "+sample(v.Type().Key())+" under it, indented"))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, pair := range pairs {
		d.named(path, pair, v)
	}
}

func (d *decoder) named(path string, pair *ast.MappingValueNode, v reflect.Value) {
	text, line := pair.Key.GetToken().Value, lineOf(pair.Key.GetToken())
	name, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	key := join(path, printable(text))
	f := refuse(pair.Key)
	if f == nil {
		f = readInto(name, text, "")
	}
	if f == nil && v.MapIndex(name).IsValid() {
		f = bad("name stands twice", "write it once; capitals make no difference")
	}
	if f != nil {
		d.add(line, key, printable(text), f)
		return
	}
	d.value(key, pair.Value, value, "")
	v.SetMapIndex(name, value)
}

func (d *decoder) scalar(path string, n ast.Node, v reflect.Value, tag reflect.StructTag) {
	node, ok := n.(ast.ScalarNode)
	if !ok {
		d.fail(path, bad("must be a single value", "write "+sample(v.Type())))
		return
	}
	text := node.GetToken().Value
	d.places[path] = place{d.places[path].line, shownText(v, text)}
	if f := readInto(v, text, tag.Get("range")); f != nil {
		v.SetZero() // so that no rule takes it for a value
		d.fail(path, f)
		return
	}
	if r, ok := v.Addr().Interface().(resolver); ok {
		r.resolve(d.base)
	}
}

// shownText is what a message may repeat of a value.
func shownText(v reflect.Value, text string) string {
	if _, secret := v.Addr().Interface().(hidden); secret {
		return ""
	}
	return hidePassword(text)
}

// pairsOf returns the keys and values of a mapping.
func pairsOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

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
