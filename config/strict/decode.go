package strict

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxProblems bounds the report on a file that is not a configuration at all.
const maxProblems = 100

// Decode reads the YAML of a file into the struct that into points to; file is for
// messages, and relative paths are resolved from base. rules is called last and
// compares the sections with each other. The error is Errors, each with a line from 1.
func (f Format) Decode(file string, data []byte, base string, into any, rules func(Scope)) (*Places, error) {
	d := &decoder{Format: f, base: base, places: &Places{file, map[string]place{}}}
	v := reflect.ValueOf(into).Elem()
	root, wrong := parse(data, f.least(v.Type()))
	if wrong != nil {
		wrong.File = file
		return nil, Errors{*wrong}
	}
	d.value("", root, v, "")
	rules(Scope{d, ""})
	if len(d.problems) > 0 {
		d.problems.ByLine()
		return nil, d.problems
	}
	return d.places, nil
}

// least says what a file must hold at the very least.
func (f Format) least(t reflect.Type) string {
	var keys []string
	for _, field := range fieldsOf(t) {
		if field.Tag.Get("required") != "" {
			keys = append(keys, field.Tag.Get("yaml"))
		}
	}
	return "write at least " + strings.Join(keys, " and ")
}

// Defaults fills in the defaults of the struct that into points to, for an
// entry that the file does not have. The keys of except are skipped.
func (f Format) Defaults(into any, except ...string) {
	d := &decoder{Format: f, places: &Places{at: map[string]place{}}}
	seen := map[string]bool{}
	for _, key := range except {
		seen[key] = true
	}
	d.absent("", reflect.ValueOf(into).Elem(), seen)
}

// decoder walks the syntax tree and the structs side by side.
type decoder struct {
	Format
	base     string
	problems Errors
	places   *Places
}

func (d *decoder) fail(path string, f *Fault) { d.add(d.places.Problem(path, f.wrong, f.remedy)) }

func (d *decoder) add(p Problem) {
	switch {
	case len(d.problems) < maxProblems:
		d.problems = append(d.problems, p)
	case len(d.problems) == maxProblems:
		more := Bad("file has more than 100 mistakes", "correct these first")
		d.problems = append(d.problems, Problem{File: p.File, Line: p.Line, Wrong: more.wrong, Remedy: more.remedy})
	}
}

// addKey records a problem with a key itself.
func (d *decoder) addKey(line int, key, text string, f *Fault) {
	d.add(Problem{d.places.file, line, key, f.wrong, text, f.remedy})
}

// value decodes n into v by v's type.
func (d *decoder) value(path string, n ast.Node, v reflect.Value, tag reflect.StructTag) {
	if _, known := d.places.at[path]; !known {
		d.places.at[path] = place{line: lineOf(n.GetToken())}
	}
	if f := refuse(n, tag); f != nil {
		d.fail(path, f)
		return
	}
	switch {
	case d.isScalar(v.Type()):
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
func refuse(n ast.Node, tag reflect.StructTag) *Fault {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return Bad("is a YAML anchor, alias or merge",
			`write the value itself, and quotes around a text that begins with & or *`)
	case *ast.TagNode:
		return Bad("has a YAML tag", "write the value without !")
	case *ast.LiteralNode:
		return Bad("is a block text", "write the value on one line")
	case *ast.NullNode:
		return Bad("has no value", "write a value"+orRemove(tag))
	}
	return nil
}

// orRemove is the other half of a remedy, unless the key is required.
func orRemove(tag reflect.StructTag) string {
	if tag.Get("required") != "" {
		return ""
	}
	return ", or remove the key"
}

func (d *decoder) section(path string, n ast.Node, v reflect.Value) {
	pairs, ok := pairsOf(n)
	if word, is := n.(ast.ScalarNode); is && d.word(path, word, v) {
		return
	}
	if !ok {
		if d.strange(path, n) {
			return
		}
		remedy := "write " + keyNames(v.Type()) + " under it, indented"
		if path == "" {
			remedy = d.least(v.Type())
		}
		d.fail(path, Bad("must be a section of keys", remedy))
		return
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		d.pair(path, pair, v, seen)
	}
	d.absent(path, v, seen)
	if c, ok := v.Addr().Interface().(Checker); ok {
		c.Check(Scope{d, path})
	}
}

// Checker is a section with rules of its own, beyond those of its values.
type Checker interface{ Check(Scope) }

// strange reports what stands where a section or a list should be, if it is
// there only because a character is not what it looks like.
func (d *decoder) strange(path string, n ast.Node) bool {
	if pairs, ok := pairsOf(n); ok && len(pairs) > 0 {
		n = pairs[0].Key
	}
	at := n.GetToken()
	f := lookalike(at.Value)
	if f != nil {
		d.places.at[path] = place{lineOf(at), hidePassword(at.Value)}
		d.fail(path, f)
	}
	return f != nil
}

func (d *decoder) pair(path string, pair *ast.MappingValueNode, v reflect.Value, seen map[string]bool) {
	name, line := pair.Key.GetToken().Value, lineOf(pair.Key.GetToken())
	key := join(path, printable(name))
	if f := refuse(pair.Key, ""); f != nil {
		d.addKey(line, key, "", f)
		return
	}
	field, ok := fieldNamed(v.Type(), name)
	if !ok {
		f := lookalike(name)
		if f == nil {
			f = unknownKey(name, v.Type())
		}
		d.addKey(line, key, name, f)
		return
	}
	if seen[name] {
		d.addKey(line, key, name, Bad("is repeated", "write it once"))
		return
	}
	seen[name] = true
	d.places.at[key] = place{line: line}
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
			d.fail(key, Bad("is missing", "write "+d.missing(name, field.Type)))
		case has:
			d.preset(key, text, target, field.Tag)
		case target.Kind() == reflect.Struct && !d.isScalar(target.Type()):
			d.absent(key, target, nil)
		}
	}
}

func (d *decoder) missing(name string, t reflect.Type) string {
	if d.isScalar(t) {
		return name + ": " + d.example(t)
	}
	return name + " with at least one entry of " + keyNames(t.Elem())
}

// preset decodes a default. It records no place: the key is not given.
func (d *decoder) preset(path, text string, v reflect.Value, tag reflect.StructTag) {
	sub := &decoder{Format: d.Format, base: d.base, places: &Places{at: map[string]place{}}}
	n, wrong := parse([]byte(text), "")
	if wrong != nil {
		sub.add(*wrong)
	} else {
		sub.value(path, n, v, tag)
	}
	for _, p := range sub.problems {
		d.fail(path, &Fault{p.Wrong, p.Remedy})
	}
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value, tag reflect.StructTag) {
	seq, ok := n.(*ast.SequenceNode)
	if word, is := n.(ast.ScalarNode); is && d.word(path, word, v) {
		return
	}
	if !ok {
		if d.strange(path, n) {
			return
		}
		d.fail(path, Bad("must be a list", `write one entry per line, each beginning with "- "`))
		return
	}
	if len(seq.Values) == 0 {
		d.fail(path, Bad("is an empty list", "write at least one entry"+orRemove(tag)))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, entry := range seq.Values {
		d.value(path+"["+strconv.Itoa(i)+"]", entry, v.Index(i), tag)
	}
}

// word decodes a list or a section that is written as one word; false for one that knows none.
func (d *decoder) word(path string, n ast.ScalarNode, v reflect.Value) bool {
	s, ok := v.Addr().Interface().(Shorthand)
	if !ok {
		return false
	}
	text := n.GetToken().Value
	d.places.at[path] = place{d.places.at[path].line, hidePassword(text)}
	f := lookalike(text)
	if f == nil {
		f = s.Short(text)
	}
	if f != nil {
		d.fail(path, f)
	}
	return true
}

// names decodes a section whose keys the administrator chooses.
func (d *decoder) names(path string, n ast.Node, v reflect.Value) {
	pairs, ok := pairsOf(n)
	if !ok {
		if d.strange(path, n) {
			return
		}
		d.fail(path, Bad("must be a section of names", "write "+d.example(v.Type().Key())+" under it, indented"))
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
	f := refuse(pair.Key, "")
	if f == nil {
		f = d.readInto(name, text, "")
	}
	if f == nil && v.MapIndex(name).IsValid() {
		f = Bad("is repeated", "write it once; letter case does not matter")
	}
	if f != nil {
		d.addKey(line, key, printable(text), f)
		return
	}
	d.value(key, pair.Value, value, "")
	v.SetMapIndex(name, value)
}

func (d *decoder) scalar(path string, n ast.Node, v reflect.Value, tag reflect.StructTag) {
	node, ok := n.(ast.ScalarNode)
	if !ok {
		d.fail(path, Bad("must be a single value", "write "+d.example(v.Type())))
		return
	}
	text := node.GetToken().Value
	d.places.at[path] = place{d.places.at[path].line, shownText(v, text)}
	if f := d.readInto(v, text, tag); f != nil {
		v.SetZero() // so that no rule takes it for a value
		d.fail(path, f)
		return
	}
	if r, ok := v.Addr().Interface().(Resolver); ok {
		r.Resolve(d.base)
	}
}

// shownText is what a message may repeat of a value.
func shownText(v reflect.Value, text string) string {
	if _, secret := v.Addr().Interface().(Hidden); secret {
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
