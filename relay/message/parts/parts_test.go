package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/message"
)

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func takeApart(t testing.TB, text string) (*Message, error) {
	t.Helper()
	return Read(t.Context(), strings.NewReader(text), int64(len(text)))
}

// showParts describes parts in one line each: "html|text TEXT", then the attachments.
func showParts(t testing.TB, p *Message) string {
	t.Helper()
	var b strings.Builder
	kind := "text"
	if p.Text.HTML {
		kind = "html"
	}
	fmt.Fprintf(&b, "%s %q\n", kind, whole(t, p.Text.Open(), p.Text.Size))
	for _, a := range p.Attachments {
		inline := ""
		if a.Inline {
			inline = " inline"
		}
		fmt.Fprintf(&b, "%s %s <%s>%s %q\n", a.Name, a.Type, a.ContentID, inline, whole(t, a.Open(), a.Size))
	}
	return b.String()
}

func whole(t testing.TB, r io.Reader, size int64) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Errorf("%d bytes, announced %d, %v", len(b), size, err)
	}
	return string(b)
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Subject: x\n\nhello\n", `text "hello\r\n"` + "\n"},
		{"no body", "Subject: x\n\n", "text \"\"\n"},
		{"latin-1", "Content-Type: text/plain; charset=iso-8859-1\n\ncaf\xe9\n", "text \"café\\r\\n\"\n"},
		{"unlabelled 8-bit", "Subject: x\n\ncaf\xe9 \x80\n", "text \"café €\\r\\n\"\n"},
		{"unlabelled UTF-8", "Subject: x\n\ncafé\n", "text \"café\\r\\n\"\n"},
		{"wrong label", "Content-Type: text/plain; charset=us-ascii\n\ncaf\xe9\n", "text \"café\\r\\n\"\n"},
		{"unheard charset", "Content-Type: text/plain; charset=x-klingon\n\ncaf\xe9\n", "text \"café\\r\\n\"\n"},
		{"shift_jis", "Content-Type: text/plain; charset=shift_jis\n\n\x93\xfa\x96\x7b\n", "text \"日本\\r\\n\"\n"},
		{"iso-2022-jp", "Content-Type: text/plain; charset=ISO-2022-JP\n\n\x1b$BF|K\\\x1b(B\n", "text \"日本\\r\\n\"\n"},
		{"labelled UTF-8 that is none", "Content-Type: text/plain; charset=utf-8\n" +
			"Content-Transfer-Encoding: base64\n\naP9pAA==\n", "text \"hÿi\ufffd\"\n"},
		{"quoted-printable", "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\n" +
			"<p>caf=C3=A9 =\n=3D x=  \ny=ZZ  \nz=\n", "html \"<p>café = xy=ZZ\\r\\nz\"\n"},
		{"alternative", mixed("multipart/alternative", "Content-Type: text/plain\n\nplain",
			"Content-Type: text/html\n\n<b>"), "html \"<b>\"\n"},
		{"alternative without html", mixed("multipart/alternative", "Content-Type: text/calendar\n\nBEGIN",
			"Content-Type: text/plain\n\nplain"),
			"text \"plain\"\nattachment-1.ics text/calendar <> \"BEGIN\"\n"},
		{"invitation", mixed("multipart/alternative", "Content-Type: text/plain\n\np", "Content-Type: text/html\n\nh",
			"Content-Type: text/calendar; method=REQUEST; name=\"invite.ics\"\n\nBEGIN"),
			"html \"h\"\ninvite.ics text/calendar <> \"BEGIN\"\n"},
		{"attachments", mixed("multipart/mixed", "Content-Type: text/plain\n\np", "Content-Type: application/pdf\n"+
			"Content-Disposition: attachment; filename=\"a b.pdf\"\nContent-Transfer-Encoding: base64\n\nQUJD\nRA==",
			"Content-Type: text/plain\n\nfooter"),
			"text \"p\"\na b.pdf application/pdf <> \"ABCD\"\nattachment-2.txt text/plain <> \"footer\"\n"},
		{"related", mixed("multipart/related", "Content-Type: text/html\n\n<img src=CID:i%40x>",
			"Content-Type: image/png; name=logo.png\nContent-ID: <i@x>\n\nPNG"), "html \"<img src=CID:i%40x>\"\n" +
			"logo.png image/png <i@x> inline \"PNG\"\n"},
		{"related and not shown", mixed("multipart/related", "Content-Type: text/html\n\ncid:other ccid:i@xy",
			"Content-Type: image/png; name=logo.png\nContent-ID: <i@x>\nContent-Disposition: inline\n\nPNG"),
			"html \"cid:other ccid:i@xy\"\nlogo.png image/png <i@x> \"PNG\"\n"},
		{"shown, though called an attachment", mixed("multipart/mixed", "Content-Type: text/html\n\n"+
			"<img src='cid:i@x'/>", "Content-Type: image/png; name=a.png\nContent-ID: <i@x>\n"+
			"Content-Disposition: attachment\n\nPNG"), "html \"<img src='cid:i@x'/>\"\n" +
			"a.png image/png <i@x> inline \"PNG\"\n"},
		{"shown by a form that is left out",
			mixed("multipart/mixed", "\ncid:i@x ", "Content-Type: image/png; name=a.png\nContent-ID: <i@x>\n\n"+
				"PNG"), "text \"cid:i@x \"\na.png image/png <i@x> \"PNG\"\n"},
		{"related by start", mixed("multipart/related; start=\"<r@x>\"", "Content-Type: image/png\n"+
			"Content-ID: <i@x>\n\nPNG", "Content-Type: text/html\nContent-ID: <r@x>\n\n\"cid:i@x\""),
			"html \"\\\"cid:i@x\\\"\"\nattachment-1.png image/png <i@x> inline \"PNG\"\n"},
		{"forward", mixed("multipart/mixed", "\np", "Content-Type: message/rfc822\n\nSubject: inner\n"+
			"Content-Type: multipart/mixed; boundary=B\n\n--B2\n\nx\n--B2--"),
			"text \"p\"\nattachment-1.eml message/rfc822 <> \"Subject: inner\\r\\nContent-Type: multipart/mixed; " +
				"boundary=B\\r\\n\\r\\n--B2\\r\\n\\r\\nx\\r\\n--B2--\"\n"},
		{"digest", mixed("multipart/digest", "\nSubject: one\n\nx", "Content-Type: text/plain\n\ny"),
			"text \"y\"\nattachment-1.eml message/rfc822 <> \"Subject: one\\r\\n\\r\\nx\"\n"},
		{"pdf alone", "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n" +
			"Content-Disposition: attachment; filename==?utf-8?q?=C3=A4.pdf?=\n\nQUJD\n",
			"text \"\"\nä.pdf application/pdf <> \"ABC\"\n"},
		{"base64 in pieces", "Content-Type: a/b\nContent-Transfer-Encoding: base64\n\nQQ==QUI=\n! QUJD Q",
			"text \"\"\nattachment-1.bin a/b <> \"AABABC\"\n"},
		{"2231", "Content-Type: application/pdf\nContent-Disposition: attachment; filename*0*=utf-8''a%20%C3; " +
			"filename*1*=%A4; filename*2=\".pdf\"; filename=x\n\nA\n",
			"text \"\"\na ä.pdf application/pdf <> \"A\\r\\n\"\n"},
		{"2231 in latin-1", "Content-Type: a/b; name*=iso-8859-1'de'%E4.x\n\n", "text \"\"\nä.x a/b <> \"\"\n"},
		{"blanks without quotes", "Content-Type: a/b; name=my file.x ; x=\"\n\n", "text \"\"\nmy file.x a/b <> \"\"\n"},
		{"no final delimiter", "Content-Type: multipart/mixed; boundary=B\n\n--B\n\np\n--B\n" +
			"Content-Type: image/gif\n\nG\n", "text \"p\"\nattachment-1.gif image/gif <> \"G\\r\\n\"\n"},
		{"outer delimiter ends inner", "Content-Type: multipart/mixed; boundary=B\n\n--B\n" +
			"Content-Type: multipart/mixed; boundary=C\n\n--C\n\np\n--B\nContent-Type: image/gif\n\nG\n--B--\n--B\n" +
			"a further part",
			"text \"p\"\nattachment-1.gif image/gif <> \"G\"\nattachment-2.txt text/plain <> \"a further part\"\n"},
		{"no boundary", "Content-Type: multipart/mixed\n\n--B\n\np\n--B--\n",
			"text \"p\"\n"},
		{"header cut off", "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: image/gif\n--B\n" +
			"no header here\n--B--\n", "text \"no header here\"\nattachment-1.gif image/gif <> \"\"\n"},
		{"hostile name", "Content-Type: a/b; name=\"../..\\\\x\u202egpj\x07.exe\"\n\n",
			"text \"\"\n_.._xgpj.exe a/b <> \"\"\n"},
		{"long header", strings.Repeat("Comments: "+strings.Repeat("x", 900)+"\n", 1000) + "Content-Type: a/b\n\nx",
			"text \"\"\nattachment-1.bin a/b <> \"x\"\n"},
		{"header of folds", "Content-Type: multipart/mixed; boundary=B\n\n--B\nX-Other: y\n\tname=no.txt\n" +
			"Content-Type: a/b;\n\tname=yes.txt\n\nx\n--B--", "text \"\"\nyes.txt a/b <> \"x\"\n"},
		{"bad type", "Content-Type: nonsense\n\nx", "text \"\"\nattachment-1.bin application/octet-stream <> \"x\"\n"},
		{"encrypted file", mixed("multipart/mixed", "\np", "Content-Type: application/pkcs7-mime; name=key.p7m\n"+
			"Content-Disposition: attachment\n\nx"), "text \"p\"\nkey.p7m application/pkcs7-mime <> \"x\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := takeApart(t, crlf(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := showParts(t, p); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// mixed makes a multipart of parts, each "header\n\ncontent".
func mixed(mediaType string, parts ...string) string {
	s := "Content-Type: " + mediaType + "; boundary=\"=_B b\"\n\nThis is a multi-part message in MIME format.\n"
	for _, p := range parts {
		s += "--=_B b\n" + p + "\n"
	}
	return s + "--=_B b--\n"
}

func TestReadRefusesWhatIsSealed(t *testing.T) {
	for _, in := range []string{
		mixed("multipart/signed; protocol=\"application/pgp-signature\"", "\nx", "\ny"), mixed("multipart/encrypted",
			"\nx"),
		"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n" +
			"Content-Disposition: attachment\n\nx",
		"Content-Type: multipart/mixed; boundary=O\n\n--O\n" + mixed("multipart/signed", "\nx") + "\n--O--\n",
	} {
		if _, err := takeApart(t, crlf(in)); !errors.Is(err, ErrSealed) {
			t.Errorf("%v for %q", err, in)
		}
	}
}

// counting counts the bytes that are read, so that cost is seen without a clock.
type counting struct {
	*strings.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestReadBounds(t *testing.T) {
	if _, err := takeApart(t, crlf("Content-Type: multipart/mixed; boundary=B\n\n"+strings.Repeat("--B\n\nx\n",
		1001))); !errors.Is(err, ErrTooManyParts) {
		t.Error(err)
	}
	var deep strings.Builder
	const depth = 20000
	for i := range depth {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	deep.WriteString("\nx\n")
	for i := range depth {
		fmt.Fprintf(&deep, "--b%d--\n", depth-1-i)
	}
	text := crlf(deep.String())
	r := &counting{Reader: strings.NewReader(text)}
	p, err := Read(t.Context(), r, int64(len(text)))
	if err != nil || len(p.Attachments) != 1 {
		t.Fatalf("%v", err)
	}
	if r.n > 3*len(text) {
		t.Errorf("%d bytes read of a message of %d", r.n, len(text))
	}
}

// corpus names the messages that package message is tested with.
func corpus(t testing.TB) (files []string) {
	t.Helper()
	files, err := filepath.Glob("../testdata/*.eml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d messages in testdata, %v", len(files), err)
	}
	return files
}

// canonical is a message with its header and body as message.Read returns them;
// false if it refuses it.
func canonical(in []byte) ([]byte, bool) {
	h, b, err := message.Read(bytes.NewReader(in), message.Options{})
	if err != nil {
		return nil, false
	}
	var out bytes.Buffer
	for name, value := range h.All() {
		fmt.Fprintf(&out, "%s:%s\r\n", name, value)
	}
	out.WriteString("\r\n")
	_, err = out.ReadFrom(b)
	return out.Bytes(), err == nil
}

func TestReadOfCorpus(t *testing.T) {
	for _, file := range corpus(t) {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stored, ok := canonical(in)
		if !ok {
			continue // refused at the door
		}
		p, err := Read(t.Context(), bytes.NewReader(stored), int64(len(stored)))
		if err != nil && !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", file, err)
		}
		if err == nil {
			showParts(t, p)
		}
	}
}

func TestFields(t *testing.T) {
	p, err := takeApart(t, crlf(`From: "Doe, \"J\"" <j@x.example>, k@x.example (Kay)
Sender: s@x.example
Reply-To: =?iso-8859-1?q?J=F6rg?= <r@x.example>
To: Team: a@y.example, B <b@y.example>;
Cc: undisclosed-recipients:;
Bcc: c@y.example
Subject: =?shift_jis?b?k/qWew==?= caf`+"\xe9"+`
Message-ID: <1@x.example>
In-Reply-To: <0@x.example>
References: <a@x.example>
 <0@x.example>
X-Priority: 1 (Highest)
X-Graphrelay-To: z@y.example
X-Graphrelay-ID: 0f
X-Mailer: test
Disposition-Notification-To: j@x.example
Return-Receipt-To: j@x.example

`))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v", p.Fields)
	want := `{Subject:日本 café MessageID:<1@x.example> InReplyTo:<0@x.example> References:<a@x.example> ` +
		`<0@x.example> From:[{Name:Doe, "J" Address:j@x.example} {Name:Kay Address:k@x.example}] ` +
		`Sender:[{Name: Address:s@x.example}] ReplyTo:[{Name:Jörg Address:r@x.example}] ` +
		`To:[{Name: Address:a@y.example} {Name:B Address:b@y.example}] Cc:[] Bcc:[{Name: Address:c@y.example}] ` +
		`Importance:2 ReadReceipt:true DeliveryReceipt:true ` +
		`Extra:[{Name:X-Priority Value:1 (Highest)} {Name:X-Graphrelay-ID Value:0f} {Name:X-Mailer Value:test}]}`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Reading any input ends, gives the same twice, and yields as many bytes as it
// announced.
func FuzzRead(f *testing.F) {
	for _, file := range corpus(f) {
		in, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(in) < 5000 {
			f.Add(in)
		}
	}
	f.Add([]byte(crlf(mixed("multipart/mixed", "Content-Transfer-Encoding: base64\n\nQUJD=\n=QQ",
		"Content-Transfer-Encoding: quoted-printable\n\n=\n=4\n =  "))))
	f.Add([]byte(crlf(mixed("multipart/alternative", "Content-Type: text/calendar\n\nx",
		"Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\nh\n--r\nContent-ID: <i>\n\n"+
			"i\n--r--"))))
	f.Add([]byte("Content-Type: text/plain; charset=utf-16\r\n\r\nx\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := Read(t.Context(), bytes.NewReader(in), int64(len(in)))
		if err != nil {
			return
		}
		first := sha256.Sum256([]byte(showParts(t, p)))
		if again := sha256.Sum256([]byte(showParts(t, p))); again != first {
			t.Error("reads differ")
		}
		for _, a := range p.Attachments {
			if a.Name == "" || strings.ContainsAny(a.Name, "/\\\x00\r\n") || !isMediaType(a.Type) {
				t.Errorf("attachment %q of type %q", a.Name, a.Type)
			}
		}
	})
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{`text/plain; charset="us-ascii"; name=a b.txt`, `a/b; name*0*=utf-8''x%20; name*1=y`,
		`a/b; n="x\"y; z=1`, `;;=;*=;*0=`, `a/b; name*=iso-8859-1'en'%E4`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		value, params := readParams(s)
		if strings.ContainsAny(value, "; \t") || len(params) > maxParams {
			t.Errorf("%q %v", value, params)
		}
	})
}

// A stop of the service ends the reading of a large message.
func TestReadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	text := "Subject: x\r\n\r\nhello"
	m, err := Read(ctx, strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(m.Text.Open()); !errors.Is(err, context.Canceled) {
		t.Errorf("the text: %v", err)
	}
	if _, err := Read(ctx, strings.NewReader(text), int64(len(text))); !errors.Is(err, context.Canceled) {
		t.Errorf("the message: %v", err)
	}
}
