package parts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/shapes"
)

// Nothing of a message is lost: each byte of its content is in the text, in a
// file, in another form of the text, or the original is attached.
func TestNothingIsLost(t *testing.T) {
	var samples []string
	for _, s := range shapes.All() {
		samples = append(samples, s.Message("a@example.org", "b@example.org", 0))
	}
	for _, file := range corpus(t) {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if stored, ok := canonical(in); ok {
			samples = append(samples, string(stored))
		}
	}
	r := rand.New(rand.NewPCG(11, 1))
	whole, attached := len(samples), 0
	for i := range 6000 {
		s := shapes.Random(r)
		if i%3 > 0 {
			s = s.Damaged(r)
		}
		samples = append(samples, s.Message("a@example.org", "b@example.org", 0))
	}
	for _, s := range shapes.All() {
		for range 10 {
			samples = append(samples, s.Damaged(r).Message("a@example.org", "b@example.org", 0))
		}
	}
	for i, text := range samples {
		lost, original, err := checkAll(t, text)
		if err != nil && !errors.Is(err, ErrSealed) {
			t.Errorf("%v in\n%s", err, text)
		}
		if lost != "" && !original {
			t.Errorf("lost %q of\n%s", lost, text)
		}
		if original {
			attached++
		}
		if i >= whole && i < whole+6000 && (i-whole)%3 == 0 && original {
			t.Errorf("the original is attached to a sound message\n%s", text)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("the original is attached to %d of %d messages", attached, len(samples))
}

// checkAll takes a message apart and looks for what is lost: a line that no part
// covers, or a word.
func checkAll(t *testing.T, text string) (lost string, original bool, err error) {
	t.Helper()
	s, err := read(strings.NewReader(text), int64(len(text)))
	if err != nil {
		return "", false, err
	}
	var shown strings.Builder
	shown.WriteString(showParts(t, s.m))
	covered := append(slices.Clone(s.others), s.left...)
	if s.text != nil {
		covered = append(covered, s.text)
	}
	for _, n := range s.left { // the manual names them as lost
		b, err := io.ReadAll(&span{r: s.r, at: n.start, end: n.end})
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b)
	}
	for _, w := range shapes.Words(text[s.root.start:]) {
		if !strings.Contains(shown.String(), w) && lost == "" && !inHeader(text, w, covered) {
			lost = w
		}
	}
	slices.SortFunc(covered, func(a, b *node) int { return cmp.Compare(a.start, b.start) })
	at := s.root.start
	for _, n := range covered {
		if n.start < at {
			return fmt.Sprintf("%d to %d twice", n.start, at), false, nil
		}
		lost = cmp.Or(lost, uncovered(text[at:n.start]))
		at = n.end
	}
	return cmp.Or(lost, uncovered(text[at:])), len(s.m.Unplaced) > 0, nil
}

// inHeader reports whether a word is in the header of a part, where no text is.
func inHeader(text, w string, covered []*node) bool {
	at := int64(strings.LastIndex(text, w))
	return !slices.ContainsFunc(covered, func(n *node) bool { return n.start <= at && at < n.end }) &&
		strings.Contains(text[:at], "\r\nContent-")
}

// uncovered finds a line that belongs to no part, and is neither a delimiter, nor
// in the header of a part, nor a notice for readers without MIME.
func uncovered(between string) string {
	header, after := false, false
	var notice []byte
	for line := range strings.Lines(between) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "--"):
			if !isNotice(notice) {
				return string(notice)
			}
			header, after, notice = !strings.HasSuffix(trimmed, "--"), true, nil
			continue
		case after && strings.HasPrefix(line, "Content-"): // a boundary may end in hyphens
			header = true
		case trimmed == "":
			header = false
		case !header:
			notice = append(append(notice, trimmed...), ' ')
		}
		after = false
	}
	if !isNotice(notice) {
		return string(notice)
	}
	return ""
}

// byByte hands out one byte at a time.
type byByte struct{ *strings.Reader }

func (b byByte) Read(p []byte) (int, error) { return b.Reader.Read(p[:min(len(p), 1)]) }

// Whatever is skipped because it is in the buffer already, a message is read as if
// it came byte by byte.
func TestPartsAreTheSameHoweverTheyArrive(t *testing.T) {
	lines := []string{"--B\r\n", "--B--\r\n", "--C\r\n", " --B\r\n", "--\r\n", "\r\n", "a\r\n", " \r\n", "x", "\n",
		"\r", "- -\r\n", strings.Repeat("y", maxNotice) + "\r\n", "Content-Type: text/plain\r\n\r\n",
		"Content-Type: multipart/mixed; boundary=B\r\n\r\n", "Content-Type: multipart/mixed; boundary=C\r\n\r\n",
		"Content-Transfer-Encoding: base64\r\n\r\n", "YWJj", "=", "Content-Transfer-Encoding: quoted-printable\r\n\r\n"}
	describe := func(r io.ReadSeeker, size int) string {
		m, err := Read(t.Context(), r, int64(size))
		if err != nil {
			return err.Error()
		}
		return showParts(t, m) + fmt.Sprint(m.Repairs, m.Unplaced)
	}
	r := rand.New(rand.NewPCG(12, 1))
	for i := range 2_000 {
		in := shapes.Random(r).Damaged(r).Message("a@example.org", "b@example.org", 0)
		if i%2 > 0 {
			in = lines[len(lines)-1-r.IntN(7)]
			for range r.IntN(25) {
				in += lines[r.IntN(len(lines))]
			}
		}
		whole := describe(strings.NewReader(in), len(in))
		if got := describe(byByte{strings.NewReader(in)}, len(in)); got != whole {
			t.Fatalf("%q is\n%s\nand byte by byte\n%s", in, whole, got)
		}
	}
}
