package parts

import (
	"fmt"
	"strings"
	"testing"
)

// A field of MIME resumes a broken header once, even where there is no room to
// keep it.
func TestFieldResumesHeaderOnce(t *testing.T) {
	in := "Content-Foo: " + strings.Repeat(" \n", maxPartHeader/3) +
		"x\nContent-Type: a/b\ny\nContent-Type: a/b\n\nwords\n"
	m, err := takeApart(t, crlf("Content-Type: multipart/mixed; boundary=B\n\n--B\n"+in+"--B--\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := "text \"y\\r\\nContent-Type: a/b\\r\\n\\r\\nwords\"\n"
	if got := showParts(t, m); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Each line of a uuencoded file may lack the blanks at its end, but a small part
// does not become a large file.
func TestUuencodedFileDoesNotGrow(t *testing.T) {
	const part = "Content-Type: a/b; name=x\nContent-Transfer-Encoding: uuencode\n\nbegin 644 x\n%send\n"
	for lines, want := range map[int]string{10: "", 100_000: "the message: lines of its uuencoded file are cut short"} {
		m, err := takeApart(t, crlf(fmt.Sprintf(part, strings.Repeat("M\n", lines))))
		if err != nil {
			t.Fatal(err)
		}
		if size := m.Attachments[0].Size; size > maxAdded+45 || lines == 10 && size != 450 {
			t.Errorf("%d lines become %d bytes", lines, size)
		}
		if got := strings.Trim(fmt.Sprint(m.Unplaced), "[]"); got != want {
			t.Errorf("%d lines: %q, want %q", lines, got, want)
		}
	}
}

func TestOddFormsOfParts(t *testing.T) {
	const pdf = "Content-Type: application/pdf; name=a.pdf\n\nPDF"
	for _, c := range []struct{ name, in, want string }{
		{"a comma for a semicolon",
			"Content-Type: multipart/mixed, boundary=\"B\"\n\n--B\n\nthe words\n--B\n" + pdf + "\n--B--\n",
			"text \"the words\"\na.pdf application/pdf <> \"PDF\"\n"},
		{"an empty text first", mixed("multipart/mixed", "\n", pdf, "Content-Type: text/html\n\nthe words"),
			"html \"the words\"\na.pdf application/pdf <> \"PDF\"\n"},
		{"a blank text alone", mixed("multipart/mixed", "\n \n", pdf),
			"text \" \\r\\n\"\na.pdf application/pdf <> \"PDF\"\n"},
		{"parameters alone", mixed("multipart/mixed", "\nthe words",
			"Content-Type: name=\"x.pdf\"\nContent-Disposition: filename=\"a.pdf\"\n\nPDF"),
			"text \"the words\"\na.pdf text/plain <> \"PDF\"\n"},
		{"an asterisk forgotten", mixed("multipart/mixed", "\nthe words",
			"Content-Disposition: attachment; filename=utf-8''a%20%C3%A4.pdf\n\nPDF",
			"Content-Disposition: attachment; filename=\"UTF-8''%C3%A4.pdf\"\n\nPDF",
			"Content-Disposition: attachment; filename=\"Jim''s 5%20a.pdf\"\n\nPDF"),
			"text \"the words\"\na ä.pdf text/plain <> \"PDF\"\nä.pdf text/plain <> \"PDF\"\n" +
				"Jim''s 5%20a.pdf text/plain <> \"PDF\"\n"},
		{"a file that is called a text", "Content-Type: text/plain; name=a.txt\n" +
			"Content-Transfer-Encoding: base64\n\nR0lGAEE=\n",
			"text \"GIF\ufffdA\"\nunplaced: the message: its text holds NUL characters, and seems to be no text\n" +
				"read: the message: the file \"a.txt\" is the text of the message\n"},
		{"a text with a NUL", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("x", 64) + "=00",
			"text \"" + strings.Repeat("x", 64) + "\ufffd\"\n" +
				"read: the message: a NUL character in its text was replaced\n"},
		{"HZ", "Content-Type: text/plain; charset=hz-gb-2312\n\n~{<:Ky2;~}", "text \"己所不\"\n"},
		{"an unheard character set", "Content-Type: text/plain; charset=cp737\n\n\x80",
			"text \"€\"\nunplaced: the message: its character set \"cp737\" is not known\n"},
		{"an unheard one of ASCII", "Content-Type: text/plain; charset=cp737\n\na", "text \"a\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := damaged(t, c.in); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestReplyToKeepsNames(t *testing.T) {
	for in, want := range map[string]string{
		`"Smith, John" <a@x.org>; b@x.org`: "[{Smith, John a@x.org} { b@x.org}]",
		"Smith, John <a@x.org>":            "[{Smith, John a@x.org}]",
		"Smith, John <a@x.org>, b@x.org":   "[{Smith, John a@x.org} { b@x.org}]",
	} {
		m, err := takeApart(t, "Reply-To: "+in+"\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(m.Fields.ReplyTo); got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}

// Raw 8-bit text in a header is in the character set of the text, if it fits.
func TestRawNamesAreInTheCharacterSetOfTheText(t *testing.T) {
	const header = "Subject: \xc4\xe3 =?utf-8?q?=C3=A4?=\r\nFrom: \xc4\xe3 <a@x.org>\r\n" +
		"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain; charset="
	const file = "\r\n\r\nx\r\n--B\r\nContent-Type: a/b; name=\"\xc4\xe3.pdf\"\r\n\r\n--B--\r\n"
	for label, name := range map[string]string{"gb2312": "你", "big5": "斕", "utf-8": "Äã", "iso-2022-jp": "Äã"} {
		m, err := takeApart(t, header+label+file)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Fields.Subject + fmt.Sprint(m.Fields.From) + m.Attachments[0].Name
		if want := name + " ä[{" + name + " a@x.org}]" + name + ".pdf"; got != want {
			t.Errorf("%s: got %s, want %s", label, got, want)
		}
	}
}

// One of the samples of Horde has 101 levels, and all readers agree about it.
func TestMultipartsMayBeNestedDeeply(t *testing.T) {
	in, end := "", ""
	for i := range 150 {
		in += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		end = fmt.Sprintf("\n--b%d--", i) + end
	}
	if got, want := damaged(t, in+"\nthe words"+end+"\n"), "text \"the words\"\n"; got != want {
		t.Errorf("got %s", got)
	}
}

// BenchmarkHostileHeader is the worst header of a part: each of its lines once
// cost a look at all that was kept before it.
func BenchmarkHostileHeader(b *testing.B) {
	kept := "Content-Foo: " + strings.Repeat(" \r\n", maxPartHeader/3)
	for name, line := range map[string]string{"fields": "a:\r\n", "odd": "x\r\nContent-Type:a\r\n"} {
		in := "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n" + kept + strings.Repeat(line, 1<<20/len(line))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for range b.N {
				if _, err := takeApart(b, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
