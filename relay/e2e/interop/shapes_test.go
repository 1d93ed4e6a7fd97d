//go:build interop

package interop_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/e2e/shapes"
	"graphrelay/relay/message/parts"
)

// Python's email package and our part reader take a hundred messages apart in
// the same way, and the leaves that tests of the whole compare with are Python's.
func TestPartsAgreeWithPython(t *testing.T) {
	dir := t.TempDir()
	args := []string{"testdata/parts.py"}
	for _, s := range shapes.All() {
		path := filepath.Join(dir, s.Name+".eml")
		harness.WriteFile(t, path, s.Message("a@example.org", "b@example.org", 0))
		args = append(args, path)
	}
	out, err := foreign.Python(t)(args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("../testdata/shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var found, kept map[string][]shapes.Leaf
	if err := errors.Join(json.Unmarshal(out, &found), json.Unmarshal(golden, &kept)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(found, kept) {
		t.Errorf("relay/e2e/testdata/shapes.json is not what Python finds; it must be\n%s", out)
	}
	for _, s := range shapes.All() {
		text := s.Message("a@example.org", "b@example.org", 0)
		p, err := parts.Read(t.Context(), strings.NewReader(text), int64(len(text)))
		if sealed := errors.Is(err, parts.ErrSealed); err != nil && !sealed || sealed != s.IsSealed() {
			t.Errorf("%s: %v", s.Name, err)
		}
		if err != nil {
			continue
		}
		var files []shapes.File
		for _, a := range p.Attachments {
			content, err := io.ReadAll(a.Open())
			if err != nil {
				t.Error(err)
			}
			files = append(files, shapes.File{Type: a.Type, Content: content})
		}
		if err := s.Compare(found[s.Name], files); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}
