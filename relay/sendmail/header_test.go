package sendmail

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

var account = Account{User: "alice", FullName: "Alice", Host: "web01.example.org"}

// out is what goes over the wire, without the dots.
func out(t *testing.T, text string) string {
	t.Helper()
	m := read(t, text, true)
	h, err := m.Header()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := m.Letter(h, account.Address(), nil, "Alice", account.Address()).write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, text string, keepDots bool) *Message {
	t.Helper()
	m, err := Read(strings.NewReader(text), keepDots, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

const made = "From: Alice <alice@web01.example.org>\r\n"

func TestWhatGoesOut(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":                {"From: a@b\nSubject: x\n\nhi\n", "From: a@b\r\nSubject: x\r\n\r\nhi\r\n"},
		"CRLF":                 {"From: a@b\r\n\r\nhi\r\n", "From: a@b\r\n\r\nhi\r\n"},
		"doubled CR":           {"From: a@b\r\r\n\r\r\nhi\r\r\n", "From: a@b\r\n\r\nhi\r\n"},
		"no line end":          {"From: a@b\n\nhi", "From: a@b\r\n\r\nhi\r\n"},
		"progress bar":         {"From: a@b\n\n10%\r20%\r\n", "From: a@b\r\n\r\n10%\r\n20%\r\n"},
		"CR at the end":        {"From: a@b\n\nx\r", "From: a@b\r\n\r\nx\r\n"},
		"NUL at the end":       {"From: a@b\n\nx\x00\n", "From: a@b\r\n\r\nx\r\n"},
		"dots":                 {"From: a@b\n\n.\n..\nx.\r.y\n", "From: a@b\r\n\r\n..\r\n...\r\nx.\r\n..y\r\n"},
		"8 bit":                {"From: a@b\n\ngr\xfc\xc3\xbc\n", "From: a@b\r\n\r\ngr\xfc\xc3\xbc\r\n"},
		"no From":              {"Subject: x\n\nhi\n", made + "Subject: x\r\n\r\nhi\r\n"},
		"no header":            {"disk full\n", made + "\r\ndisk full\r\n"},
		"a folded text":        {" indented\n", made + "\r\n indented\r\n"},
		"empty":                {"", made + "\r\n"},
		"only a header":        {"Subject: x\n", made + "Subject: x\r\n\r\n"},
		"blank before a colon": {"From : a@b\n\n", "From: a@b\r\n\r\n"},
		"Bcc": {"From: a@b\nBcc: x@y,\n z@y\nbcc : q@y\nRESENT-BCC: r@y\nX: 1\n\nBcc: text\n",
			"From: a@b\r\nX: 1\r\n\r\nBcc: text\r\n"},
		"mbox":                  {"From root Mon Nov 22 09:18:19 2026\nFrom: a@b\n\nhi\n", "From: a@b\r\n\r\nhi\r\n"},
		"quoted mbox":           {">From root Mon Nov 22 09:18:19 2026\nFrom: a@b\n\nhi\n", "From: a@b\r\n\r\nhi\r\n"},
		"mbox without a date":   {"From root@web01\nFrom: a@b\n\nhi\n", "From: a@b\r\n\r\nhi\r\n"},
		"a text that says From": {"From now on\nno Bcc\n", made + "\r\nFrom now on\r\nno Bcc\r\n"},
		"a line that is no field ends the header": {"From: a@b\nnonsense\n\nBcc: x@y\n",
			"From: a@b\r\n\r\nnonsense\r\n\r\nBcc: x@y\r\n"},
		"a fold without a blank": {"From: a@b\nContent-Type: text/plain;\ncharset=utf-8\n\n",
			"From: a@b\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n\r\n"},
		"a fold that looks empty": {"From: a@b\n \t\nSubject: x\n\n",
			"From: a@b\r\nSubject: x\r\n\r\n"},
		"no field by a bare CR": {"From: a@b\nSubject: x\rBcc: evil@y\n\n",
			"From: a@b\r\nSubject: x Bcc: evil@y\r\n\r\n"},
	} {
		if got := out(t, c.in); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", name, c.in, got, c.want)
		}
	}
}

// What the relay would refuse is refused with its words before it is called.
func TestWhatIsRefused(t *testing.T) {
	const noColon = "Header line 2 has no colon"
	for in, want := range map[string]string{
		"From: a@b\n\nx\x00y\n":             "Message contains a NUL character",
		"From: a@b\nSub\x00ject: x\n\n":     "Message contains a NUL character",
		"From: a@b\n\x00\nBcc: x@y\n":       "Message contains a NUL character",
		"From: a@b\nnonsense\nBcc: x@y\n":   noColon,
		"From: a@b\nx\ny z\nTo : a@b\n\n\n": noColon,
		"From now on\nBcc: x@y\n": "Message begins with a line From that is neither header field nor mbox " +
			"separator",
	} {
		_, err := read(t, in, true).Header()
		var e *reply.Error
		if !errors.As(err, &e) || e.Text != want || ExitCode(err) != ExitData {
			t.Errorf("%q: %v (exit code %d), want %q", in, err, ExitCode(err), want)
		}
	}
}

func TestRecipientsOfTheHeader(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"To: a@x\nCc: b@x\nBcc: c@x\nTo: d@x", "a@x d@x b@x c@x"},
		{"to : a@x,\n b@x", "a@x b@x"},
		{"Apparently-To: root", "root"},
		{"To: a@x\nResent-To: r@x\nResent-Bcc: s@x\nBcc: b@x", "r@x s@x"},
		{"To: a@x\nResent-From: r@x", "a@x"},
		{"Subject: To: a@x\nX-To: b@x", ""},
		{"To: a@x\n\nCc: b@x", "a@x"},
		{"To: a@x\nno field\n\nCc: b@x", "a@x"},
	} {
		h, err := read(t, c.header+"\n", true).Header()
		if err != nil {
			t.Fatal(err)
		}
		var l List
		h.AddRecipients(&l)
		if got := join(l.Good); got != c.want {
			t.Errorf("%q: %q, want %q", c.header, got, c.want)
		}
	}
}

func TestHeaderIsBounded(t *testing.T) {
	const maxHeader = 1 << 20
	for name, c := range map[string]struct {
		text string
		err  error
	}{
		"many fields":         {strings.Repeat("X: y\n", maxHeader/5+1), ErrHeaderTooLarge},
		"one long field":      {"X: " + strings.Repeat("y", maxHeader), ErrHeaderTooLarge},
		"cut within a name":   {strings.Repeat("X: y\n", maxHeader/5) + "To: a@x\n\n", ErrHeaderTooLarge},
		"a long text":         {strings.Repeat("y", 2*maxHeader), nil},
		"a large body":        {"X: y\n\n" + strings.Repeat("y\n", maxHeader), nil},
		"as large as allowed": {"X: y\r\n" + strings.Repeat("    yy\r\n", maxHeader/8-1) + "\n", nil},
	} {
		if _, err := read(t, c.text, true).Header(); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

func TestAuthor(t *testing.T) {
	a := account.Address()
	for name, want := range map[string]string{
		"":                           "alice@web01.example.org",
		"Cron Daemon":                "Cron Daemon <alice@web01.example.org>",
		"Doe, Jo":                    `"Doe, Jo" <alice@web01.example.org>`,
		`a"b\c`:                      `"a\"b\\c" <alice@web01.example.org>`,
		"x\r\nBcc: evil@example.org": `"x Bcc: evil@example.org" <alice@web01.example.org>`,
		"x\nb\x00c\x1b\u202e":        "x bc <alice@web01.example.org>",
		"Jörg":                       "=?utf-8?b?SsO2cmc=?= <alice@web01.example.org>",
		"J\xff":                      "J <alice@web01.example.org>",
		" \t ":                       "alice@web01.example.org",
	} {
		if got := author(name, a); got != want {
			t.Errorf("author(%q) = %q, want %q", name, got, want)
		}
	}
	if long := author(strings.Repeat("ö ", 4000), a); len(long) > 900 || strings.Contains(long, "\n") {
		t.Errorf("a name of 12 KB makes a field of %d octets", len(long))
	}
}

func TestSender(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "<>": "", " <> ": "",
		"root": "root@web01.example.org", "a@example.org": "a@example.org", "Jo <a@example.org>": "a@example.org",
	} {
		if got, err := account.Sender(in); err != nil || got.String() != want {
			t.Errorf("Sender(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"a@b, c@d", "a b", "a@b\r\nRCPT TO:<x@y>", "a@b> SIZE=1", "Jo <>", "a@@b"} {
		if got, err := account.Sender(in); ExitCode(err) != ExitUsage {
			t.Errorf("Sender(%q) = %q, %v; want a usage error", in, got, err)
		}
	}
}

func TestAccountAddress(t *testing.T) {
	for _, c := range []struct{ user, host, want string }{
		{"www-data", "Web01", "www-data@web01"},
		{"root", "", "root@localhost"},
		{"root", "no host", "root@localhost"},
		{"root", "web.example.org.", "root@web.example.org"},
		{`DOMAIN\jo doe`, "web", `"DOMAIN\\jo doe"@web`},
		{"a\r\nb", "web", "nobody@web"},
		{"", "web", "nobody@web"},
	} {
		if got := (Account{User: c.user, Host: c.host}).Address(); got.String() != c.want {
			t.Errorf("%q at %q: %q, want %q", c.user, c.host, got, c.want)
		}
	}
}

// Whatever comes in: what goes out has one reading. It has CRLF line ends only,
// no octet that the relay refuses, a header of fields, no blind recipient.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{"To: a@b\n\nx", "x", "\n", "A: b\r c\nBcc: x\n y\n", "From x Mon Nov 1\n>From: y\n",
		".\n", "a:\x00\n\x00\r\r\n.", " x\nTo: b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Read(bytes.NewReader(in), true, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		h, err := m.Header()
		if ExitCode(err) == ExitData {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var l List
		h.AddRecipients(&l)
		var b bytes.Buffer
		letter := m.Letter(h, envelope.Address{}, l.Good, "", account.Address())
		n, err := letter.write(&b)
		if err != nil {
			t.Fatal(err)
		}
		checkWire(t, in, b.String(), n)
		if !h.Has("from") && !strings.HasPrefix(b.String(), "From: alice@") {
			t.Fatalf("%q has no From", in)
		}
	})
}

func checkWire(t *testing.T, in []byte, text string, n int64) {
	t.Helper()
	lines := strings.Split(text, "\r\n")
	if lines[len(lines)-1] != "" || strings.ContainsAny(strings.Join(lines, ""), "\r\n\x00") {
		t.Fatalf("%q becomes %q", in, text)
	}
	inHeader, dots := true, 0
	for i, line := range lines[:len(lines)-1] {
		if strings.HasPrefix(line, ".") {
			dots++
			if !strings.HasPrefix(line, "..") {
				t.Fatalf("%q: dot not doubled in %q", in, text)
			}
		}
		inHeader = inHeader && line != ""
		if !inHeader {
			continue
		}
		name, _, colon := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		fold := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		switch {
		case fold && (i == 0 || strings.Trim(line, " \t") == ""):
			t.Fatalf("%q: odd fold in %q", in, text)
		case !fold && (!colon || name == ""):
			t.Fatalf("%q: line %q is no field", in, line)
		case !fold && (strings.EqualFold(name, "Bcc") || strings.EqualFold(name, "Resent-Bcc")):
			t.Fatalf("%q: a blind recipient leaves in %q", in, text)
		}
	}
	if int64(len(text)-dots) != n {
		t.Fatalf("%q: SIZE %d, is %d", in, n, len(text)-dots)
	}
}
