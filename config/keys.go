package config

import (
	"reflect"
	"strings"
)

// Key describes one key for the manual. All of it is read from the structs
// that decode the file, so it cannot differ from what the program does.
type Key struct {
	Path     string // identities[].tenant_id
	Type     string // section, list, or the name of a type of value
	Default  string // as YAML, or a phrase where it follows from something else; empty for a section
	Range    string // 1..64, or a | b; empty without limits of its own
	Doc      string // one or two sentences
	Required bool   // wherever its section is there
}

// Keys returns every key, in the order of the structs, sections before what is
// in them.
func Keys() []Key { return keysOf("", reflect.TypeFor[Config]()) }

func keysOf(path string, t reflect.Type) []Key {
	var keys []Key
	for _, f := range fieldsOf(t) {
		key := join(path, f.Tag.Get("yaml"))
		keys = append(keys, keyOf(key, f))
		if inner, suffix := sectionIn(f.Type); inner != nil {
			keys = append(keys, keysOf(key+suffix, inner)...)
		}
	}
	return keys
}

func keyOf(path string, f reflect.StructField) Key {
	preset := f.Tag.Get("default")
	if preset == "" {
		preset = f.Tag.Get("unset")
	}
	return Key{
		Path:     path,
		Type:     kindOf(f.Type),
		Default:  preset,
		Range:    f.Tag.Get("range"),
		Doc:      strings.TrimSpace(f.Tag.Get("doc")),
		Required: f.Tag.Get("required") != "",
	}
}

func kindOf(t reflect.Type) string {
	switch {
	case isScalar(t):
		return asScalar(reflect.New(t).Elem()).kind()
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map:
		return "map"
	}
	return "section"
}

// sectionIn finds the struct behind a section or a list of sections.
func sectionIn(t reflect.Type) (reflect.Type, string) {
	switch {
	case isScalar(t):
		return nil, ""
	case t.Kind() == reflect.Slice && !isScalar(t.Elem()):
		return t.Elem(), "[]"
	case t.Kind() == reflect.Pointer:
		return t.Elem(), ""
	case t.Kind() == reflect.Struct:
		return t, ""
	}
	return nil, ""
}
