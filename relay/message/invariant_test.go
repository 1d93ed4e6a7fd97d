package message

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message/textproto"

	"graphrelay/relay/envelope"
)

// The promises of Apply, checked with readers that share no code with it:
// net/mail, go-message's header reader, and a naive one that takes whatever
// looks like an address.

var recipientFields = []string{"To", "Cc", "Bcc"}

var looksLikeAddress = regexp.MustCompile(`[^\s<>,;:()"@]+@[^\s<>,;:()"@]+`)

// naive knows quotes and comments just enough to look past them.
func naive(value string) []string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return looksLikeAddress.FindAllString(b.String(), -1)
}

// naiveByLine ends quotes and comments at a fold, as Python's older reader does.
func naiveByLine(value string) (all []string) {
	for line := range strings.Lines(value) {
		all = append(all, naive(line)...)
	}
	return all
}

var encodedWords = regexp.MustCompile(`(?s)=\?[^?]*\?[^?]*\?.*?\?=`)

// naiveByWord finds encoded words first, as Python's newer reader does.
func naiveByWord(value string) []string { return naive(encodedWords.ReplaceAllString(value, "x")) }

func keys(rcpts []envelope.Address) map[string]bool {
	m := make(map[string]bool)
	for _, a := range rcpts {
		m[a.Key()] = true
	}
	return m
}

func keyOf(s string) string {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		at := strings.LastIndexByte(s, '@') // net/mail takes the quotes off
		if a, err = envelope.NewAddress(s[:max(at, 0)], s[at+1:]); err != nil {
			return "unreadable " + s
		}
	}
	return a.Key()
}

// byNetMail returns what net/mail makes of the recipient fields. all is false
// if it cannot read one of them.
func byNetMail(t testing.TB, out []byte) (got map[string]bool, all bool) {
	msg, err := netmail.ReadMessage(bytes.NewReader(out))
	if err != nil {
		return nil, false
	}
	values := make(map[string][]string)
	for _, name := range recipientFields {
		values[name] = msg.Header[name]
	}
	for name := range msg.Header {
		if slices.Contains([]string{"apparently-to", "resent-to", "resent-cc", "resent-bcc"}, strings.ToLower(name)) {
			t.Errorf("field %s was left", name)
		}
	}
	return readLists(t, values)
}

func byGoMessage(t testing.TB, out []byte) (got map[string]bool, all bool) {
	h, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(out)))
	if err != nil {
		return nil, false
	}
	values := make(map[string][]string)
	for _, name := range recipientFields {
		values[name] = h.Values(name)
	}
	return readLists(t, values)
}

func readLists(t testing.TB, values map[string][]string) (got map[string]bool, all bool) {
	got, all = make(map[string]bool), true
	for name, vs := range values {
		if len(vs) > 1 {
			t.Errorf("%d fields %s", len(vs), name)
		}
		for _, v := range vs {
			if strings.TrimSpace(v) == "" {
				continue
			}
			list, err := netmail.ParseAddressList(v)
			if err != nil {
				all = false
				for _, s := range naive(v) {
					got[keyOf(s)] = true
				}
				continue
			}
			for _, a := range list {
				got[keyOf(a.Address)] = true
			}
		}
	}
	return got, all
}

// checkReaders compares the output with the envelope. A reader that cannot
// read a list must still find nobody in it who is not in the envelope.
func checkReaders(t testing.TB, out []byte, rcpts []envelope.Address) {
	t.Helper()
	want := keys(rcpts)
	for name, read := range map[string]func(testing.TB, []byte) (map[string]bool, bool){
		"net/mail": byNetMail, "go-message": byGoMessage,
	} {
		got, all := read(t, out)
		if all && !maps.Equal(got, want) {
			t.Errorf("%s reads %v, want %v in\n%s", name, got, want, out)
		}
		for k := range got {
			if !want[k] {
				t.Errorf("%s finds %q, who is not in the envelope, in\n%s", name, k, out)
			}
		}
	}
	h, _, err := Read(bytes.NewReader(out), Options{})
	if err != nil {
		t.Errorf("the output is refused when read again: %v", err)
		return
	}
	for _, f := range h.fields {
		if f.kind != kindTo && f.kind != kindCc && f.kind != kindBcc {
			continue
		}
		v := string(h.value(f))
		for _, s := range slices.Concat(naive(v), naiveByLine(v), naiveByWord(v)) {
			if !want[keyOf(s)] {
				t.Errorf("a naive reader finds %q, who is not in the envelope, in\n%s", s, out)
			}
		}
	}
}

// keptField is a field that Apply must leave alone.
type keptField struct {
	text string
	wide bool   // an author in other letters than ASCII: the domain may change its spelling,
	read string // and net/mail must find the same names and addresses,
	none bool   // unless nobody is found in it: a message with such an author is refused
}

func (u keptField) keptBy(v keptField) bool {
	return u.text == v.text || u.wide && (u.none || u.read != "" && u.read == v.read)
}

func untouchedFields(h *Header) []keptField {
	var all []keptField
	for _, f := range h.fields {
		u := keptField{text: string(h.raw[f.start:f.end])}
		switch f.kind {
		case kindOther:
			all = append(all, u)
		case kindFrom, kindSender, kindResentFrom, kindResentSender:
			_, err := h.Authors()
			u.wide, u.none = !envelope.IsASCII(h.value(f)), err != nil
			if list, err := netmail.ParseAddressList(spelled(h.value(f))); err == nil {
				u.read = string(h.name(f))
				for _, a := range list {
					u.read += fmt.Sprintf(" %q <%s>", a.Name, keyOf(a.Address))
				}
			}
			all = append(all, u)
		}
	}
	return all
}

// spelled writes each byte that is not UTF-8 in letters: net/mail reads no other.
func spelled(value []byte) string {
	var b strings.Builder
	for s := string(value); s != ""; {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "?%X", s[0])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// checkAuthors compares what policy judged with what is sent.
func checkAuthors(t testing.TB, before, after *Header) {
	t.Helper()
	a, err := before.Authors()
	if err != nil {
		return // refused before anybody applies anything
	}
	if b, err := after.Authors(); err != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("the authors were %v and are %v, %v", a, b, err)
	}
	for _, f := range after.fields {
		switch f.kind {
		case kindFrom, kindSender, kindResentFrom, kindResentSender:
			for _, s := range naive(string(after.value(f))) {
				if _, domain, _ := strings.Cut(s, "@"); !envelope.IsASCII([]byte(domain)) {
					t.Errorf("an author's domain is not in A-labels: %q", after.value(f))
				}
			}
		}
	}
}

func checkLineEnds(t testing.TB, out []byte) {
	t.Helper()
	if ref, text := reference(out, true); text != "" || !bytes.Equal(ref, out) {
		t.Errorf("output is not canonical (%s): %q", text, out)
	}
}

// checkApply runs Apply twice and checks every promise on the results.
func checkApply(t testing.TB, h *Header, e Edits) {
	t.Helper()
	out, _, err := h.Apply(e)
	if err != nil {
		t.Errorf("Apply: %v", err)
		return
	}
	checkLineEnds(t, out)
	checkReaders(t, out, e.Recipients)
	if !bytes.HasPrefix(out, []byte(e.Received)) {
		t.Errorf("Received does not come first in %q", out)
		return
	}
	out = out[len(e.Received):]
	h2, body, err := Read(bytes.NewReader(out), Options{})
	if err != nil {
		t.Errorf("own output refused: %v\n%q", err, out)
		return
	}
	if rest, _ := io.ReadAll(body); len(rest) > 0 {
		t.Errorf("the header ends early, before %q", rest)
	}
	if h2.notes != (Notes{}) {
		t.Errorf("own output is odd: %v", h2.notes)
	}
	if a, b := untouchedFields(h), untouchedFields(h2); !slices.EqualFunc(a, b, keptField.keptBy) {
		t.Errorf("fields changed that must not:\n%+v\n%+v", a, b)
	}
	checkAuthors(t, h, h2)
	e.Received = ""
	again, rep, err := h2.Apply(e)
	if err != nil || len(rep.Trimmed)+len(rep.Unreadable) > 0 {
		t.Errorf("applied again: %+v, %v, on\n%s", rep, err, out)
	}
	checkReaders(t, again, e.Recipients)
	for _, k := range []kind{kindTo, kindCc, kindBcc} {
		if a, b := fieldsOf(h2, k), fieldsOf(mustRead(t, again), k); a != b {
			t.Errorf("applied again, a recipient field changes:\n%q\n%q", a, b)
		}
	}
}

func fieldsOf(h *Header, k kind) string {
	var s string
	for _, f := range h.fields {
		if f.kind == k {
			s += string(h.raw[f.start:f.end])
		}
	}
	return s
}

func mustRead(t testing.TB, in []byte) *Header {
	t.Helper()
	h, _, err := Read(bytes.NewReader(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// candidates are the addresses that any field of the message names.
func candidates(h *Header) []envelope.Address {
	var all []envelope.Address
	seen := make(map[string]bool)
	for _, f := range h.fields {
		for _, s := range naive(string(h.value(f))) {
			a, err := envelope.ParseAddress(s)
			if err == nil && CheckRecipient(a) == nil && !seen[a.Key()] && len(all) < 400 {
				seen[a.Key()] = true
				all = append(all, a)
			}
		}
	}
	return all
}

// envelopes are the ones worth trying on a message: everybody in it, every
// other, the first, a stranger, and everybody with a stranger.
func envelopes(t testing.TB, h *Header) map[string][]envelope.Address {
	all := candidates(h)
	stranger := addrs(t, "stranger@elsewhere.example")
	m := map[string][]envelope.Address{"stranger": stranger, "all and stranger": slices.Concat(all, stranger)}
	if len(all) > 0 {
		m["all"], m["first"] = all, all[:1]
		var half []envelope.Address
		for i := 0; i < len(all); i += 2 {
			half = append(half, all[i])
		}
		m["half"] = half
	}
	return m
}

func edits(rcpts []envelope.Address) Edits {
	return Edits{
		Received: "Received: from device.contoso.example (device.contoso.example [192.0.2.7])\r\n" +
			"\tby relay.contoso.example with ESMTP id 0123456789abcdef;\r\n\tMon, 01 Mar 2027 04:05:06 +0000\r\n",
		Recipients: rcpts, Date: time.Unix(1_800_000_000, 0).UTC(),
		MessageID: "<0123456789abcdef@relay.contoso.example>",
	}
}

func corpus(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d messages in testdata, %v", len(files), err)
	}
	return files
}

// Every message of the corpus is one that a real program might send, so none
// of them may be refused.
func TestCorpusKeepsEveryPromise(t *testing.T) {
	for _, file := range corpus(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			in, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h, b, err := Read(bytes.NewReader(in), Options{})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(b)
			if err != nil {
				t.Fatal(err)
			}
			checkBodyBytes(t, in, body, h)
			for name, rcpts := range envelopes(t, h) {
				t.Run(name, func(t *testing.T) { checkApply(t, h, edits(rcpts)) })
			}
		})
	}
}

// checkBodyBytes compares with the text after the first empty line, found
// without the code under test.
func checkBodyBytes(t *testing.T, in, body []byte, h *Header) {
	t.Helper()
	canon, _ := reference(in, false)
	want := canon
	if !h.notes.NoHeader {
		if bytes.HasPrefix(canon, []byte("\r\n")) {
			want = canon[2:]
		} else if _, after, found := bytes.Cut(canon, []byte("\r\n\r\n")); found {
			want = after
		} else {
			want = nil
		}
	}
	if !bytes.Equal(body, want) {
		t.Errorf("body differs:\ngot  %.300q\nwant %.300q", body, want)
	}
}

// A signature covers the bytes of its part. They must come through a chain of
// two relays, each trimming and adding, as they went in.
func TestSignedPartsSurviveTwoRelays(t *testing.T) {
	for _, name := range []string{"smime-signed", "pgp-mime", "pgp-inline", "calendar", "winmail"} {
		in, err := os.ReadFile("testdata/" + name + ".eml")
		if err != nil {
			t.Fatal(err)
		}
		_, want, _ := bytes.Cut(in, []byte("\r\n\r\n"))
		out := in
		for i := range 2 {
			h, b, err := Read(bytes.NewReader(out), Options{RejectBareLF: true})
			if err != nil {
				t.Fatal(err)
			}
			head, _, err := h.Apply(edits(addrs(t, fmt.Sprintf("r%d@contoso.example carl@kunde.example", i))))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(b)
			if err != nil {
				t.Fatal(err)
			}
			out = append(head, body...)
		}
		if _, got, _ := bytes.Cut(out, []byte("\r\n\r\n")); !bytes.Equal(got, want) {
			t.Errorf("%s: the body changed", name)
		}
		ct := regexp.MustCompile(`(?m)^(Content-Type|MIME-Version):.*\r\n([ \t].*\r\n)*`)
		head, _, _ := bytes.Cut(out, []byte("\r\n\r\n"))
		orig, _, _ := bytes.Cut(in, []byte("\r\n\r\n"))
		if !slices.EqualFunc(ct.FindAll(head, -1), ct.FindAll(orig, -1), bytes.Equal) {
			t.Errorf("%s: the MIME fields changed", name)
		}
	}
}

// Blind recipients must appear only in the one Bcc.
func TestBlindRecipientsStayBlind(t *testing.T) {
	in := "From: a@x.example\r\nTo: t@x.example, other@x.example\r\nBcc: hidden@x.example, gone@x.example\r\n" +
		"Resent-Bcc: hidden@x.example\r\nbcc: gone@x.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n"
	h, b, err := Read(strings.NewReader(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	head, _, err := h.Apply(edits(addrs(t, "t@x.example hidden@x.example")))
	if err != nil {
		t.Fatal(err)
	}
	out := string(head) + string(body)
	if strings.Count(out, "Bcc:") != 1 || !strings.Contains(out, "\r\nBcc: hidden@x.example\r\n") {
		t.Errorf("not exactly one Bcc:\n%s", out)
	}
	visible := strings.Replace(out, "Bcc: hidden@x.example\r\n", "", 1)
	if strings.Contains(visible, "hidden@") || strings.Contains(visible, "gone@") {
		t.Errorf("a blind recipient shows:\n%s", visible)
	}
}
