//go:build interop

package interop_test

import (
	"bufio"
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
	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
)

// lines are what messages for the readers are made of: fields, and what is almost
// one, or ends a header for some readers.
var lines = []string{
	"From: a@in.example", "To: a@in.example", "Subject: x", "Subject: x: y", "X-A:", "Date : now",
	"Content-Type: text/plain;", "References: <a@b>", "In-Reply-To: <a@b>", "Bcc: evil@out.example",
	"BCC\u00a0: evil@out.example", "Sender: a@in.example", "charset=utf-8", "charset=utf-8;",
	"delsp=no", "x=y z", "<c@d> <e@f>", "UPS on battery", "since 10:30", "Status: ok", "--b", "--b--",
	".", "From a@b", "From - ", "From now on", ">From x", "From root Mon Jan  1 00:00:00 2024", ": x",
	" fold", "\tfold", " ", "\t ", "", "", " Bcc: evil@out.example", "\u00a0fold", "\vfold", "\x0c",
	"\x1c", "\u0085", "\u2028", "\xef\xbb\xbfX: y", "caf\xe9", "Reply To: x", "10%\r20%\rdone",
	"\rTo: evil@out.example", "\r\rx",
}

var lineEnds = []string{"\r\n", "\r\n", "\r\n", "\n", "\r\r\n", "\r\r\r\n", "\r", "\x00\r\n"}

// odds are whole messages, each of a kind that was once read in two ways.
var odds = []string{
	"From notify@contoso.com\r\nFrom: a@in.example\r\n\r\nx\r\n", "\xef\xbb\xbfFrom: a@in.example\r\n\r\nx\r\n",
	"From: a@in.example\r\r\nTo: a@in.example\r\r\n\r\r\nx\r\r\n.\r\r\ny\r\n",
	"From: a@in.example\r\nSubject: x\rBcc: evil@out.example\r\revil\r\n\r\nx\r\n",
	"From: a@in.example\r\nUPS on battery\r\nsince 10:30\r\n\r\nTo: x\r\n", "From: a@in.example\r\n\r\nx\r\n\x00\r\n",
}

func made(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(20) == 0 {
		b.WriteString("\xef\xbb\xbf")
	}
	end := lineEnds[r.IntN(len(lineEnds))]
	for range 1 + r.IntN(9) {
		line := lines[r.IntN(len(lines))]
		if r.IntN(3) == 0 {
			line = lines[r.IntN(11)] // a field
		}
		b.WriteString(line)
		if r.IntN(6) == 0 {
			b.WriteString(lineEnds[r.IntN(len(lineEnds))])
		} else {
			b.WriteString(end)
		}
	}
	return b.String()
}

// piece is a message as somebody cuts it.
type piece struct {
	names []string
	body  string
}

func (p *piece) UnmarshalJSON(b []byte) error {
	var names []string
	var body []byte
	if err := json.Unmarshal(b, &[]any{&names, &body}); err != nil {
		return err
	}
	*p = piece{names, string(body)}
	return nil
}

// sameText ignores line ends at the end and between lines, which readers rewrite.
func sameText(a, b string) bool {
	plain := func(s string) string { return strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n") }
	return plain(a) == plain(b)
}

func ascii(s string) string {
	return strings.Map(func(c rune) rune {
		if c > '~' {
			return -1
		}
		return c
	}, s)
}

// TestEverybodyCutsAlike: no reader sees other fields, or another border between
// header and body, in what is handed on, than we do, whatever came in.
func TestEverybodyCutsAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	all := slices.Clone(odds)
	for range 20_000 {
		all = append(all, made(r))
	}
	var sent [][]byte
	var want []piece
	repaired := map[string]int{}
	for _, in := range all {
		out, p, notes := handedOn(t, in)
		if out == nil {
			continue
		}
		for _, note := range strings.Split(notes.String(), ",") {
			repaired[note]++
		}
		sent, want = append(sent, out), append(want, p)
	}
	t.Logf("%d of %d messages are accepted, with %v", len(sent), len(all), repaired)
	if len(sent) < 2_000 {
		t.Errorf("only %d messages were accepted", len(sent))
	}
	for _, note := range []string{"stray_cr", "final_nul", "no_empty_line", "missing_fold", "mbox_from",
		"byte_order_mark"} {
		if repaired[note] < 20 {
			t.Errorf("only %d messages needed %s", repaired[note], note)
		}
	}
	judge := func(i int, reader string, got piece) {
		if !slices.Equal(got.names, want[i].names) || !sameText(got.body, want[i].body) {
			t.Errorf("%s cuts\n%q into\n%q %q, want\n%q %q", reader, sent[i], got.names, got.body, want[i].names,
				want[i].body)
		}
	}
	for i, found := range cutBy[map[string]piece](t, foreign.Python(t)("testdata/cut.py"), sent) {
		for reader, got := range found {
			judge(i, reader, got)
		}
	}
	for i, got := range cutBy[piece](t, foreign.EmailSimple(t)("testdata/cut.pl"), sent) {
		judge(i, "Email::Simple", got)
	}
	for i, got := range cutBy[piece](t, foreign.Mailparser(t)("testdata/cut.cjs"), sent) {
		got.body = ascii(got.body) // it decodes the text
		want[i].body = ascii(want[i].body)
		judge(i, "mailparser", got)
	}
}

// handedOn is what Graph would get of a message, and how we cut it; nil if it is
// refused.
func handedOn(t *testing.T, in string) ([]byte, piece, message.Notes) {
	t.Helper()
	h, b, err := message.Read(strings.NewReader(in), message.Options{})
	if err != nil {
		return nil, piece{}, message.Notes{}
	}
	body, err := io.ReadAll(b)
	if err != nil {
		return nil, piece{}, message.Notes{}
	}
	to, err := envelope.ParseAddress("a@in.example")
	if err != nil {
		t.Fatal(err)
	}
	block, _, err := h.Apply(message.Edits{Recipients: []envelope.Address{to}, MessageID: "<x@y>"})
	if err != nil {
		t.Errorf("%q: %v", in, err)
	}
	p := piece{body: string(body)}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(block), "\r\n\r\n"), "\r\n") {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := strings.Cut(line, ":")
			p.names = append(p.names, strings.ToLower(name))
		}
	}
	out := append(block, body...)
	if text := strings.ReplaceAll(string(out), "\r\n", ""); strings.ContainsAny(text, "\r\n\x00") {
		t.Errorf("%q is handed on as %q", in, out)
	}
	return out, p, b.Notes()
}

// cutBy asks a reader about all messages at once.
func cutBy[T any](t *testing.T, cmd *exec.Cmd, messages [][]byte) (all []T) {
	t.Helper()
	var in bytes.Buffer
	for _, m := range messages {
		in.WriteString(base64.StdEncoding.EncodeToString(m) + "\n")
	}
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%s: %v: %s", cmd, err, lines.Bytes())
		}
		all = append(all, one)
	}
	if len(all) != len(messages) {
		t.Fatalf("%s: %d answers for %d messages", cmd, len(all), len(messages))
	}
	return all
}
