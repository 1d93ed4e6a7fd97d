package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"graphrelay/relay/envelope"
)

// scalar is a type that reads itself from the text of one YAML value.
type scalar interface {
	read(text string) *fault
	kind() string // for the manual: "duration"
	like() string // for messages: an example
}

// resolver is a scalar that may hold a relative path.
type resolver interface{ resolve(base string) }

// isScalar tells values from sections and lists.
func isScalar(t reflect.Type) bool {
	if t == reflect.TypeFor[envelope.Address]() {
		return true
	}
	switch t.Kind() {
	case reflect.Struct:
		return reflect.PointerTo(t).Implements(reflect.TypeFor[scalar]())
	case reflect.Slice, reflect.Pointer, reflect.Map:
		return false
	}
	return true
}

// asScalar gives any value that isScalar the methods of a scalar.
func asScalar(v reflect.Value) scalar {
	switch p := v.Addr().Interface().(type) {
	case scalar:
		return p
	case *envelope.Address:
		return addressValue{p, ""}
	case *int:
		return (*count)(p)
	case *string:
		return (*word)(p)
	case *bool:
		return (*truth)(p)
	}
	panic("config: no scalar: " + v.Type().String()) // a field of a new type lacks its read method
}

// readInto reads text into v and holds it against the range of its tag.
func readInto(v reflect.Value, text, limits string) *fault {
	if text == "" {
		return bad("is empty", "write "+sample(v.Type())+", or take the key out")
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return bad("holds a control character", "take it out")
	}
	if a, ok := v.Addr().Interface().(*envelope.Address); ok {
		return addressValue{a, limits}.read(text)
	}
	if f := asScalar(v).read(text); f != nil {
		return f
	}
	if limits == "" {
		return nil
	}
	if v.Kind() == reflect.String {
		return oneOf(text, limits)
	}
	return within(v, limits)
}

func oneOf(text, limits string) *fault {
	for _, allowed := range strings.Split(limits, " | ") {
		if text == allowed {
			return nil
		}
	}
	return bad("is none of the possible values", "write "+strings.ReplaceAll(limits, " | ", " or "))
}

// within compares numbers with a range such as "1s..1h".
func within(v reflect.Value, limits string) *fault {
	low, high, _ := strings.Cut(limits, "..")
	l, h := reflect.New(v.Type()).Elem(), reflect.New(v.Type()).Elem()
	if f := readInto(l, low, ""); f != nil {
		return f
	}
	if f := readInto(h, high, ""); f != nil {
		return f
	}
	if v.Int() < l.Int() || v.Int() > h.Int() {
		return bad("is out of range", fmt.Sprintf("write a value from %s to %s", low, high))
	}
	return nil
}

// sample is an example of what a key of type t takes.
func sample(t reflect.Type) string {
	return asScalar(reflect.New(t).Elem()).like()
}

// fieldsOf returns the fields that are keys, in the order of the source.
func fieldsOf(t reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("yaml") != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range fieldsOf(t) {
		if f.Tag.Get("yaml") == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func keyNames(t reflect.Type) string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.Tag.Get("yaml"))
	}
	return strings.Join(names, ", ")
}

// unknownKey names the key that was probably meant.
func unknownKey(name string, t reflect.Type) *fault {
	if near := nearest(name, t); near != "" {
		return bad("is an unknown key", "did you mean "+near+"? If not, take it out")
	}
	return bad("is an unknown key", "take it out, or write one of "+keyNames(t))
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

// printable is a key that may stand in a message.
func printable(key string) string {
	key = cut(key, maxText)
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` || key == "" {
		return quoted
	}
	return key
}
