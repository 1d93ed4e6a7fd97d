package message

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"graphrelay/relay/reply"
)

// readAll reads a whole message and returns its header and body.
func readAll(t *testing.T, in string, o Options) (*Header, string, Notes, error) {
	t.Helper()
	h, b, err := Read(strings.NewReader(in), o)
	if err != nil {
		return nil, "", Notes{}, err
	}
	body, err := io.ReadAll(b)
	return h, string(body), b.Notes(), err
}

func TestReadGivesOneReading(t *testing.T) {
	for _, c := range []struct{ name, in, header, body, notes string }{
		{"plain", "From: a@b.example\r\nSubject: x\r\n\r\nhi\r\n", "From: a@b.example\r\nSubject: x\r\n", "hi\r\n", ""},
		{"no blank after the colon", "To:a@b.example\r\n\r\nhi\r\n", "To:a@b.example\r\n", "hi\r\n", ""},
		{"empty values", "To:\r\nSubject: \r\n\r\n", "To:\r\nSubject: \r\n", "", ""},
		{"folded", "Subject: a\r\n b\r\n\tc\r\n\r\nhi\r\n", "Subject: a\r\n b\r\n\tc\r\n", "hi\r\n", ""},
		{"folded at once", "To:\r\n a@b.example\r\n\r\n", "To:\r\n a@b.example\r\n", "", ""},
		{"end after the header", "Subject: x\r\n", "Subject: x\r\n", "", ""},
		{"end within the header", "Subject: x", "Subject: x\r\n", "", ""},
		{"empty line only", "\r\n", "", "", ""},
		{"nothing", "", "", "", ""},
		{"body after an empty line", "\r\nFrom: x\r\n", "", "From: x\r\n", ""},
		{"body at once", "Battery low\r\nTo: x\r\n\r\n!\r\n", "", "Battery low\r\nTo: x\r\n\r\n!\r\n", "no_header"},
		{"body at once, with a clock", "Alarm at 12:30:00\r\n", "", "Alarm at 12:30:00\r\n", "no_header"},
		{"body at once, with 8-bit", "Temp\xe9rature: 40\r\n", "", "Temp\xe9rature: 40\r\n", "no_header"},
		{"body at once, unended", "Battery low", "", "Battery low", "no_header"},
		{"body that begins with From", "From now on battery\r\n", "", "From now on battery\r\n", "no_header"},
		{"mbox line", "From a@b Mon Jan  1 00:00:00 2024\r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "", "mbox_from"},
		{"quoted mbox line", ">From a@b Mon Jan  1 00:00:00 2024\r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "", "mbox_from"},
		{"mbox line, then text", "From a@b Mon Jan  1 00:00:00 2024\r\ntext\r\n", "", "text\r\n",
			"no_header,mbox_from"},
		{"blank before the colon", "Bcc : a@b\r\nTo\t \t: c@d\r\n\r\n", "Bcc: a@b\r\nTo: c@d\r\n", "", "space_colon"},
		{"From with a blank before the colon", "From : a@b\r\n\r\n", "From: a@b\r\n", "", "space_colon"},
		{"blank fold", "Subject: a\r\n \t\r\n b\r\nTo: c@d\r\n \r\n\r\nhi\r\n", "Subject: a\r\n b\r\nTo: c@d\r\n",
			"hi\r\n", "blank_fold"},
		{"fold of form feeds", "Subject: a\r\n \v\f\r\nTo: c@d\r\n\r\n", "Subject: a\r\nTo: c@d\r\n", "", "blank_fold"},
		{"bare LF", "From: a@b\nTo: c@d\n\nhi\n\n.\n", "From: a@b\r\nTo: c@d\r\n", "hi\r\n\r\n.\r\n", "bare_lf"},
		{"mixed line ends", "From: a@b\r\nTo: c@d\n\r\nx\n.\r\ny\r\n", "From: a@b\r\nTo: c@d\r\n", "x\r\n.\r\ny\r\n",
			"bare_lf"},
		{"bare LF in the body alone", "From: a@b\r\n\r\nx\ny\r\n", "From: a@b\r\n", "x\r\ny\r\n", "bare_lf"},
		{"8-bit values", "Subject: \xe4\xf6\r\n\r\n\xff\xfe\r\n", "Subject: \xe4\xf6\r\n", "\xff\xfe\r\n", ""},
		{"body without a line end", "To: a@b\r\n\r\nhi", "To: a@b\r\n", "hi", ""},
		{"fields like those below", "To: a@b\r\n\r\nBcc: c@d\r\nFrom: x\r\nFrom: y\r\n", "To: a@b\r\n",
			"Bcc: c@d\r\nFrom: x\r\nFrom: y\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, body, notes, err := readAll(t, c.in, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if string(h.raw) != c.header || body != c.body || notes.String() != c.notes {
				t.Errorf("header %q\nbody %q\nnotes %q", h.raw, body, notes)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const lf = "Message contains a LF without CR"
	for _, c := range []struct{ name, in, text string }{
		{"line without colon", "To: a@b\r\nnonsense\r\n\r\n", "Header line 2 has no colon"},
		{"boundary in the header", "To: a@b\r\n--x\r\n\r\n", "Header line 2 has no colon"},
		{"mbox line below", "To: a@b\r\nFrom c@d Mon Jan  1 00:00:00 2024\r\n\r\n",
			"Header line 2 has a blank in the field name"},
		{"blank in the name", "To: a@b\r\nReply To: c@d\r\n\r\n", "Header line 2 has a blank in the field name"},
		{"no name", "To: a@b\r\n: c@d\r\n\r\n", "Header line 2 has no field name"},
		{"look-alike name", "To: a@b\r\nBcc\xa0: c@d\r\n\r\n", "Header line 2 has a field name that is not printable " +
			"ASCII"},
		{"non-breaking space in the name", "To: a@b\r\nBcc\u00a0: c@d\r\n\r\n",
			"Header line 2 has a field name that is not printable ASCII"},
		{"control in the name", "To: a@b\r\nB\x01cc: c@d\r\n\r\n",
			"Header line 2 has a field name that is not printable ASCII"},
		{"vertical tab as fold", "To: a@b\r\n\vBcc: c@d\r\n\r\n",
			"Header line 2 has a field name that is not printable ASCII"},
		{"continuation first", " From: a@b\r\n\r\n", "Message header begins with a continuation line"},
		{"blank line of blanks first", " \r\nFrom: a@b\r\n\r\n", "Message header begins with a continuation line"},
		{"two From", "From: a@b\r\nTo: c@d\r\nFROM: e@f\r\n\r\n", "Message has more than one From field"},
		{"two From, one disguised", "From: a@b\r\nFrom : e@f\r\n\r\n", "Message has more than one From field"},
		{"two Sender", "Sender: a@b\r\nsender:\r\n\r\n", "Message has more than one Sender field"},
		{"bare CR in the header", "Subject: a\rb\r\n\r\n", "Message contains a CR without LF"},
		{"CR CR LF in the header", "Subject: a\r\r\n\r\n", "Message contains a CR without LF"},
		{"CR CR LF as the empty line", "Subject: a\r\n\r\r\n\r\n", "Message contains a CR without LF"},
		{"CR at the end of the header", "Subject: a\r", "Message contains a CR without LF"},
		{"NUL in the header", "Subject: a\x00b\r\n\r\n", "Message contains a NUL character"},
		{"bare CR in the body", "To: a@b\r\n\r\na\rb\r\n", "Message contains a CR without LF"},
		{"CR at the end", "To: a@b\r\n\r\na\r", "Message contains a CR without LF"},
		{"CR first in the body", "To: a@b\r\n\r\n\ra", "Message contains a CR without LF"},
		{"dot CR CR LF", "To: a@b\r\n\r\na\r\n.\r\r\nMAIL FROM:<x@y>\r\n", "Message contains a CR without LF"},
		{"CR dot CR", "To: a@b\r\n\r\na\r.\rb\r\n", "Message contains a CR without LF"},
		{"LF dot CR", "To: a@b\r\n\r\na\n.\rb\r\n", "Message contains a CR without LF"},
		{"NUL before a dot", "To: a@b\r\n\r\na\r\n\x00.\r\n", "Message contains a NUL character"},
		{"reject: header", "To: a@b\n\r\n", lf},
		{"reject: empty line", "To: a@b\r\n\nx\r\n", lf},
		{"reject: body", "To: a@b\r\n\r\na\n.\r\nb\r\n", lf},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, _, err := readAll(t, c.in, Options{RejectBareLF: c.text == lf})
			var e *reply.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want a refusal", err)
			}
			if e.Code != 550 || e.Enhanced.String() != "5.6.0" || e.Text != c.text {
				t.Errorf("refused with %v, want %q", e, c.text)
			}
		})
	}
}

// endless yields header fields forever and counts the bytes that were read.
type endless struct {
	line string
	took int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e.line) <= len(p) {
		n += copy(p[n:], e.line)
	}
	e.took += n
	return n, nil
}

func TestReadRefusesLargeHeadersEarly(t *testing.T) {
	for _, c := range []struct {
		line string
		max  int
	}{
		{"X-Filler: " + strings.Repeat("x", 100) + "\r\n", 1 << 20},
		{"x", 1 << 20},
		{"a:\r\n", 1 << 20},
		{"X-Filler: y\r\n", 2000},
		{"x", 2000},
	} {
		src := &endless{line: c.line}
		_, _, err := Read(io.MultiReader(strings.NewReader("To: a@b\r\nX: "), src), Options{MaxHeader: c.max})
		var e *reply.Error
		if !errors.As(err, &e) || e.Code != 552 || e.Enhanced.String() != "5.3.4" {
			t.Errorf("%.10q: error %v, want 552 5.3.4", c.line, err)
		}
		if c.line == "a:\r\n" {
			c.max = maxFields * len(c.line)
		}
		if src.took > c.max+2*chunkSize {
			t.Errorf("%.10q: %d bytes were read before a header limit of %d", c.line, src.took, c.max)
		}
	}
}

func TestReadAcceptsAHeaderOfExactlyTheLimit(t *testing.T) {
	in := "Subject: " + strings.Repeat("x", 89) + "\r\n"
	if _, _, err := Read(strings.NewReader(in+"\r\nbody"), Options{MaxHeader: 102}); err != nil {
		t.Error(err)
	}
	if _, _, err := Read(strings.NewReader(in+"\r\nbody"), Options{MaxHeader: 101}); err == nil {
		t.Error("one byte more must be refused")
	}
}

func TestReaderErrorsComeUnchanged(t *testing.T) {
	broken := errors.New("connection lost")
	for _, in := range []string{"", "From: a@b", "From: a@b\r\n", "From: a@b\r\n\r\n", "From: a@b\r\n\r\nhalf a li",
		"From: a@b\r\n\r\nends in CR\r"} {
		h, b, err := Read(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), Options{})
		if err == nil {
			_, err = io.ReadAll(b)
		}
		if err != broken {
			t.Errorf("%q: error %v (header %v), want the reader's own", in, err, h)
		}
	}
}

func TestReadStopsAtAReaderWithoutProgress(t *testing.T) {
	_, _, err := Read(stuck{}, Options{})
	if err != io.ErrNoProgress {
		t.Errorf("error %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestHeaderAccess(t *testing.T) {
	h, _, _, err := readAll(t, "SUBJECT: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?iso-8859-1?q?_=E4?=\r\nMessage-ID: \r\n"+
		"message-id:\r\n  <a@b> \r\nX-A: 1\r\nx-a: 2\r\n\r\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Subject(); got != "Grüße ä" {
		t.Errorf("Subject %q", got)
	}
	if got := h.MessageID(); got != "<a@b>" {
		t.Errorf("MessageID %q", got)
	}
	if h.Get("X-a") != "1" || h.Get("X-B") != "" {
		t.Errorf("X-A %q, X-B %q", h.Get("X-a"), h.Get("X-B"))
	}
}

func TestSubjectIsSafeToLog(t *testing.T) {
	for in, want := range map[string]string{
		"=?utf-8?q?a=0D=0Ab?=":               "a��b",
		"a\x1b[31mb\xff":                     "a�[31mbÿ",
		"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=": "日本",
		"=?utf-7?q?+AAo-?=":                  "+AAo-",
		"=?gb2312?b?xxx?=":                   "=?gb2312?b?xxx?=",
	} {
		h, _, _, err := readAll(t, "Subject: "+in+"\r\n\r\n", Options{})
		if err != nil || h.Subject() != want {
			t.Errorf("%q: %q, %v", in, h.Subject(), err)
		}
	}
}

func TestSubjectIsBounded(t *testing.T) {
	h := mustRead(t, []byte("Subject: "+strings.Repeat("=?big5?q?a?= ", 50_000)+"\r\n\r\n"))
	if n := len(h.Subject()); n > maxSubject {
		t.Errorf("a subject of %d bytes", n)
	}
}

func TestKelvinSignIsNoK(t *testing.T) {
	if equalFold([]byte("\u212aey"), "key") || kindOf([]byte("TO")) != kindTo ||
		kindOf([]byte("x-GRAPHRELAY-a")) != kindOurs {
		t.Error("names fold ASCII letters and nothing else")
	}
}
