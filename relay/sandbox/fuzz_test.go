package sandbox

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
)

// The decoder agrees with encoding/base64 on what decodes to what, however the
// octets arrive.
func FuzzDecodeBase64(f *testing.F) {
	for _, seed := range []string{"", "QQ==", "QUI=", "QUJD", "QUJD\r\nREVG\n", "QQ==QQ==", "QQ", "====", "Q\nQ\r=\n=",
		"Q Q=", "-_-_", strings.Repeat("QUJD", 8200), strings.Repeat("A", 32<<10) + "="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantErr := base64.StdEncoding.DecodeString(string(body))
		for _, src := range []io.Reader{bytes.NewReader(body), iotest.OneByteReader(bytes.NewReader(body)),
			iotest.DataErrReader(bytes.NewReader(body))} {
			var got bytes.Buffer
			err := decodeBase64(&got, src)
			if (err != nil) != (wantErr != nil) || err == nil && !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("%q: %q %v, want %q %v", body, got.Bytes(), err, want, wantErr)
			}
		}
	})
}

// A sink that keeps only the header reads the same recipients as one that keeps
// all, whatever the size of the pieces; the strict reader's are among them; and
// the delivered copy has no Bcc.
func FuzzRecognise(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n\r\n", "To: a@x.org\r\n\r\n", "To: a@x.org\n\nbody", "To:\r\n a@x.org\r\nBcc: b@x.org\r\n\r\nx",
		"To: \"a\" <a@x.org>, (c) b@x.org;\r\n\r\n", "To: <<a@x.org>>\r\n\r\n", "\nTo: a@x.org\n\n",
		"From: a@b <a@b>\r\nTo: g: a@x.org;\r\n\r\n",
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n--x--", "To: a@x.org\rBcc: b@x.org\r\n\r\n",
		"Bcc : a@x.org\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var whole, quick Message
		recognise(&whole, raw, raw, false)
		sink := newSink(false)
		for piece := range slices.Chunk(raw, 7) {
			_, _ = sink.Write(piece)
		}
		recognise(&quick, sink.header.Bytes(), nil, true)
		if !slices.Equal(quick.Recipients, whole.Lenient) {
			t.Fatalf("%q: quick %q, whole %q", raw, quick.Recipients, whole.Lenient)
		}
		for _, address := range whole.Strict {
			if !containsFold(whole.Recipients, fold(address)) {
				t.Fatalf("%q: %q is not in %q", raw, address, whole.Recipients)
			}
		}
		if parsed, err := mail.ReadMessage(bytes.NewReader(withoutBcc(raw))); err == nil &&
			len(parsed.Header["Bcc"]) > 0 {
			t.Fatalf("%q: Bcc left", raw)
		}
	})
}

// What is shown is valid UTF-8 without characters that act on a terminal or on
// the direction of text, and no line is lost.
func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"", "a\r\nb", "\x1b]0;x\x07", "\u202e", "\xff\xfe", "\r\r\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := visible(s)
		if !utf8.ValidString(got) || strings.Count(got, "\n") != strings.Count(s, "\n") {
			t.Fatalf("%q: %q", s, got)
		}
		for _, c := range got {
			if c != '\n' && c != '\t' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
				t.Fatalf("%q: %q", s, got)
			}
		}
	})
}
