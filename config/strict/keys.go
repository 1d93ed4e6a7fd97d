package strict

import (
	"cmp"
	"reflect"
	"strconv"
	"strings"
)

// Key describes one key for the manual. All of it is read from the structs
// that decode the file, so it cannot differ from what the program does.
type Key struct {
	Path     string // identities[].tenant_id
	Type     string // section, list, or the name of a type of value
	Default  string // as YAML, or a phrase if it follows from something else; empty for a section
	Range    string // 1..64, or a | b; empty without limits of its own
	Required bool   // wherever its section is there
}

// Keys returns every key of a struct, in the order of its fields, sections
// before what is in them.
func (f Format) Keys(t reflect.Type) []Key { return f.keysOf("", t) }

func (f Format) keysOf(path string, t reflect.Type) []Key {
	var keys []Key
	for _, field := range fieldsOf(t) {
		key := join(path, field.Tag.Get("yaml"))
		keys = append(keys, f.keyOf(key, field))
		if inner, suffix := f.sectionIn(field.Type); inner != nil {
			keys = append(keys, f.keysOf(key+suffix, inner)...)
		}
	}
	return keys
}

func (f Format) keyOf(path string, field reflect.StructField) Key {
	tag := field.Tag
	return Key{
		Path: path, Type: f.kindOf(field.Type), Default: cmp.Or(tag.Get("default"), tag.Get("unset")),
		Range: tag.Get("range"), Required: tag.Get("required") != "",
	}
}

func (f Format) kindOf(t reflect.Type) string {
	switch {
	case f.isScalar(t):
		kind, _ := f.asScalar(reflect.New(t).Elem(), "").About()
		return kind
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map:
		return "map"
	}
	return "section"
}

// sectionIn finds the struct behind a section or a list of sections.
func (f Format) sectionIn(t reflect.Type) (reflect.Type, string) {
	switch {
	case f.isScalar(t):
		return nil, ""
	case t.Kind() == reflect.Slice && !f.isScalar(t.Elem()):
		return t.Elem(), "[]"
	case t.Kind() == reflect.Pointer:
		return t.Elem(), ""
	case t.Kind() == reflect.Struct:
		return t, ""
	}
	return nil, ""
}

func keyNames(t reflect.Type) string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.Tag.Get("yaml"))
	}
	return strings.Join(names, ", ")
}

// unknownKey names the key that was probably meant.
func unknownKey(name string, t reflect.Type) *Fault {
	if near := nearest(name, t); near != "" {
		return Bad("is an unknown key", "did you mean "+near+"? If not, remove it")
	}
	return Bad("is an unknown key", "remove it, or write one of "+keyNames(t))
}

func nearest(name string, t reflect.Type) string {
	best, bestDistance := "", 3
	for _, f := range fieldsOf(t) {
		key := f.Tag.Get("yaml")
		if len(name) > len(key)+3 {
			continue // also bounds the work for an absurd key
		}
		if d := distance(strings.ToLower(name), key); d < bestDistance {
			best, bestDistance = key, d
		}
		if len(name) > 3 && bestDistance > 1 && strings.HasPrefix(key, name+"_") {
			best, bestDistance = key, 1
		}
	}
	return best
}

// distance is the number of insertions, deletions and changes between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// printable is a key as it can be shown in a message.
func printable(key string) string {
	key = cut(key, maxText)
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` || key == "" {
		return quoted
	}
	return key
}
