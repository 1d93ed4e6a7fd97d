package parts

import (
	"fmt"
	"strings"
	"testing"
)

// damaged describes a message taken apart, with what was odd about it: "unplaced:"
// and what has no place, "read:" and what was read otherwise than it is written.
func damaged(t testing.TB, text string) string {
	t.Helper()
	m, err := takeApart(t, crlf(text))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(showParts(t, m))
	for _, p := range m.Unplaced {
		fmt.Fprintln(&b, "unplaced:", p)
	}
	for _, p := range m.Repairs {
		fmt.Fprintln(&b, "read:", p)
	}
	return b.String()
}

// body makes a multipart/mixed with the boundary B of what is between two
// lines --B, and of a PDF file.
func body(contentType, first string) string {
	return "Content-Type: " + contentType + "\n\n--B\n" + first + "\n--B\nContent-Type: application/pdf; name=a.pdf\n" +
		"Content-Transfer-Encoding: base64\n\nJVBERi0xLjQgaGVsbG8gcGRm\n--B--\n"
}

const (
	words = "text \"the words\"\na.pdf application/pdf <> \"%PDF-1.4 hello pdf\"\n"
	meant = "read: the message: some of its delimiters are not those that its header names\n"
)

func TestDelimitersThatTheHeaderDoesNotName(t *testing.T) {
	for _, contentType := range []string{
		`multipart/mixed; boundary="----=_Part_4_2022.1563"`, // never matches
		`multipart/mixed; boundary=B (made by the device)`,
		`multipart/mixed; boundary=(made by the device) B`,
		`multipart/mixed; boundary=X; boundary=B`,
		`multipart/mixed; boundary='B'`,
		`multipart/mixed; boundary=b`,
		`multipart/mixed; boundary="--B"`,
		"multipart/mixed; boundary=\"B\n \"; x=y",
		`multipart/mixed; boundary=""`,
		`multipart/mixed`,
		`multipart/mixed boundary=X`,
	} {
		in := body(contentType, "Content-Type: text/plain\n\nthe words")
		want := words
		if !strings.Contains(contentType, "\"B\n \"") {
			want += meant
		}
		if got := damaged(t, in); got != want {
			t.Errorf("%s: got\n%swant\n%s", contentType, got, want)
		}
	}
	for _, contentType := range []string{`multipart/mixed boundary=B`, `multipart/mixed; boundary=B;`,
		`multipart/mixed; boundary="B" (made by the device)`, `multipart/mixed; boundary*0=B`} {
		if got := damaged(t, body(contentType, "\nthe words")); got != words {
			t.Errorf("%s: got\n%s", contentType, got)
		}
	}
}

func TestDelimitersInOtherForms(t *testing.T) {
	in := body("multipart/mixed; boundary=B", "Content-Type: text/plain\n\nthe words")
	for name, form := range map[string][2]string{
		"indented": {"--B", "  --B"}, "tab": {"--B", "\t--B"},
	} {
		text := strings.ReplaceAll(in, form[0], form[1])
		if got := damaged(t, text); got != words+meant {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
	if got := damaged(t, strings.ReplaceAll(in, "--B\n", "--B \t \n")); got != words {
		t.Errorf("trailing blanks: got\n%s", got)
	}
	folded := strings.Replace(in, "boundary=B", "boundary=\"long\n boundary\"", 1)
	for _, delimiter := range []string{"--longboundary", "--long boundary", "--long  boundary"} {
		got := damaged(t, strings.ReplaceAll(folded, "--B", delimiter))
		if strings.TrimSuffix(got, meant) != words {
			t.Errorf("folded, %s: got\n%s", delimiter, got)
		}
	}
	nested := "Content-Type: multipart/mixed; boundary=wrong\n\n--A\n" +
		body("multipart/alternative; boundary=wrong too", "\nthe words") + "--A--\n"
	if got := damaged(t, nested); got != words+"read: part 1: some of its delimiters are not those that its header "+
		"name"+
		"s\n"+meant {
		t.Errorf("nested: got\n%s", got)
	}
}

func TestDamagedMessages(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"multipart without parts", "Content-Type: multipart/mixed; boundary=abc\n\nThe UPS is on battery.\n",
			"text \"The UPS is on battery.\\r\\n\"\nread: the message: it is called a multipart and has no parts\n"},
		{"multipart without parts, encoded", "Content-Type: multipart/mixed; boundary=abc\n" +
			"Content-Transfer-Encoding: quoted-printable\n\n=54he UPS\n",
			"text \"The UPS\\r\\n\"\nunplaced: the message: it is a multipart in a transfer encoding\n" +
				"read: the message: it is called a multipart and has no parts\n"},
		{"a notice alone", "Content-Type: multipart/mixed; boundary=abc\n\nThis is a multi-part message in MIME for" +
			"mat.\n",
			"text \"This is a multi-part message in MIME format.\\r\\n\"\n" +
				"read: the message: it is called a multipart and has no parts\n"},
		{"parameters not indented", "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/html;\n" +
			"charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>B=C3=BCro</p>\n--B\n" +
			"Content-Type: application/pdf; x-unix-mode=0600;\nname=\"test.pdf\"\nContent-Transfer-Encoding: base6" +
			"4\n\n" +
			"JVBERi0xLjQgaGVsbG8gcGRm\n--B--\n",
			"html \"<p>Büro</p>\"\ntest.pdf application/pdf <> \"%PDF-1.4 hello pdf\"\n" +
				"read: part 1: a parameter in its header is not indented\nread: part 2: a parameter in its header i" +
				"s not indented\n"},
		{"odd line in a header", body("multipart/mixed; boundary=B", "Content-Type: text/plain\n*** checked by X ***\n"+
			"Content-Transfer-Encoding: base64\n\ndGhlIHdvcmRz"),
			words + "unplaced: part 1: a line in its header is no field\n"},
		{"no empty line after a header", body("multipart/mixed; boundary=B", "Content-Type: text/plain\nthe words\n"+
			"say: more\n\nend"),
			"text \"the words\\r\\nsay: more\\r\\n\\r\\nend\"\na.pdf application/pdf <> \"%PDF-1.4 hello pdf\"\n" +
				"read: part 1: its header ends without an empty line\n"},
		{"the same, cut off", body("multipart/mixed; boundary=B", "Content-Type: text/plain\nthe words"),
			words + "read: part 1: its header ends without an empty line\n"},
		{"an empty first type", "Content-Type:\nContent-Type: text/html\n\n<b>", "html \"<b>\"\n"},
		{"the file of a uuencoded part", body("multipart/mixed; boundary=B", "\nthe words\n--B\nContent-Type: x/y\n"+
			"Content-Transfer-Encoding: x-uue\n\nbegin 644 rep.pdf\n2)5!$1BTQ+C0@:&5L;&\\@<&1F\n`\nend"),
			"text \"the words\"\nrep.pdf x/y <> \"%PDF-1.4 hello pdf\"\na.pdf application/pdf <> \"%PDF-1.4 hello p" +
				"df\"\n" +
				"read: part 2: its transfer encoding \"x-uue\" was read as uuencode\n"},
		{"not uuencoded", "Content-Type: a/b; name=x\nContent-Transfer-Encoding: uuencode\n\nplain\n",
			"text \"\"\nx a/b <> \"plain\\r\\n\"\nunplaced: the message: it is not uuencoded, as its header says\n"},
		{"nothing to decode", "Content-Type: a/b; name=x\nContent-Transfer-Encoding: uuencode\n\n\n",
			"text \"\"\nx a/b <> \"\"\n"},
		{"text beside a uuencoded file", "Content-Type: a/b; name=x\nContent-Transfer-Encoding: uuencode\n\n" +
			"look:\nbegin 644 y\n#86)C\n`\nend\n",
			"text \"\"\nx a/b <> \"abc\"\nunplaced: the message: there is text beside its uuencoded file\n"},
		{"uuencoded in a text, which readers leave", "Subject: x\n\nsee\nbegin 644 y\n#86)C\n`\nend\n",
			"text \"see\\r\\nbegin 644 y\\r\\n#86)C\\r\\n`\\r\\nend\\r\\n\"\n"},
		{"a footer in base64", "Content-Type: a/b; name=x\nContent-Transfer-Encoding: base64\n\nQUJD\n" +
			"____\nSent by a list\n", "text \"\"\nx a/b <> \"ABC\"\n" +
			"text-outside-the-parts.txt text/plain <> \"____\\r\\nSent by a list\\r\\n\"\n" +
			"read: the message: there is text behind its base64\n"},
		{"words before base64", "Content-Type: a/b; name=x\nContent-Transfer-Encoding: base64\n\n* a note *\nQUJD\n",
			"text \"\"\nx a/b <> \"jz-y\\x05\\t\"\nunplaced: the message: there is text in its base64\n"},
		{"base64 in groups", "Content-Type: a/b; name=x\nContent-Transfer-Encoding: base64\n\nQUJD QUJD  QUJD \n QU" +
			"JD\n",
			"text \"\"\nx a/b <> \"ABCABCABCABC\"\n"},
		{"an encoding that is not known", "Content-Type: a/b; name=x\nContent-Transfer-Encoding: x-yenc\n\nabc",
			"text \"\"\nx a/b <> \"abc\"\nread: the message: its transfer encoding \"x-yenc\" was read as none\n"},
		{"text around the parts", "Content-Type: multipart/mixed; boundary=B\n\nfirst\n--B\n\nthe words\n--B--\n\nl" +
			"ast\n",
			"text \"the words\"\ntext-outside-the-parts.txt text/plain <> \"first\"\n" +
				"text-outside-the-parts.txt text/plain <> \"\\r\\nlast\\r\\n\"\n" +
				"read: the message: there is text outside of its parts\nread: the message: there is text outside of" +
				" its parts\n"},
		{"text behind, and no other", "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: a/b; name=" +
			"x\n\nf\n--B--\nlast\n",
			"text \"last\\r\\n\"\nx a/b <> \"f\"\nread: the message: there is text outside of its parts\n"},
		{"parts behind the last delimiter", "Content-Type: multipart/mixed; boundary=B\n\n--B\n\nthe words\n--B--\n" +
			"--B\n" +
			"Content-Type: a/b; name=x\n\nf\n--B--\n", "text \"the words\"\nx a/b <> \"f\"\nread: the message: ther" +
			"e are parts behind its last delimiter\n"},
		{"parts with other delimiters", "Content-Type: multipart/mixed; boundary=B\n\n--C\nContent-Type: a/b; name=" +
			"x\n\nf\n" +
			"--B\n\nthe words\n--B--\n", "text \"the words\"\nx a/b <> \"f\"\n" + meant},
		{"and others still", "Content-Type: multipart/mixed; boundary=B\n\n--C\nContent-Type: a/b; name=x\n\nf\n" +
			"--B\n\nthe words\n--B--\n--D\nContent-Type: a/b; name=y\n\nf\n--D--\n", "text \"the words\"\nx a/b <>" +
			" \"f\"\n" +
			"text-outside-the-parts.txt text/plain <> \"--D\\r\\nContent-Type: a/b; name=y\\r\\n\\r\\nf\\r\\n--D-" +
			"-\\r\\n\"\n" +
			"unplaced: the message: parts of it have other delimiters\n" + meant +
			"read: the message: there is text outside of its parts\n"},
		{"the boundary of the multipart around it", "Content-Type: multipart/mixed; boundary=B\n\n--B\n" +
			"Content-Type: multipart/alternative; boundary=B\n\n--B\n\nplain\n--B\nContent-Type: text/html\n\nh\n--" +
			"B--\n--B\n" +
			"Content-Type: a/b; name=x\n\nf\n--B--\n", "html \"h\"\nx a/b <> \"f\"\n"},
		{"a named text alone", "Content-Type: text/plain; name=report.txt\n\nthe words\n",
			"text \"the words\\r\\n\"\nread: the message: the file \"report.txt\" is the text of the message\n"},
		{"a named text beside another", "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/plain" +
			"; name=r.txt\n\nr\n--B\n\nthe words\n--B--\n",
			"text \"the words\"\nr.txt text/plain <> \"r\"\n"},
		{"an attached text alone", "Content-Disposition: attachment; filename=r.txt\n\nr", "text \"\"\nr.txt text/p" +
			"lain <> \"r\"\n"},
		{"an empty form", mixed("multipart/alternative", "\nplain", "Content-Type: text/html\n\n\n"), "text \"plai" +
			"n\"\n"},
		{"related, image first", mixed("multipart/related", "Content-Type: image/jpg\nContent-ID: <i@x>\n\nJPG",
			"Content-Type: text/html\n\n<img src=\"cid:i@x\">"),
			"html \"<img src=\\\"cid:i@x\\\">\"\nattachment-1.jpg image/jpg <i@x> inline \"JPG\"\n"},
		{"related, by type", mixed("multipart/related; type=\"text/html\"", "Content-Type: image/png\nContent-ID: <"+
			"i@x>\n\nPNG",
			"Content-Type: text/plain\n\np", "Content-Type: text/html\n\n<img src=\"cid:i@x\">"),
			"html \"<img src=\\\"cid:i@x\\\">\"\nattachment-1.png image/png <i@x> inline \"PNG\"\nattachment-2.txt " +
				"text/plain <> \"p\"\n"},
		{"related, by Content-Location", mixed("multipart/related", "Content-Type: text/html\nContent-Location: htt"+
			"p://x.example/d/a.html\n\n"+
			"<a href=\"b.html\"><img src='i.png'><img src=http://x.example/d/i.png>", "Content-Type: image/png; nam"+
			"e=i.png\n"+
			"Content-Location: http://x.example/d/i.png\n\nPNG"),
			"html \"<a href=\\\"b.html\\\"><img src='cid:part-2@graphrelay'><img src=cid:part-2@graphrelay>\"\n" +
				"i.png image/png <part-2@graphrelay> inline \"PNG\"\n"},
		{"UTF-16", "Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\n/v8AaADp\n", "te" +
			"xt \"hé\"\n"},
		{"text that its charset does not have", "Content-Type: text/plain; charset=shift_jis\n\na\x81\x01b",
			"text \"a\ufffd\\x01b\"\nunplaced: the message: its text is not in the character set that its header na" +
				"mes\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := damaged(t, c.in); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestNamesOfTransferEncodings(t *testing.T) {
	for name, want := range map[string]string{
		"base64": base64, "BASE-64": base64, "\"base64\"": base64, "base64 (see RFC 2045)": base64, "(it is) base64" +
			";": base64,
		"x-base64": base64, "quoted_printable": quotedPrintable, "'quoted-printable'": quotedPrintable,
		"Qouted-Printable": quotedPrintable, "qp": quotedPrintable, "uuencode": uuencode, "x-uu": uuencode, "x-uuen" +
			"code": uuencode,
		"X-UUE": uuencode, "7-bit": "", "": "", "binary": "", "none": "",
	} {
		got, strange := transferEncoding(name)
		if as := strings.ToLower(name) == want || name == "x-uuencode" || name == "binar"+
			"y"; got != want || as != (strange == "") {
			t.Errorf("%q: %q, %q", name, got, strange)
		}
	}
}

func TestNamesInPieces(t *testing.T) {
	for in, want := range map[string]string{
		`name*0="=?UTF-8?B?dGVzdHRlc3Rlc3R0dGVz"; name*1="dC54bHN4?="`: "testtestestttest.xlsx",
		`name*0="=?UTF-8?B?w6Q?="; name*1="=?UTF-8?B?LnBkZg?="`:        "ä.pdf",
		`name*1="a"; name*2=".pdf"`:                                    "a.pdf",
		`name*="=?UTF-8?Q?=C3=A4.pdf?="`:                               "ä.pdf",
		`name*=utf-8''=?utf-8?Q?a?=.pdf`:                               "=?utf-8?Q?a?=.pdf",
		`name*0*=''%C3%A4; name*1=.pdf`:                                "ä.pdf",
		`name==?utf-8?B?w6Q?= .pdf`:                                    "ä .pdf",
		`name="=?utf-8?B?w6Q_?="`:                                      "ä?",
		`name="a\"b;c" ; x`:                                            `a"b;c`,
		strings.Repeat(`x="\";`, 10) + ` name=a`:                       "a",
	} {
		if _, params := readParams("a/b; " + in); params["name"] != want {
			t.Errorf("%s: %q, want %q", in, params["name"], want)
		}
	}
}

func TestReplyToIsNotLost(t *testing.T) {
	for in, want := range map[string]string{
		"a@x.org; b@x.org":                 "[{ a@x.org} { b@x.org}] []",
		"A <a@x.org>; \"B; C\" <b@x.org>;": "[{A a@x.org} {B; C b@x.org}] []",
		"a@x.org, b@x.org":                 "[{ a@x.org} { b@x.org}] []",
		"call us":                          "[] [{X-Graphrelay-Reply-To call us}]",
		"a@x.org; call us":                 "[] [{X-Graphrelay-Reply-To a@x.org; call us}]",
		"=?utf-8?Q?=C3=A4?= a@x.org b":     "[] [{X-Graphrelay-Reply-To ä a@x.org b}]",
		"":                                 "[] []",
	} {
		m, err := takeApart(t, "Reply-To: "+in+"\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(m.Fields.ReplyTo, m.Fields.Extra); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if noted := len(m.Repairs) > 0; noted != (in != "" && in != "a@x.org, b@x.org") {
			t.Errorf("%s: %v", in, m.Repairs)
		}
	}
}

// The original is the message as it is stored, without those who must not be seen.
func TestOriginalHasNoBcc(t *testing.T) {
	m, err := takeApart(t, "From: a@x\r\nBcc: b@x,\r\n c@x\r\nSubject: s\r\nbcc: d@x\r\n\r\n--\r\nbody")
	if err != nil {
		t.Fatal(err)
	}
	if got := whole(t, m.Original.Open(), m.Original.Size); got != "From: a@x\r\nSubject: s\r\n\r\n--\r\nbody" {
		t.Errorf("%q", got)
	}
}
