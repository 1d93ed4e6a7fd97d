//go:build interop

package interop_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/shapes"
	"graphrelay/relay/message/parts"
)

// Where Python in both policies, Perl's MIME::Parser, go-message and mailparser
// agree about the texts and files of a message, our part reader finds the same,
// and attaches no original. Where it repairs what they do not, it may find more.
func TestPartsAgreeWithWhatAllReadersFind(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 2))
	var messages []string
	for i := range 2400 {
		s := shapes.Random(r)
		if i%4 > 0 {
			s = s.Damaged(r)
		}
		messages = append(messages, s.Message("a@example.org", "b@example.org", 0))
	}
	for _, s := range shapes.All() {
		if !s.IsSealed() {
			messages = append(messages, s.Message("a@example.org", "b@example.org", 0))
		}
	}
	python := judged[[][]string](t, foreign.Python(t)("testdata/leaves.py"), messages)
	perl := judged[[]string](t, foreign.MIMETools(t)("testdata/leaves.pl"), messages)
	library := judged[[]string](t, foreign.GoProgram(t, "testdata/gomessage/main.go.txt",
		"github.com/emersion/go-message@v0.18.2")(), messages)
	node := judged[*mailparsed](t, foreign.Mailparser(t)("testdata/leaves.cjs"), messages)
	agreed := 0
	for i, m := range messages {
		leaves, ok := commonLeaves(t, append(python[i], perl[i], library[i]))
		if !ok || node[i] == nil || !node[i].finds(t, leaves) {
			continue
		}
		agreed++
		agreesWith(t, m, leaves)
	}
	t.Logf("the readers agree about %d of %d messages", agreed, len(messages))
	if agreed < len(messages)/3 {
		t.Error("these are too few to judge by")
	}
}

// judged gives the messages to a reader, and returns its answer to each.
func judged[T any](t *testing.T, cmd *exec.Cmd, messages []string) (all []T) {
	t.Helper()
	var in bytes.Buffer
	for _, m := range messages {
		in.WriteString(base64.StdEncoding.EncodeToString([]byte(m)) + "\n")
	}
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(cmd.Path, err)
	}
	for line := range bytes.Lines(out) {
		var answer T
		if err := json.Unmarshal(line, &answer); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, answer)
	}
	if len(all) != len(messages) {
		t.Fatalf("%s: %d answers for %d messages", cmd.Path, len(all), len(messages))
	}
	return all
}

// commonLeaves decodes the leaves that all readers found; false where they differ.
func commonLeaves(t *testing.T, all [][]string) (leaves []string, ok bool) {
	t.Helper()
	for i, list := range all {
		if list == nil {
			return nil, false
		}
		found := decodedLeaves(t, list)
		if i > 0 && !slices.Equal(found, leaves) {
			return nil, false
		}
		leaves = found
	}
	return leaves, true
}

// decodedLeaves decodes leaves; line ends do not count.
func decodedLeaves(t *testing.T, list []string) (leaves []string) {
	t.Helper()
	for _, text := range list {
		leaf, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, plainLines(string(leaf)))
	}
	return leaves
}

func plainLines(s string) string {
	return strings.Trim(strings.ReplaceAll(s, "\r\n", "\n"), "\n ")
}

// mailparsed is what mailparser finds: it joins texts.
type mailparsed struct {
	Text, HTML string
	Files      []string
}

// finds reports whether each leaf is a file of m or in its text.
func (m *mailparsed) finds(t *testing.T, leaves []string) bool {
	t.Helper()
	files, text := decodedLeaves(t, m.Files), plainLines(m.Text)+plainLines(m.HTML)
	return len(files) <= len(leaves) && !slices.ContainsFunc(leaves, func(leaf string) bool {
		return !slices.Contains(files, leaf) && !strings.Contains(text, leaf)
	})
}

// agreesWith takes a message apart and holds it against what all others found.
func agreesWith(t *testing.T, text string, leaves []string) {
	t.Helper()
	m, err := parts.Read(t.Context(), strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Errorf("%v in\n%s", err, text)
		return
	}
	if len(m.Unplaced) > 0 {
		t.Errorf("the original is attached, though all readers agree: %v\n%s", m.Unplaced, text)
	}
	var ours []string
	if body := opened(t, m.Text.Open()); len(m.Repairs) == 0 || slices.Contains(leaves, body) {
		ours = append(ours, body) // else it is what others leave out
	}
	for _, a := range m.Attachments {
		if a.Name != "text-outside-the-parts.txt" {
			ours = append(ours, opened(t, a.Open()))
		}
	}
	if len(m.Repairs) > 0 && slices.ContainsFunc(m.Repairs, func(p parts.Problem) bool {
		return !strings.Contains(p.What, "text outside")
	}) {
		return
	}
	for _, leaf := range leaves {
		i := slices.Index(ours, leaf)
		switch {
		case i >= 0:
			ours = slices.Delete(ours, i, i+1)
		case leaf != "" && !strings.Contains(strings.ToLower(text), "multipart/alternative"):
			t.Errorf("a part is missing, or changed: %q of\n%s", leaf, text)
		}
	}
	if ours = slices.DeleteFunc(ours, func(s string) bool { return s == "" }); len(ours) > 0 {
		t.Errorf("no other reader finds %q in\n%s", ours, text)
	}
}

func opened(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return plainLines(string(b))
}
