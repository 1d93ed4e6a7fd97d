package parts

import (
	"strings"
	"syscall"
	"testing"
)

// hostileText is a body made of many equal pieces, behind a header.
type hostileText struct{ name, header, unit string }

// hostileTexts are bodies that cost much to read, with the header that makes them so.
var hostileTexts = []hostileText{
	{"plain", "", "0123456789 abcdefghij 0123456789 abcdefghij 0123456789 abcdefghij\r\n"},
	{"empty lines", "", "\r\n"},
	{"lines of one letter", "", "a\r\n"},
	{"8-bit", "", "\xe4"},
	{"8-bit and UTF-8", "", "\xe4ä"},
	{"NUL", "Content-Transfer-Encoding: quoted-printable\r\n", "=00"},
	{"quoted-printable, equals signs and blanks", "Content-Transfer-Encoding: quoted-printable\r\n", "= "},
	{"quoted-printable, blanks", "Content-Transfer-Encoding: quoted-printable\r\n", " "},
	{"quoted-printable, soft line breaks", "Content-Transfer-Encoding: quoted-printable\r\n", "=\r\n"},
	{"quoted-printable, soft line breaks behind blanks", "Content-Transfer-Encoding: quoted-printable\r\n",
		"=" + strings.Repeat(" ", 70) + "\r\n"},
	{"quoted-printable, equals signs", "Content-Transfer-Encoding: quoted-printable\r\n", "="},
	{"quoted-printable, almost soft breaks", "Content-Transfer-Encoding: quoted-printable\r\n", "=  = \r"},
	{"quoted-printable, Latin-1", "Content-Transfer-Encoding: quoted-printable\r\n", "=E4"},
	{"base64", "Content-Transfer-Encoding: base64\r\n", strings.Repeat("YWJj", 19) + "\r\n"},
	{"base64, one letter and a blank", "Content-Transfer-Encoding: base64\r\n", "a a "},
	{"base64, two letters and a blank", "Content-Transfer-Encoding: base64\r\n", "aa "},
	{"base64, blanks", "Content-Transfer-Encoding: base64\r\n", " "},
	{"base64, padding", "Content-Transfer-Encoding: base64\r\n", "aa="},
	{"base64, short lines", "Content-Transfer-Encoding: base64\r\n", "a\r\n"},
	{"base64, words", "Content-Transfer-Encoding: base64\r\n", "a! \r\n"},
	{"base64, footers", "Content-Transfer-Encoding: base64\r\n", strings.Repeat("YWJj", 11) + "\r\na b\r\n"},
	{"uuencode", "Content-Transfer-Encoding: uuencode\r\n", "begin 644 a\r\n"},
	{"UTF-7, plus", "Content-Type: text/plain; charset=utf-7\r\n", "+"},
	{"UTF-7, plus and blank", "Content-Type: text/plain; charset=utf-7\r\n", "+ "},
	{"UTF-7, one character", "Content-Type: text/plain; charset=utf-7\r\n", "+ImI-"},
	{"UTF-7, controls", "Content-Type: text/plain; charset=utf-7\r\n", "+AAo-"},
	{"UTF-7, half a unit", "Content-Type: text/plain; charset=utf-7\r\n", "+AB-"},
	{"UTF-7, bound", "Content-Type: text/plain; charset=utf-7\r\n", "+" + strings.Repeat("ImI", 1100)},
	{"GB18030", "Content-Type: text/plain; charset=gb18030\r\n", "\x81\x30\x81\x30"},
	{"GB18030, odd", "Content-Type: text/plain; charset=gb18030\r\n", "\x81"},
	{"GBK", "Content-Type: text/plain; charset=gbk\r\n", "\xc4\xe3"},
	{"Big5", "Content-Type: text/plain; charset=big5\r\n", "\xa4\xa4"},
	{"Big5, odd", "Content-Type: text/plain; charset=big5\r\n", "\xff"},
	{"EUC-JP", "Content-Type: text/plain; charset=euc-jp\r\n", "\x8f\xb0\xa1"},
	{"EUC-KR", "Content-Type: text/plain; charset=euc-kr\r\n", "\xb0\xa1"},
	{"Shift_JIS", "Content-Type: text/plain; charset=shift_jis\r\n", "\x93\xfa"},
	{"ISO-2022-JP", "Content-Type: text/plain; charset=iso-2022-jp\r\n", "\x1b$B\x1b(B"},
	{"ISO-2022-JP, text", "Content-Type: text/plain; charset=iso-2022-jp\r\n", "\x1b$BF|\x1b(B"},
	{"ISO-2022-JP, odd", "Content-Type: text/plain; charset=iso-2022-jp\r\n", "\x1b"},
	{"HZ", "Content-Type: text/plain; charset=hz-gb-2312\r\n", "~{~}"},
	{"UTF-16", "Content-Type: text/plain; charset=utf-16\r\n", "\xd8"},
	{"UTF-32", "Content-Type: text/plain; charset=utf-32\r\n", "\x00"},
	{"windows-1252", "Content-Type: text/plain; charset=windows-1252\r\n", "\x80"},
	{"HTML, cid", "Content-Type: text/html\r\n", "cid:a "},
	{"HTML, cid in Latin-1", "Content-Type: text/html; charset=us-ascii\r\n", "cid:\xe4 "},
	{"HTML, GBK that is none",
		"Content-Type: text/html; charset=gbk\r\nContent-Transfer-Encoding: quoted-printable\r\n", "=E4"},
	{"HTML, GBK of blanks",
		"Content-Type: text/html; charset=gbk\r\nContent-Transfer-Encoding: quoted-printable\r\n", "= "},
	{"multipart, empty lines", "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n", "\r\n"},
	{"multipart, hyphens", "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n", "--a\r\n"},
	{"multipart, preamble", "Content-Type: multipart/mixed; boundary=B\r\n\r\n", "--a\r\n"},
	{"multipart, other delimiters", otherDelimiters + "\r\n", "\r\n"},
	{"multipart, other delimiters, hyphens", otherDelimiters + "\r\n", " --a\r\n"},
	{"multipart, other delimiters, words in base64",
		otherDelimiters + "Content-Type: text/html; charset=gbk\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		"--a a\r\n"},
	{"multipart, blanks", "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n",
		strings.Repeat(" ", 300) + "\r\n"},
	{"multipart, blanks before it", "Content-Type: multipart/mixed; boundary=B\r\n\r\n", " \r\n"},
	{"multipart, indented words before it", "Content-Type: multipart/mixed; boundary=B\r\n\r\n", " a\r\n"},
}

// otherDelimiters begins a message that is read again and again: each multipart
// shows its delimiters only where that around it is read right.
const otherDelimiters = "Content-Type: multipart/mixed; boundary=B\r\n\r\n--C\r\n" +
	"Content-Type: multipart/mixed; boundary=D\r\n\r\n--E\r\n" +
	"Content-Type: multipart/mixed; boundary=F\r\n\r\n--G\r\n"

func (h hostileText) message(size int) string {
	return h.header + "\r\n" + strings.Repeat(h.unit, size/len(h.unit))
}

// meter counts the bytes that are read.
type meter struct {
	*strings.Reader
	bytes int
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.bytes += n
	return n, err
}

// A text is read once to find its parts and once for what it is in, which takes a
// second look only where it is not in the character set that it claims, or reads
// on behind its base64. It was read six times.
func TestTextsAreReadOnce(t *testing.T) {
	for _, h := range hostileTexts {
		in := h.message(256 << 10)
		m := &meter{Reader: strings.NewReader(in)}
		if _, err := Read(t.Context(), m, int64(len(in))); err != nil {
			t.Fatal(err)
		}
		passes := 3
		if strings.HasPrefix(h.header, otherDelimiters[:60]) {
			passes += maxWalks - 1
		}
		if got := float64(m.bytes) / float64(len(in)); got > float64(passes)+0.2 {
			t.Errorf("%s: %.2f passes, want at most %d", h.name, got, passes)
		}
	}
}

// BenchmarkHostileText measures what the worst texts of full size cost, in
// seconds of processor time: each less than one.
func BenchmarkHostileText(b *testing.B) {
	for _, h := range hostileTexts {
		b.Run(h.name, func(b *testing.B) {
			in := h.message(35 << 20)
			before := processorTime(b)
			for range b.N {
				if _, err := takeApart(b, in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((processorTime(b)-before)/float64(b.N), "cpu-s/op")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func processorTime(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec) + float64(u.Utime.Usec)/1e6
}
