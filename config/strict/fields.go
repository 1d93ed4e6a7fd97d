package strict

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Format is what structs may be made of beyond the types that read themselves.
type Format struct {
	// Foreign reads into a value of another package's type, given a pointer to
	// it and the range of its key; nil for a type that it does not know.
	Foreign func(target any, limits string) Scalar
}

// Scalar is a type that reads itself from the text of one YAML value. About has
// its kind, such as "duration", for the manual, and an example for messages.
type Scalar interface {
	Read(text string) *Fault
	About() (kind, example string)
}

// Resolver is a Scalar that may hold a relative path.
type Resolver interface{ Resolve(base string) }

// Hidden marks a Scalar whose text is never repeated: somebody may have written
// a password there.
type Hidden interface{ Hidden() }

// Shorthand is a list or a section that one word can replace.
type Shorthand interface{ Short(word string) *Fault }

// isScalar distinguishes values from sections and lists.
func (f Format) isScalar(t reflect.Type) bool {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
		return false
	}
	return t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[Scalar]()) ||
		f.Foreign(reflect.New(t).Interface(), "") != nil
}

// asScalar gives any value that isScalar the methods of a Scalar.
func (f Format) asScalar(v reflect.Value, limits string) Scalar {
	switch p := v.Addr().Interface().(type) {
	case Scalar:
		return p
	case *int:
		return (*number)(p)
	case *string:
		return (*word)(p)
	case *bool:
		return (*truth)(p)
	default:
		if s := f.Foreign(p, limits); s != nil {
			return s
		}
	}
	panic("strict: not a Scalar: " + v.Type().String()) // a field of a new type lacks its Read method
}

// readInto reads text into v and checks it against the range of its tag.
func (f Format) readInto(v reflect.Value, text string, tag reflect.StructTag) *Fault {
	if text == "" {
		return Bad("is empty", "write "+f.example(v.Type())+orRemove(tag))
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Bad("contains a control character", "remove it")
	}
	limits := tag.Get("range")
	if wrong := read(f.asScalar(v, limits), text); wrong != nil {
		return wrong
	}
	switch {
	case limits == "":
		return nil
	case v.Kind() == reflect.String:
		return oneOf(text, limits)
	case v.CanInt():
		return f.within(v, limits)
	}
	return nil // Foreign has seen to it
}

// read names a character that is not what it looks like before it says what the
// text is not.
func read(s Scalar, text string) *Fault {
	strange := lookalike(text)
	if _, free := s.(Free); free && strange != nil {
		if wrong := lookalikeAtEnds(text); wrong != nil {
			return wrong
		}
		if s.Read(text) == nil {
			return nil
		}
	}
	if strange != nil {
		return strange
	}
	return s.Read(text)
}

func oneOf(text, limits string) *Fault {
	if slices.Contains(strings.Split(limits, " | "), text) {
		return nil
	}
	return Bad("is not one of the possible values", "write "+strings.ReplaceAll(limits, " | ", " or "))
}

// within compares numbers with a range such as "1s..1h".
func (f Format) within(v reflect.Value, limits string) *Fault {
	low, high, _ := strings.Cut(limits, "..")
	l, h := reflect.New(v.Type()).Elem(), reflect.New(v.Type()).Elem()
	if wrong := f.readInto(l, low, ""); wrong != nil {
		return wrong
	}
	if wrong := f.readInto(h, high, ""); wrong != nil {
		return wrong
	}
	if v.Int() < l.Int() || v.Int() > h.Int() {
		return Bad("is out of range", fmt.Sprintf("write a value from %s to %s", low, high))
	}
	return nil
}

// example is an example of what a key of type t takes.
func (f Format) example(t reflect.Type) string {
	_, example := f.asScalar(reflect.New(t).Elem(), "").About()
	return example
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
