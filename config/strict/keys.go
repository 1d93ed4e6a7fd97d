package strict

import (
	"cmp"
	"reflect"
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
