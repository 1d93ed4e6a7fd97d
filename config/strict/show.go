package strict

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// concealed replaces what Show does not show.
const concealed = "***"

// Shower is a Scalar that the file may write in another way than String does.
type Shower interface{ Shown() string }

// Show is the struct that v points to as YAML, with every default filled in and
// without the keys that have none. Hidden values are left out, and so are user
// information and query of any URL.
func (f Format) Show(v any) (string, error) {
	section := f.shownSection(reflect.ValueOf(v).Elem())
	text, err := yaml.MarshalWithOptions(section, yaml.Indent(2), yaml.IndentSequence(true))
	return string(text), err
}

func (f Format) shownSection(v reflect.Value) yaml.MapSlice {
	var section yaml.MapSlice
	for _, field := range fieldsOf(v.Type()) {
		if value, ok := f.shown(v.FieldByIndex(field.Index), field.Tag); ok {
			section = append(section, yaml.MapItem{Key: field.Tag.Get("yaml"), Value: value})
		}
	}
	return section
}

// shown is a value of the configuration as YAML; false if there is none.
func (f Format) shown(v reflect.Value, tag reflect.StructTag) (any, bool) {
	switch {
	case f.isScalar(v.Type()):
		return f.shownScalar(v, tag)
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return nil, false
		}
		if section := f.shownSection(v.Elem()); len(section) > 0 {
			return section, true
		}
		return true, true // a section that one word replaces
	case v.Kind() == reflect.Slice:
		return f.shownList(v, tag)
	case v.Kind() == reflect.Map:
		return f.shownNames(v, tag)
	}
	section := f.shownSection(v)
	return section, len(section) > 0
}

func (f Format) shownList(v reflect.Value, tag reflect.StructTag) (any, bool) {
	if v.Len() == 0 {
		if _, short := reflect.New(v.Type()).Interface().(Shorthand); short && !v.IsNil() {
			return "none", true
		}
		return nil, false
	}
	var list []any
	for i := range v.Len() {
		value, _ := f.shown(v.Index(i), tag)
		list = append(list, value)
	}
	return list, true
}

func (f Format) shownNames(v reflect.Value, tag reflect.StructTag) (any, bool) {
	var names yaml.MapSlice
	for key, value := range v.Seq2() {
		text, _ := f.shown(value, tag)
		names = append(names, yaml.MapItem{Key: fmt.Sprint(key), Value: text})
	}
	slices.SortFunc(names, func(a, b yaml.MapItem) int { return strings.Compare(a.Key.(string), b.Key.(string)) })
	return names, len(names) > 0
}

func (f Format) shownScalar(v reflect.Value, tag reflect.StructTag) (any, bool) {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	scalar := f.asScalar(p.Elem(), tag.Get("range"))
	if _, is := scalar.(Hidden); is {
		return concealed, !v.IsZero()
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), true
	case reflect.Int:
		return v.Int(), true
	}
	if v.IsZero() && v.Kind() != reflect.Int64 {
		return nil, false
	}
	if s, is := scalar.(Shower); is {
		return withoutSecrets(s.Shown()), true
	}
	return withoutSecrets(fmt.Sprint(v.Interface())), true
}

// withoutSecrets replaces the parts of a URL that may hold a password or a key.
func withoutSecrets(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return concealed
	}
	if u.User != nil {
		u.User = url.User(concealed)
	}
	if u.RawQuery != "" {
		u.RawQuery = concealed
	}
	return u.String()
}
