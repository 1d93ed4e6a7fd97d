// Package shapes makes the MIME of a hundred messages as devices, programs and
// people send it, for tests of the whole: what RFC 2045 to 2049, 2183, 2231,
// 2387, 3156, 3462, 5545 and 8551 describe, and what is sent instead.
package shapes

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// Shape is a message without the fields that name people.
type Shape struct {
	Name   string
	Fields string // of MIME, each with CRLF
	Body   string
}

// Message is the shape as one from and to these people. padding is repeated in
// Comments fields until the header has about so many octets.
func (s Shape) Message(from, to string, padding int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: Mon, 2 Mar 2026 08:00:00 +0000\r\nMessage-ID: "+
		"<%s-%d@shapes.example>\r\n", from, to, s.Name, s.Name, padding)
	for ; padding > 0; padding -= 990 {
		b.WriteString("Comments: " + strings.Repeat("padding ", 122) + "\r\n")
	}
	return b.String() + s.Fields + "\r\n" + s.Body
}

// All are the shapes, each with a name of its own.
func All() []Shape {
	var all []Shape
	for _, group := range []func() []Shape{texts, charsets, alternatives, devices, names, encodings, calendars, sealed,
		reports, forwards, boundaries, oddities} {
		all = append(all, group()...)
	}
	return all
}

// shape makes one from a part: its header and its content, with \n line ends
// that become CRLF.
func shape(name, part string) Shape {
	fields, body, _ := strings.Cut(lines(part), "\r\n\r\n")
	if fields != "" {
		fields += "\r\n"
	}
	return Shape{name, "MIME-Version: 1.0\r\n" + fields, body}
}

func lines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// text, html and file make parts.
func text(s string) string { return "Content-Type: text/plain; charset=utf-8\n\n" + s }
func html(s string) string { return "Content-Type: text/html; charset=utf-8\n\n" + s }

func file(kind, name string, size int) string {
	return "Content-Type: " + kind + "; name=\"" + name +
		"\"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"" + name + "\"\n\n" +
		wrapped(Octets(size), 76)
}

func image(kind, id string, size int) string {
	return "Content-Type: " + kind + "\nContent-Transfer-Encoding: base64\nContent-ID: <" + id +
		">\nContent-Disposition: inline\n\n" + wrapped(Octets(size), 76)
}

// multi makes a multipart; each gets a boundary that no other has.
func multi(kind string, parts ...string) string {
	return bounded(kind,
		fmt.Sprintf("=_%s_%d_%d", strings.NewReplacer("/", "", ";", "", "\"", "", " ", "", "=", "").Replace(kind),
			len(parts), len(strings.Join(parts, ""))), parts...)
}

func bounded(kind, boundary string, parts ...string) string {
	s := "Content-Type: multipart/" + kind + "; boundary=\"" + boundary + "\"\n\n"
	for _, p := range parts {
		s += "--" + boundary + "\n" + p + "\n"
	}
	return s + "--" + boundary + "--\n"
}

// Octets are binary ones, different for each size.
func Octets(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func wrapped(b []byte, width int) string {
	s := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(s) > width {
		out.WriteString(s[:width] + "\n")
		s = s[width:]
	}
	out.WriteString(s)
	return out.String()
}

func texts() []Shape {
	return []Shape{
		shape("plain", "Content-Type: text/plain; charset=us-ascii\n\nThe backup is done.\n"),
		{"no-mime", "", "The UPS is on battery.\r\n"},
		{"empty", "", ""},
		shape("blank-lines", text("\n\n\n")),
		shape("no-final-line-end", text("ends here")),
		shape("trailing-blanks", text("blank \ntab\t\n  \n")),
		shape("dots", text(".\n..\n.hidden\n")),
		shape("control-characters", text("page\fescape\x1b[1mbell\x07\n")),
		shape("long-line", text(strings.Repeat("long line ", 2000)+"\n")),
		shape("long-html-line", html("<p>"+strings.Repeat("x", 100000)+"</p>\n")),
		shape("flowed", "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\n\nflowed \ntext\n-- "+
			"\nsignature\n"),
		shape("html-only", html("<h1>Report</h1>\n")),
		shape("qp-html", "Content-Type: text/html; charset=\"iso-8859-1\"\nContent-Transfer-Encoding: "+
			"quoted-printable\n\n<p>Gr=FC=DFe =\nan =3D alle</p>\n"),
		shape("base64-text", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"+
			wrapped([]byte("Grüße\r\naus dem ERP\r\n"), 60)+"\n"),
		shape("from-line", text("From the start\n>From quoted\n")),
	}
}

func charsets() []Shape {
	one := func(name, charset, s string) Shape {
		return shape(name, "Content-Type: text/plain; charset="+charset+"\nContent-Transfer-Encoding: 8bit\n\n"+s+"\n")
	}
	return []Shape{
		one("utf-8", "utf-8", "Grüße, 日本, \U0001f4e0"),
		one("latin-1", "iso-8859-1", "Gr\xfc\xdfe"),
		one("latin-9", "iso-8859-15", "10 \xa4"),
		one("windows-1252", "windows-1252", "\x80 \x93quoted\x94"),
		one("wrong-label", "us-ascii", "Gr\xfc\xdfe"),
		one("unknown-label", "x-vendor-8", "Gr\xfc\xdfe"),
		one("shift-jis", "shift_jis", "\x93\xfa\x96\x7b"),
		one("iso-2022-jp", "iso-2022-jp", "\x1b$BF|K\\\x1b(B"),
		one("gb2312", "gb2312", "\xd6\xd0\xce\xc4"),
		one("big5", "big5", "\xa4\xa4\xa4\xe5"),
		one("euc-kr", "euc-kr", "\xc7\xd1\xb1\xdb"),
		one("koi8-r", "koi8-r", "\xd2\xd5\xd3"),
		{"unlabelled-latin-1", "", "Gr\xfc\xdfe vom Drucker\r\n"},
		{"unlabelled-utf-8", "", "Grüße vom Drucker\r\n"},
		shape("utf-16", "Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\n"+
			wrapped([]byte("\xff\xfeG\x00r\x00\xfc\x00"), 76)+"\n"),
		shape("bom", text("\ufeffwith a mark\n")),
	}
}

func alternatives() []Shape {
	both := multi("alternative", text("plain\n"), html("<b>html</b>\n"))
	return []Shape{
		shape("alternative", both),
		shape("outlook-inline-images",
			multi("related; type=\"multipart/alternative\"", both, image("image/png", "image001.png@01DB", 900),
				image("image/jpeg", "image002.jpg@01DB", 1200))),
		shape("outlook-full",
			multi("mixed", multi("related", both, image("image/gif", "logo@x", 300)),
				file("application/pdf", "offer.pdf", 5000))),
		shape("apple-mail", multi("alternative", text("p\n"),
			multi("mixed", html("<p>before</p>"), file("application/pdf", "inside.pdf", 700), html("<p>after</p>")))),
		shape("related-start",
			multi("related; start=\"<root@x>\"; type=\"text/html\"", image("image/png", "pic@x", 100),
				"Content-Type: text/html\nContent-ID: <root@x>\n\n<img src=\"cid:pic@x\">")),
		shape("cid-in-mixed", multi("mixed", html("<img src=cid:a@b>"), image("image/png", "a@b", 400))),
		shape("list-footer", multi("mixed", both, text("_____\nlist footer\n"))),
		shape("enriched", multi("alternative", text("p"), "Content-Type: text/enriched\n\n<bold>e</bold>", html("h"))),
		shape("amp", multi("alternative", text("p"), "Content-Type: text/x-amp-html\n\n<html amp4email>", html("h"))),
		shape("text-and-vcard",
			multi("mixed", text("call me\n"),
				"Content-Type: text/vcard; charset=utf-8; name=me.vcf\nContent-Disposition: attachment; "+
					"filename=me.vcf\n\nBEGIN:VCARD\nFN:Jörg\nEND:VCARD\n")),
	}
}

func devices() []Shape {
	jpegs := []string{text("motion at 03:12\n")}
	many := []string{text("forty files\n")}
	for i := range 5 {
		jpegs = append(jpegs, file("image/jpeg", fmt.Sprintf("cam%d.jpg", i), 2000+i))
	}
	for i := range 40 {
		many = append(many, file("application/octet-stream", fmt.Sprintf("part%02d.dat", i), 10+i))
	}
	return []Shape{
		shape("scanner-pdf",
			multi("mixed", text("Scanned on floor 3.\n"), file("application/pdf", "Scan 001.pdf", 40000))),
		shape("scanner-pdf-alone", file("application/pdf", "Doc.pdf", 9000)+"\n"),
		shape("scanner-no-text", multi("mixed", file("application/pdf", "only.pdf", 3000))),
		shape("fax-tiff", multi("mixed", "\nFax received.\n", file("image/tiff", "fax.tif", 8000))),
		shape("camera", multi("mixed", jpegs...)),
		shape("voicemail", multi("mixed", text("0:12\n"), file("audio/x-wav", "msg0001.WAV", 16000))),
		shape("ups-csv", multi("mixed", text("log\n"),
			"Content-Type: text/csv; name=log.csv\nContent-Disposition: attachment\n\ntime;load\n03:00;41\n")),
		shape("invoice-xml-pdf",
			multi("mixed", text("invoice\n"), file("application/pdf", "R-1.pdf", 6000),
				file("application/xml", "factur-x.xml", 800))),
		shape("many-files", multi("mixed", many...)),
		shape("winmail", multi("mixed", text("rich\n"), file("application/ms-tnef", "winmail.dat", 4000))),
	}
}

func names() []Shape {
	named := func(shapeName, kind, disposition string) Shape {
		return shape(shapeName,
			multi("mixed", text("x"), "Content-Type: "+kind+
				"\nContent-Transfer-Encoding: base64\nContent-Disposition: "+disposition+"\n\n"+
				wrapped(Octets(len(kind+disposition)), 76)))
	}
	return []Shape{
		named("name-2231", "application/pdf", "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf"),
		named("name-2231-continued", "application/pdf",
			"attachment;\n filename*0*=iso-8859-1'de'%DCber;\n filename*1*=sicht;\n filename*2=\".pdf\""),
		named("name-2047", "application/pdf; name=\"=?utf-8?B?R3LDvMOfZS5wZGY=?=\"",
			"attachment; filename=\"=?utf-8?B?R3LDvMOfZS5wZGY=?=\""),
		named("name-raw-8bit", "application/pdf; name=\"Gr\xfc\xdfe.pdf\"", "attachment"),
		named("name-emoji", "application/pdf", "attachment; filename=\"\U0001f4c4.pdf\""),
		named("name-unquoted-blanks", "application/pdf", "attachment; filename=my scan.pdf"),
		named("name-traversal", "application/pdf", "attachment; filename=\"../../etc/passwd\""),
		named("name-missing", "application/zip", "attachment"),
		named("name-in-type-only", "application/octet-stream; name=backup.zip", "attachment"),
		named("inline-pdf", "application/pdf; name=a.pdf", "inline; filename=a.pdf"),
		shape("name-twice", multi("mixed", text("x"), file("image/png", "a.png", 10), file("image/png", "a.png", 20))),
	}
}

func encodings() []Shape {
	with := func(name, encoding, content string) Shape {
		return shape(name, multi("mixed", text("x"),
			"Content-Type: application/octet-stream; name=f\nContent-Transfer-Encoding: "+encoding+
				"\nContent-Disposition: attachment\n\n"+content))
	}
	return []Shape{
		with("base64-one-line", "base64", wrapped(Octets(3000), 1<<20)),
		with("base64-odd-lines", "BASE64", wrapped(Octets(500), 61)),
		with("base64-blanks", "base64", " "+strings.ReplaceAll(wrapped(Octets(100), 20), "\n", " \n ")),
		with("qp-binary", "quoted-printable", "=00=01=FF=0D=0A=3D\nsecond=20line"),
		with("8bit-file", "8bit", "caf\xe9\nline two\n"),
		with("binary-file", "binary", "a\nb\n\nc"),
		with("empty-file", "base64", ""),
		with("unknown-encoding", "x-none", "as it is\n"),
		shape("uuencode", text("begin 644 f.txt\n#0V%T\n`\nend\n")),
	}
}

func calendars() []Shape {
	invite := func(method string) string {
		return "Content-Type: text/calendar; charset=utf-8; method=" + method + "\n\nBEGIN:VCALENDAR\nMETHOD:" +
			method + "\nSUMMARY:Besprechung für alle\nEND:VCALENDAR\n"
	}
	return []Shape{
		shape("invitation", multi("alternative", text("p\n"), html("h\n"), invite("REQUEST"))),
		shape("invitation-with-file",
			multi("mixed", multi("alternative", text("p\n"), html("h\n"), invite("REQUEST")),
				file("application/ics", "invite.ics", 200))),
		shape("cancellation", multi("alternative", text("p\n"), invite("CANCEL"))),
		shape("calendar-alone", invite("PUBLISH")),
	}
}

func sealed() []Shape {
	return []Shape{
		shape("smime-signed",
			multi("signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256", text("signed  \n"),
				file("application/pkcs7-signature", "smime.p7s", 1500))),
		shape("smime-opaque",
			"Content-Type: application/pkcs7-mime; smime-type=signed-data; "+
				"name=smime.p7m\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; "+
				"filename=smime.p7m\n\n"+wrapped(Octets(2000), 64)+"\n"),
		shape("smime-encrypted",
			"Content-Type: application/x-pkcs7-mime; smime-type=enveloped-data; "+
				"name=smime.p7m\nContent-Transfer-Encoding: base64\n\n"+wrapped(Octets(2500), 64)+"\n"),
		shape("pgp-signed", multi("signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha256",
			text("From the start \n"), "Content-Type: application/pgp-signature\n\n-----BEGIN PGP "+
				"SIGNATURE-----\n=twTO\n-----END PGP SIGNATURE-----")),
		shape("pgp-encrypted",
			multi("encrypted; protocol=\"application/pgp-encrypted\"",
				"Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: "+
					"application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n=twTO\n-----END PGP MESSAGE-----")),
		shape("pgp-inline", text("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -- \ntext\n-----BEGIN PGP "+
			"SIGNATURE-----\n=twTO\n-----END PGP SIGNATURE-----\n")),
	}
}

func reports() []Shape {
	status := "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; " +
		"a@b.example\nAction: failed\nStatus: 5.1.1\n"
	return []Shape{
		shape("dsn", multi("report; report-type=delivery-status", text("It failed.\n"), status,
			"Content-Type: message/rfc822\n\nSubject: original\nFrom: a@b.example\n\ntext\n")),
		shape("dsn-headers",
			multi("report; report-type=delivery-status", text("It failed.\n"), status,
				"Content-Type: text/rfc822-headers\n\nSubject: original\nFrom: a@b.example\n")),
		shape("mdn", multi("report; report-type=disposition-notification", text("It was read.\n"),
			"Content-Type: message/disposition-notification\n\nDisposition: manual-action/MDN-sent-manually; "+
				"displayed\n")),
		shape("feedback", multi("report; report-type=feedback-report", text("spam\n"),
			"Content-Type: message/feedback-report\n\nFeedback-Type: abuse\n", "Content-Type: "+
				"message/rfc822\n\nSubject: spam\n\nx\n")),
		shape("tls-report", multi("report; report-type=tlsrpt", text("report\n"),
			file("application/tlsrpt+gzip", "r.json.gz", 600))),
		shape("dmarc-report", file("application/zip", "a!b!1!2.zip", 900)+"\n"),
	}
}

func forwards() []Shape {
	nested := "Subject: innermost\nContent-Type: text/plain\n\nthe end\n"
	for i := range 5 {
		nested = fmt.Sprintf("Subject: level %d\n", i) + bounded("mixed", fmt.Sprintf("level%d", i),
			text("see below\n"), "Content-Type: message/rfc822\n\n"+nested)
	}
	return []Shape{
		shape("forward", multi("mixed", text("fyi\n"),
			"Content-Type: message/rfc822\nContent-Disposition: attachment\n\nSubject: inner\nFrom: "+
				"a@b.example\n\ninner text\n")),
		shape("forward-alone", "Content-Type: message/rfc822\n\nSubject: inner\nFrom: a@b.example\n\ninner text\n"),
		shape("nested-forwards",
			multi("mixed", text("fyi\n"), "Content-Type: message/rfc822; name=\"mail.eml\"\n\n"+nested)),
		shape("forward-with-file",
			multi("mixed", text("fyi\n"), "Content-Type: message/rfc822\n\nSubject: inner\n"+
				multi("mixed", text("i"), file("application/pdf", "inner.pdf", 500)))),
		shape("forward-signed",
			multi("mixed", text("fyi\n"), "Content-Type: message/rfc822\n\nSubject: inner\n"+
				multi("signed; protocol=\"application/pgp-signature\"", text("i"),
					"Content-Type: application/pgp-signature\n\nx"))),
		shape("digest", multi("digest", "\nSubject: one\n\n1\n", "\nSubject: two\n\n2\n")),
	}
}

func boundaries() []Shape {
	deep := text("at the bottom\n")
	for i := range 30 {
		deep = bounded("mixed", fmt.Sprintf("deep%d", i), deep, file("image/png", fmt.Sprintf("d%d.png", i), 30+i))
	}
	pdf := file("application/pdf", "b.pdf", 333)
	return []Shape{
		shape("boundary-odd", bounded("mixed", "'()+_,-./:=? x", text("p"), pdf)),
		shape("boundary-prefix", bounded("mixed", "ab", text("p\n--abc\n--a\n"), bounded("mixed", "abc", pdf))),
		shape("boundary-dashes", bounded("mixed", "x--", text("p"), pdf)),
		shape("boundary-unquoted",
			strings.Replace(bounded("mixed", "simple", text("p"), pdf), "\"simple\"", "simple", 1)),
		shape("no-final-delimiter", strings.TrimSuffix(bounded("mixed", "open", text("p"), pdf), "--open--\n")),
		shape("preamble-epilogue",
			strings.Replace(bounded("mixed", "pre", text("p"), pdf), "\n\n--pre\n",
				"\n\nThis is a MIME message.\n--pre\n", 1)+"epilogue\n"),
		shape("delimiter-with-blanks",
			strings.ReplaceAll(bounded("mixed", "bl", text("p"), pdf), "--bl\n", "--bl  \n")),
		shape("one-part", bounded("mixed", "one", text("alone\n"))),
		shape("deep-30", deep),
		shape("parallel", multi("parallel", text("p"), pdf)),
	}
}

func oddities() []Shape {
	return []Shape{
		shape("type-with-comment", "Content-Type: text/plain (plain text); charset=\"utf-8\" (unicode)\n\ncommented\n"),
		shape("type-upper-case",
			strings.Replace(multi("mixed", "CONTENT-TYPE: TEXT/PLAIN; CHARSET=UTF-8\n\np",
				file("APPLICATION/PDF", "U.PDF", 77)), "multipart/mixed", "MULTIPART/MIXED", 1)),
		shape("wrong-type", multi("mixed", text("x"), file("text/plain", "really.pdf", 444))),
		shape("external-body",
			multi("mixed", text("x"),
				"Content-Type: message/external-body; access-type=URL; "+
					"URL=\"https://files.example/x\"\n\nContent-Type: application/pdf\n\n")),
	}
}
