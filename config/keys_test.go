package config

import (
	"reflect"
	"strings"
	"testing"

	"graphrelay/relay/e2e/confkeys"
)

// Every field that decodes a key is in Keys and every Key is a field: counted
// here by another walk than the one that Keys does.
func TestKeysAreTheFields(t *testing.T) {
	fields := map[string]bool{}
	for _, s := range []any{Config{}, Identity{}, ManagedIdentity{}, Endpoints{}, Sender{}, Mailbox{}, SMTP{}, TLS{},
		Listener{}, Client{}, Queue{}, Delivery{}, Audit{}, Reports{}, Admin{}, Metrics{}, Alerts{}, Console{}, Log{}} {
		for i := range reflect.TypeOf(s).NumField() {
			f := reflect.TypeOf(s).Field(i)
			if f.IsExported() && f.Tag.Get("yaml") == "" {
				t.Errorf("%T.%s has no key", s, f.Name)
			}
			if f.IsExported() {
				fields[f.Tag.Get("yaml")] = true
			}
		}
	}
	named := map[string]bool{}
	for _, k := range confkeys.Of[Config]() {
		name := k.Path[strings.LastIndex(k.Path, ".")+1:]
		if named[name] = true; !fields[name] {
			t.Errorf("key %s has no field", k.Path)
		}
	}
	for name := range fields {
		if !named[name] {
			t.Errorf("field %s has no key", name)
		}
	}
}

func TestKeysSayEnough(t *testing.T) {
	keys := confkeys.Of[Config]()
	if len(keys) != 104 {
		t.Errorf("%d keys; correct this number with the manual", len(keys))
	}
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k.Path] || k.Type == "" {
			t.Errorf("%+v: repeated or without type", k)
		}
		seen[k.Path] = true
		if k.Type != "section" && k.Required == (k.Default != "") {
			t.Errorf("%s must be required or have a default", k.Path)
		}
		if (k.Type == "number" || k.Type == "size" || k.Type == "duration" || k.Type == "word") && k.Range == "" {
			t.Errorf("%s (%s) has no range", k.Path, k.Type)
		}
	}
}

// A default outside its own range would make the shortest file a mistake.
func TestEveryDefaultIsAccepted(t *testing.T) {
	c := parse1(t, minimal)
	if c == nil {
		t.Fatal("minimal file refused")
	}
	for _, k := range confkeys.Of[Config]() {
		if strings.Contains(k.Path, "[]") || k.Default == "" || k.Default == "none" || k.Type == "list" ||
			k.Type == "section" {
			continue
		}
		path := strings.Split(k.Path, ".")
		if len(path) != 2 {
			continue
		}
		text := minimal + path[0] + ":\n  " + path[1] + ": " + k.Default + "\n"
		if _, err := Parse("f", []byte(text), "/"); err != nil {
			t.Errorf("%s: %v", k.Path, err)
		}
	}
}
