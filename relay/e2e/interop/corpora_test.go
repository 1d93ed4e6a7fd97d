//go:build interop

package interop_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/e2e/shapes"
	"graphrelay/relay/sandbox"
)

// sample is a message, and what became of it on one path.
type sample struct {
	name, text string
	to         []string // the envelope; the last one is of this message alone
	notes      string   // the repairs that the log names
	got        *sandbox.Message
	mime       string // what Graph got on the MIME path
}

// samples are the files below the folder CORPORA, else the suite's own shapes.
func samples(t *testing.T) (all []*sample) {
	t.Helper()
	add := func(name, text string) {
		to := []string{"a@example.org", "hidden@example.com", fmt.Sprintf("n%d@corpus.example", len(all))}
		if m, err := mail.ReadMessage(strings.NewReader(text)); err == nil {
			list, _ := m.Header.AddressList("To")
			if len(list) > 0 && plainAddress.MatchString(list[0].Address) {
				to[0] = list[0].Address
			}
		}
		all = append(all, &sample{name: name, text: text, to: to})
	}
	dir := os.Getenv("CORPORA")
	if dir == "" {
		for _, s := range shapes.All() {
			add(s.Name, s.Message("Someone <someone@fabrikam.example>", "b@example.org, c@example.org", 0))
		}
		return all
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		add(strings.TrimPrefix(path, dir), newlines(string(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// newlines gives a file of an old Macintosh, in which each line ends in CR alone,
// the line ends of this host. They are the file's and not the message's: whatever
// submits it reads lines and writes CRLF, as for every other file here. A message
// that arrives with such line ends is refused; TestRead in message says so.
func newlines(s string) string {
	if strings.Contains(s, "\n") {
		return s
	}
	return strings.ReplaceAll(s, "\r", "\n")
}

var (
	plainAddress = regexp.MustCompile(`^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+$`)
	anyAddress   = regexp.MustCompile(`[^\s<>"(),;:?]+(\([^()]*\))?@[^\s<>"(),;:=?]+`)
	authorField  = regexp.MustCompile(`(?im)^(From|Sender|Resent-From|Resent-Sender)[ \t]*:.*(\r?\n[ \t].*)*`)
	report       = regexp.MustCompile(`(?im)^From:[^\n]*<>\r*$`)
	particular   = regexp.MustCompile(`"[^"]*"|\S*@\S*|[0-9A-Z]{8,}|: .*`)
)

// grantedAuthor puts the address that may be sent as into the fields that name authors.
func grantedAuthor(text string) string { return grantedIn(text, func(string) bool { return true }) }

func grantedIn(text string, which func(field string) bool) string {
	header, body := cutAtEmptyLine(text)
	header = authorField.ReplaceAllStringFunc(header, func(f string) string {
		if !which(f) {
			return f
		}
		return anyAddress.ReplaceAllString(f, harness.Sender)
	})
	return header + body
}

func cutAtEmptyLine(text string) (header, rest string) {
	at := emptyLine.FindStringIndex(text)
	if at == nil {
		return text, ""
	}
	return text[:at[0]], text[at[0]:]
}

var wordsOf = regexp.MustCompile(`\w+`)

var emptyLine = regexp.MustCompile(`\n\r*\n`)

// TestRealMessages drives messages that other people collected over both paths,
// each to three recipients. What a message says below its header does not change,
// no reader finds another author or recipient, and nothing is lost.
func TestRealMessages(t *testing.T) {
	asMIME := map[string]string{}
	for _, way := range []struct {
		name     string
		change   func(string) string
		settings []harness.Setting
		judge    func(*testing.T, *harness.Double, []*sample)
	}{
		{"granted", func(s string) string { return crlf(grantedAuthor(s)) }, nil, judgeMIME},
		{"rewritten", rewritable, []harness.Setting{rewrites}, judgeMIME},
		{"large", rewritable, []harness.Setting{rewrites, harness.With("delivery", "large_messages: upload")},
			judgeLarge},
	} {
		t.Run(way.name, func(t *testing.T) {
			d := harness.StartDouble(t, func(o *sandbox.Options) {
				o.Keep, o.KeepBytes, o.Granted = 1<<20, 1<<32, []string{"Mail.ReadWrite"}
				if way.name == "large" {
					o.SilentAbove = 1
				}
			})
			r := harness.StartRelay(t, d, way.settings...)
			all := samples(t)
			for _, s := range all {
				s.text, s.mime = way.change(s.text), asMIME[s.name]
			}
			way.judge(t, d, sendAll(t, d, r, all))
			for _, s := range all {
				asMIME[s.name] = s.mime
			}
		})
	}
}

// rewritable grants who resent a message: other_senders is about From and Sender.
func rewritable(s string) string {
	resent := func(field string) bool { return strings.HasPrefix(strings.ToLower(field), "resent-") }
	return crlf(grantedIn(s, resent))
}

var rewrites = harness.With("top", "clients:",
	"  - {name: device, networks: [127.0.0.0/8], other_senders: rewrite}")

// crlf leaves the ends of lines to the relay, unless a dot would end the message.
func crlf(s string) string {
	if strings.Contains(s, "\r\n") {
		return s
	}
	return strings.ReplaceAll(s, "\n", "\r\n")
}

// sendAll sends the samples and returns those that were accepted and sent; it
// prints why others were not.
func sendAll(t *testing.T, d *harness.Double, r *harness.Relay, all []*sample) (sent []*sample) {
	t.Helper()
	causes, ids, names := map[string]int{}, map[string]*sample{}, map[string][]string{}
	refused := 0
	for _, s := range all {
		c := harness.Hello(t, r.Addr)
		from := harness.Sender
		if header, _ := cutAtEmptyLine(s.text); report.MatchString(header) {
			from = "" // such a report has no sender
		}
		c.Envelope(from, s.to...)
		_ = c.Raw(harness.DotStuff(s.text))
		reply := c.Read()
		if c.Close(); reply.Code == 250 {
			words := strings.Fields(reply.String())
			for _, word := range words[2:] {
				ids[word] = s
			}
			continue
		}
		cause := particular.ReplaceAllString(reply.String(), "...")
		causes[cause]++
		names[cause] = append(names[cause], s.name+"  "+reply.String())
		refused++
	}
	harness.Holds(10*patience, func() bool { all, held := r.Backlog(); return all == held })
	for _, e := range r.Queue() {
		causes["accepted, then "+e.State+" "+particular.ReplaceAllString(e.Reason, "...")]++
	}
	byRecipient := map[string]*sandbox.Message{}
	for _, m := range d.Messages() {
		for _, to := range m.Recipients {
			byRecipient[to] = &m
		}
	}
	for line := range strings.Lines(r.Output()) {
		if !strings.Contains(line, "accepted") || !strings.Contains(line, "notes") {
			continue
		}
		for _, word := range wordsOf.FindAllString(line, -1) {
			if s := ids[word]; s != nil {
				s.notes = line[strings.Index(line, "notes"):]
			}
		}
	}
	for _, s := range all {
		if s.got = byRecipient[s.to[2]]; s.got != nil {
			sent = append(sent, s)
		}
	}
	t.Logf("%d samples, %d refused (%.1f %%), %d sent", len(all), refused, 100*float64(refused)/float64(len(all)),
		len(sent))
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		t.Logf("%5d  %s", causes[cause], cause)
		for _, name := range names[cause] {
			t.Logf("           %s", name)
		}
	}
	if os.Getenv("CORPORA") == "" && refused > 0 {
		t.Error("a shape was refused")
	}
	if len(sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return sent
}

// judgeMIME holds what Graph got as MIME against what was sent.
func judgeMIME(t *testing.T, d *harness.Double, sent []*sample) {
	changed, swallowed := 0, 0
	var headers [][]byte
	for _, s := range sent {
		raw, err := d.Raw(s.got.ID)
		if err != nil || s.got.Form != "mime" {
			t.Fatalf("%s: %s, %v", s.name, s.got.Form, err)
		}
		s.mime = string(raw)
		header, body, _ := strings.Cut(s.mime, "\r\n\r\n")
		headers = append(headers, []byte(header+"\r\n\r\n"))
		if body == "" && strings.Contains(s.notes, "stray_cr") {
			swallowed++
		}
		if !s.keeps(body) {
			changed++
			t.Errorf("%s: changed below the header (%s):\n%.300q", s.name, s.notes, raw)
		}
		if want := harness.Folded(s.to); !slices.Equal(harness.Folded(s.got.Recipients), want) {
			t.Errorf("%s: goes to %q, the envelope says %q", s.name, s.got.Recipients, want)
		}
		s.judgeAddresses(t, "net/mail", map[string][]string{"From": s.got.FromAddresses, "To": s.got.Strict})
	}
	for _, program := range []*exec.Cmd{foreign.Python(t)("testdata/readers.py"),
		foreign.Perl(t)("testdata/readers.pl"), foreign.Mailparser(t)("testdata/readers.cjs")} {
		wrong := 0
		for i, found := range readBy(t, program, headers) {
			wrong += sent[i].judgeAddresses(t, program.Args[len(program.Args)-1], found)
		}
		t.Logf("%s finds %d other authors and recipients", program.Args[len(program.Args)-1], wrong)
	}
	t.Logf("%d of %d changed below the header; in %d all lines end in CR, so that all is header", changed, len(sent),
		swallowed)
}

// keeps reports whether body is what s says below its header, but for repairs
// that the log names.
func (s *sample) keeps(body string) bool {
	text := strings.TrimSuffix(harness.DotStuff(s.text), ".\r\n")
	text = strings.ReplaceAll("\r\n"+text, "\r\n..", "\r\n.")[2:]
	for _, repair := range []struct{ note, from, to string }{
		{"stray_cr", "\r+\n", "\r\n"}, {"bare_lf", "\r?\n", "\r\n"}, {"final_nul", "\x00([\r\n\x00]*)$", "$1"},
		{"final_nul", "\x00", ""},
	} {
		if strings.Contains(s.notes, repair.note) {
			text = regexp.MustCompile(repair.from).ReplaceAllString(text, repair.to)
		}
	}
	_, want, _ := strings.Cut("\r\n"+text, "\r\n\r\n")
	for _, note := range []string{"no_empty_line", "no_header", "blank_fold"} {
		if strings.Contains(s.notes, note) { // its border is elsewhere
			want = text[max(0, len(text)-len(body)):]
			if body == "" && !strings.HasSuffix(text, "\r\n\r\n") {
				return false
			}
		}
	}
	if strings.Contains(s.notes, "stray_cr") {
		// It is a blank in the header: where all lines end in CR, all is header.
		want = strings.ReplaceAll(strings.ReplaceAll(want, "\r\n", "\n"), "\r", "\n")
		body = strings.ReplaceAll(body, "\r\n", "\n")
	}
	return body == want
}

// judgeAddresses fails the test for each address that a reader finds and that is
// neither the author's nor a recipient's, and counts them.
func (s *sample) judgeAddresses(t *testing.T, reader string, found map[string][]string) (wrong int) {
	t.Helper()
	for name, list := range found {
		may := harness.Folded(s.to)
		if name == "From" || name == "Sender" {
			may = []string{harness.Sender}
		}
		for _, a := range list {
			if group, member, ok := strings.Cut(a, ":"); ok && !strings.Contains(group, "@") {
				a = member // Mail::Address does not know groups
			}
			if !strings.Contains(a, "@") || slices.Contains(may, harness.Folded([]string{a})[0]) {
				continue
			}
			wrong++
			t.Errorf("%s: %s finds %q in %s, allowed are %q", s.name, reader, a, name, may)
		}
	}
	return wrong
}

// leafKind is what kinds.py says of a leaf.
type leafKind struct {
	Form bool
	Text string
}

// judgeLarge holds what arrived in parts against what readers find in the samples.
func judgeLarge(t *testing.T, d *harness.Double, sent []*sample) {
	var texts []string
	for _, s := range sent {
		texts = append(texts, cmp.Or(s.mime, s.text))
		if want := harness.Folded(s.to); !slices.Equal(harness.Folded(s.got.Recipients), want) {
			t.Errorf("%s: goes to %q, the envelope says %q", s.name, s.got.Recipients, want)
		}
		s.judgeAddresses(t, "Graph", map[string][]string{"From": s.got.FromAddresses, "Sender": {s.got.Sender}})
	}
	python := judged[[][]string](t, foreign.Python(t)("testdata/leaves.py"), texts)
	kinds := judged[[]leafKind](t, foreign.Python(t)("testdata/kinds.py"), texts)
	perl := judged[[]string](t, foreign.MIMETools(t)("testdata/leaves.pl"), texts)
	library := judged[[]string](t, foreign.GoProgram(t, "testdata/gomessage/main.go.txt",
		"github.com/emersion/go-message@v0.18.2")(), texts)
	node := judged[*mailparsed](t, foreign.Mailparser(t)("testdata/leaves.cjs"), texts)
	agreed, lost, originals, differ := 0, 0, 0, 0
	for i, s := range sent {
		leaves, ok := commonLeaves(t, append(python[i], perl[i], library[i]))
		ok = ok && node[i] != nil && node[i].finds(t, leaves)
		if slices.ContainsFunc(s.got.Attachments, func(a sandbox.Attachment) bool {
			return a.Name == "original-message.eml"
		}) {
			originals++
			if ok {
				t.Logf("%s: the original is attached, though all readers agree", s.name)
			}
			continue
		}
		if ok {
			agreed++
		} else if python[i][0] != nil {
			leaves = decodedLeaves(t, python[i][0])
		}
		for _, leaf := range s.lost(t, d, leaves, kinds[i]) {
			if ok {
				lost++
				t.Errorf("%s: lost %.200q", s.name, leaf)
			} else {
				differ++
				t.Logf("%s: only some readers find %.200q", s.name, leaf)
			}
		}
	}
	t.Logf("%d messages in parts; the readers agree about %d, of which %d texts and files are lost; of those that "+
		"only some readers find %d are not found; %d arrived with the original", len(sent), agreed, lost, differ,
		originals)
}

// lost are the leaves that did not arrive; of several forms of a text one is enough.
func (s *sample) lost(t *testing.T, d *harness.Double, leaves []string, kinds []leafKind) (lost []string) {
	t.Helper()
	raw, err := d.Raw(s.got.ID)
	if err != nil || s.got.Form != "draft" {
		t.Fatalf("%s: %s, %v", s.name, s.got.Form, err)
	}
	var m struct{ Body struct{ Content string } }
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	arrived := letters(m.Body.Content)
	var files []string
	for i := range s.got.Attachments {
		b, err := d.AttachmentBytes(s.got.ID, i)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, plainLines(string(b)))
		arrived += "|" + letters(string(b))
	}
	placed := func(leaf, text string) bool {
		return slices.Contains(files, leaf) || letters(leaf) != "" && strings.Contains(arrived, letters(leaf)) ||
			letters(text) != "" && strings.Contains(arrived, letters(text)) ||
			letters(leaf) == "" && strings.Contains(m.Body.Content, strings.TrimSpace(leaf))
	}
	oneForm, forms := false, []string(nil)
	for i, leaf := range leaves {
		var kind leafKind
		if len(kinds) == len(leaves) {
			kind = kinds[i]
		}
		switch there := leaf == "" || placed(leaf, kind.Text); {
		case kind.Form:
			oneForm = oneForm || there
			forms = append(forms, leaf)
		case !there:
			lost = append(lost, leaf)
		}
	}
	if !oneForm {
		lost = append(lost, forms...)
	}
	return lost
}

// letters are the letters and digits of a text.
func letters(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
}
