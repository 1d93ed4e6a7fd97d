// Package confkeys lists the keys of the configuration for the tests of the manual
// and of the wiring. All of it is read from the structs that decode the file, so
// the list cannot differ from what the program does.
package confkeys

import (
	"cmp"
	"reflect"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// Key describes one key for the manual.
type Key struct {
	Path     string // identities[].tenant_id
	Type     string // section, list, or the name of a type of value
	Default  string // as YAML, or a phrase if it follows from something else; empty for a section
	Range    string // 1..64, or a | b; empty without limits of its own
	Required bool   // wherever its section is there
}

// Of returns every key of a struct, in the order of its fields, sections before
// what is in them.
func Of[T any]() []Key { return keysOf("", reflect.TypeFor[T]()) }

func keysOf(path string, t reflect.Type) []Key {
	var keys []Key
	for i := range t.NumField() {
		field := t.Field(i)
		tag, name := field.Tag, field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		keys = append(keys, Key{
			Path: path + name, Type: kindOf(field.Type), Default: cmp.Or(tag.Get("default"), tag.Get("unset")),
			Range: tag.Get("range"), Required: tag.Get("required") != "",
		})
		if inner, suffix := sectionIn(field.Type); inner != nil {
			keys = append(keys, keysOf(path+name+suffix+".", inner)...)
		}
	}
	return keys
}

// kindOf is the name of a type of value, or the form of what is none.
func kindOf(t reflect.Type) string {
	switch value := reflect.New(t).Interface().(type) {
	case strict.Scalar:
		kind, _ := value.About()
		return kind
	case *envelope.Address:
		return "address"
	}
	switch t.Kind() {
	case reflect.Int:
		return "number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "word"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	default:
		return "section"
	}
}

// sectionIn finds the struct behind a section or a list of sections.
func sectionIn(t reflect.Type) (reflect.Type, string) {
	suffix := ""
	switch t.Kind() {
	case reflect.Slice:
		t, suffix = t.Elem(), "[]"
	case reflect.Pointer:
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && kindOf(t) == "section" {
		return t, suffix
	}
	return nil, ""
}
