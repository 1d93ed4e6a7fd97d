package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"graphrelay/relay/envelope"
)

// concealed stands for what Show does not show.
const concealed = "***"

// Show is c as YAML, with every default filled in and without the keys that
// have none. Of secrets it has the paths of their files alone: password hashes
// are left out, and so are user information and query of any URL.
func Show(c *Config) (string, error) {
	text, err := yaml.MarshalWithOptions(shownSection(reflect.ValueOf(c).Elem()), yaml.Indent(2), yaml.IndentSequence(true))
	return string(text), err
}

func shownSection(v reflect.Value) yaml.MapSlice {
	var section yaml.MapSlice
	for _, f := range fieldsOf(v.Type()) {
		if value, ok := shown(v.FieldByIndex(f.Index), f.Tag); ok {
			section = append(section, yaml.MapItem{Key: f.Tag.Get("yaml"), Value: value})
		}
	}
	return section
}

// shown is a value of the configuration as YAML; false where there is none.
func shown(v reflect.Value, tag reflect.StructTag) (any, bool) {
	switch {
	case isScalar(v.Type()):
		return shownScalar(v, tag)
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return nil, false
		}
		if section := shownSection(v.Elem()); len(section) > 0 {
			return section, true
		}
		return true, true // a section that one word stands for
	case v.Kind() == reflect.Slice:
		return shownList(v, tag)
	case v.Kind() == reflect.Map:
		return shownNames(v, tag)
	}
	section := shownSection(v)
	return section, len(section) > 0
}

func shownList(v reflect.Value, tag reflect.StructTag) (any, bool) {
	if v.Len() == 0 {
		if _, short := reflect.New(v.Type()).Interface().(shorthand); short && !v.IsNil() {
			return "none", true
		}
		return nil, false
	}
	var list []any
	for i := range v.Len() {
		value, _ := shown(v.Index(i), tag)
		list = append(list, value)
	}
	return list, true
}

func shownNames(v reflect.Value, tag reflect.StructTag) (any, bool) {
	var names yaml.MapSlice
	for key, value := range v.Seq2() {
		text, _ := shown(value, tag)
		names = append(names, yaml.MapItem{Key: fmt.Sprint(key), Value: text})
	}
	slices.SortFunc(names, func(a, b yaml.MapItem) int { return strings.Compare(a.Key.(string), b.Key.(string)) })
	return names, len(names) > 0
}

func shownScalar(v reflect.Value, tag reflect.StructTag) (any, bool) {
	if _, is := reflect.New(v.Type()).Interface().(hidden); is {
		return concealed, !v.IsZero()
	}
	if a, is := v.Interface().(envelope.Address); is && a.Wildcard() && strings.Contains(tag.Get("range"), "self") {
		return "self", true
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
	return withoutSecrets(fmt.Sprint(v.Interface())), true
}

// withoutSecrets takes out of a URL where a password or a key may stand.
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
