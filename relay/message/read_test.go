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

		{"CR CR LF at the end of each line", "From: a@b\r\r\nTo: c@d\r\r\n\r\r\nhi\r\r\n.\r\r\n",
			"From: a@b\r\nTo: c@d\r\n", "hi\r\n.\r\n", "stray_cr"},
		{"CR CR CR LF", "From: a@b\r\r\r\n\r\r\r\nhi\r\r\r\n", "From: a@b\r\n", "hi\r\n", "stray_cr"},
		{"CR CR LF at the end of the header", "Subject: a\r\n\r\r\n\r\n", "Subject: a\r\n", "\r\n", "stray_cr"},
		{"a bare CR ends no line of the header", "Subject: x\rBcc: c@d\r\r\rTo: e@f\r\n\r\n",
			"Subject: x Bcc: c@d   To: e@f\r\n", "", "stray_cr"},
		{"a bare CR before a name is a fold", "Subject: a\r\n\rBcc: c@d\r\n\r\n", "Subject: a\r\n Bcc: c@d\r\n", "",
			"stray_cr"},
		{"a bare CR before the empty line", "Subject: a\r\r\r\n\r\nx", "Subject: a\r\n", "x", "stray_cr"},
		{"CR at the end of the header", "Subject: a\r", "Subject: a\r\n", "", "stray_cr"},
		{"progress bar", "From: a@b\r\n\r\n10%\r20%\r\r\nok\r\n", "From: a@b\r\n", "10%\r\n20%\r\nok\r\n", "stray_cr"},
		{"progress bar without a header", "10%\r20%\r\nok\r\n", "", "10%\r\n20%\r\nok\r\n", "no_header,stray_cr"},
		{"progress bar under the header", "From: a@b\r\n10%\r20%\r\nok\r\n", "From: a@b\r\n", "10%\r\n20%\r\nok\r\n",
			"stray_cr,no_empty_line"},
		{"LF dot CR", "To: a@b\r\n\r\na\n.\rb\r\n", "To: a@b\r\n", "a\r\n.\r\nb\r\n", "bare_lf,stray_cr"},
		{"CR dot CR", "To: a@b\r\n\r\na\r.\rb\r\n", "To: a@b\r\n", "a\r\n.\r\nb\r\n", "stray_cr"},
		{"old Macintosh", "From: a@b\r\n\r\na\r\rb\r", "From: a@b\r\n", "a\r\n\r\nb\r\n", "stray_cr"},
		{"NUL at the end", "From: a@b\r\n\r\nlow\x00", "From: a@b\r\n", "low", "final_nul"},
		{"NUL before the last line end", "From: a@b\r\n\r\nlow\x00\x00\r\n\x00\r\n", "From: a@b\r\n",
			"low\r\n\r\n", "final_nul"},
		{"NUL at the end of a header alone", "From: a@b\x00\r\n", "From: a@b\r\n", "", "final_nul"},
		{"NUL at the end, the empty line missing", "From: a@b\r\nlow\x00\r\n", "From: a@b\r\n", "low\r\n",
			"final_nul,no_empty_line"},

		{"no empty line", "To: a@b\r\nSubject: UPS\r\nUPS on battery\r\nsince 10:30\r\n\r\nName: x\r\n",
			"To: a@b\r\nSubject: UPS\r\n", "UPS on battery\r\nsince 10:30\r\n\r\nName: x\r\n", "no_empty_line"},
		{"no empty line and no end", "To: a@b\r\nbattery at 10:30", "To: a@b\r\n", "battery at 10:30", "no_empty_line"},
		{"a boundary in the header", "To: a@b\r\n--x\r\n\r\n", "To: a@b\r\n", "--x\r\n\r\n", "no_empty_line"},
		{"no empty line, an indented text", "To: a@b\r\nValues\r\n  Volt: 12\r\n", "To: a@b\r\n",
			"Values\r\n  Volt: 12\r\n", "no_empty_line"},
		{"an indented text without a header", " indented\r\n", "", " indented\r\n", "no_empty_line"},

		{"fold without a blank in a MIME field",
			"Content-Type: multipart/mixed; \r\nboundary=\"x y\"\r\nTo: a@b\r\n\r\n",
			"Content-Type: multipart/mixed; \r\n boundary=\"x y\"\r\nTo: a@b\r\n", "", "missing_fold"},
		{"two of them", "Content-Disposition: attachment;\r\nfilename=a.txt;\r\nsize=3\r\n\r\n",
			"Content-Disposition: attachment;\r\n filename=a.txt;\r\n size=3\r\n", "", "missing_fold"},
		{"two in a line", "Content-Type: multipart/mixed;\r\nboundary=\"a;b\"; charset=x;\r\n\r\n",
			"Content-Type: multipart/mixed;\r\n boundary=\"a;b\"; charset=x;\r\n", "", "missing_fold"},
		{"not a word behind them", "Content-Type: multipart/mixed;\r\nboundary=\"a\"; b\r\n\r\n",
			"Content-Type: multipart/mixed;\r\n", "boundary=\"a\"; b\r\n\r\n", "no_empty_line"},
		{"in References", "References: <a@b>\r\n<c@d> <e@f>\r\n\r\n", "References: <a@b>\r\n <c@d> <e@f>\r\n", "",
			"missing_fold"},
		{"not a form feed", "References: <a@b>\r\n\f\r\n\r\n", "References: <a@b>\r\n", "\f\r\n\r\n", "no_empty_line"},
		{"not in another field", "X-Content-Type: a;\r\nb=c\r\n\r\n", "X-Content-Type: a;\r\n", "b=c\r\n\r\n",
			"no_empty_line"},
		{"not without a semicolon", "Content-Type: text/plain\r\nb=c\r\n\r\n", "Content-Type: text/plain\r\n",
			"b=c\r\n\r\n", "no_empty_line"},
		{"not two words", "Content-Type: text/plain;\r\nb=c d\r\n\r\n", "Content-Type: text/plain;\r\n",
			"b=c d\r\n\r\n", "no_empty_line"},

		{"mbox line without a date", "From notify@contoso.com\r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "", "mbox_from"},
		{"mbox line of a mail program", "From - \r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "", "mbox_from"},
		{"mbox line, another date", "From a@b 2026-11-29T10:00:00Z\r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "", "mbox_from"},
		{"mbox line, day first", "From root Mon 1 Jan 2015 00:00:00 +0900\r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "",
			"mbox_from"},
		{"mbox line of a user", "From root\r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "", "mbox_from"},
		{"mbox line behind a mark", "\xef\xbb\xbfFrom a@b\r\nTo: c@d\r\n\r\n", "To: c@d\r\n", "",
			"mbox_from,byte_order_mark"},
		{"mark before a field", "\xef\xbb\xbfTo: c@d\r\n\r\n\xef\xbb\xbfx", "To: c@d\r\n", "\xef\xbb\xbfx",
			"byte_order_mark"},
		{"mark before a text", "\xef\xbb\xbfx\r\n", "", "\xef\xbb\xbfx\r\n", "no_header"},
		{"a text that begins with From and ends", "From now on", "", "From now on", "no_header"},
		{"a text of one line", "From root", "", "From root", "no_header"},
		{"two lines of text", "From now on\r\nno field\r\n\r\n", "", "From now on\r\nno field\r\n\r\n", "no_header"},
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
	const lf, cr = "Message contains a LF without CR", "Message contains a CR without LF"
	const from = "Message begins with a line From that is neither header field nor mbox separator"
	for _, c := range []struct{ name, in, text string }{
		{"lines that end in CR alone", "Return-Path: <>\rFrom: a@b\rTo: c@d\r\rthe text\r\r\n", cr},
		{"CR alone before the end of the header", "To: a@b\r\nX: y\r\rthe text\r\n", cr},
		{"line without colon", "To: a@b\r\nnonsense\r\nCc: c@d\r\n\r\n", "Header line 2 has no colon"},
		{"line without colon, then text and a field", "To: a@b\r\nx\r\ny z\r\n:\r\nb c: d\r\nBcc \t: c@d\r\n",
			"Header line 2 has no colon"},
		{"line without colon, then what looks like a field", "To: a@b\r\nx\r\nBcc\u00a0: c@d\r\n",
			"Header line 2 has no colon"},
		{"boundary in the header", "To: a@b\r\n--x\r\nContent-Type: text/plain\r\n\r\n", "Header line 2 has no colon"},
		{"text with a colon", "To: a@b\r\nplease call: 123\r\n\r\n", "Header line 2 has a blank in the field name"},
		{"From below a field", "To: a@b\r\nFrom c@d\r\n\r\n", "Header line 2 has no colon"},
		{"no fold, another field follows", "Content-Type: text/plain\r\nb=c\r\nTo: a@b\r\n\r\n",
			"Header line 2 has no colon"},
		{"blank, then a field", " \r\nx\r\nBcc: a@b\r\n\r\n", "Message header begins with a continuation line"},
		{"an address after From, then text", "From a@b\r\ntext\r\n", from},
		{"an address after From, then nothing", "From a@b", from},
		{"an address after From, then an empty line", "From a@b\r\n\r\nTo: c@d\r\n", from},
		{"an address after From, then a fold", "From a@b\r\n x\r\nTo: c@d\r\n", from},
		{"a sentence, then a field", "From now on\r\nBcc: c@d\r\n\r\n", from},
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
		{"bare CR in the header", "Subject: a\rb\r\n\r\n", cr},
		{"CR CR LF in the header", "Subject: a\r\r\n\r\n", cr},
		{"CR CR LF as the empty line", "Subject: a\r\n\r\r\n\r\n", cr},
		{"CR at the end of the header", "Subject: a\r", cr},
		{"NUL in the header", "Subject: a\x00b\r\n\r\n", "Message contains a NUL character"},
		{"bare CR in the body", "To: a@b\r\n\r\na\rb\r\n", cr},
		{"CR at the end", "To: a@b\r\n\r\na\r", cr},
		{"CR first in the body", "To: a@b\r\n\r\n\ra", cr},
		{"dot CR CR LF", "To: a@b\r\n\r\na\r\n.\r\r\nMAIL FROM:<x@y>\r\n", cr},
		{"CR dot CR", "To: a@b\r\n\r\na\r.\rb\r\n", cr},
		{"LF dot CR", "To: a@b\r\n\r\na\n.\rb\r\n", lf},
		{"NUL, then text", "To: a@b\x00\r\nCc: c@d\r\n\r\n", "Message contains a NUL character"},
		{"NUL as the empty line", "To: a@b\r\n\x00\r\nBcc: c@d\r\n", "Message contains a NUL character"},
		{"NUL at the end of the header, then text", "To: a@b\x00\r\n\r\nx", "Message contains a NUL character"},
		{"NUL before a dot", "To: a@b\r\n\r\na\r\n\x00.\r\n", "Message contains a NUL character"},
		{"reject: header", "To: a@b\n\r\n", lf},
		{"reject: empty line", "To: a@b\r\n\nx\r\n", lf},
		{"reject: body", "To: a@b\r\n\r\na\n.\r\nb\r\n", lf},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, _, err := readAll(t, c.in, Options{RejectBareLF: c.text == lf || c.text == cr})
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
