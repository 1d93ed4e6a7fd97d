package parts

import (
	"io"
	"strings"
	"testing"

	"graphrelay/relay/costtest"
)

// No message costs more than its length to take apart, damaged as it may be.
func TestCostOfParts(t *testing.T) {
	read := func(in string) {
		p, err := Read(t.Context(), strings.NewReader(in), int64(len(in)))
		if err != nil {
			return
		}
		for _, a := range p.Attachments {
			_, _ = io.Copy(io.Discard, a.Open())
		}
		_, _ = io.Copy(io.Discard, p.Text.Open())
	}
	lines := []string{"--b\r\n", "\r\n", "a: b\r\n", " \r\n", "Content-Type: a/b; name=\"\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: message/rfc822\r\n", "begin 644 a\r\n", "--"}
	costtest.Linear(t, lines, func(text string) string {
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + text
	}, read)
	for _, field := range []string{"Content-Type: text/plain; ", "Content-Type: multipart/mixed; boundary",
		"Content-Disposition: attachment; filename"} {
		costtest.Linear(t, []string{`"`, `\`, "(", ";", "=", "name*1=", "=?utf-8?q?", "\r\n "},
			func(text string) string { return "A: b\r\n" + field + text + "\r\n\r\nx\r\n" }, read)
		costtest.Shape(t, "many parts with an open quote in "+field, func(size int) string {
			part := "--b\r\n" + field + strings.Repeat(`"`, 99) + "\r\n\r\nx\r\n"
			return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat(part, size/len(part))
		}, read)
	}
	for _, encoding := range []string{"base64", "quoted-printable", "x-uuencode"} {
		costtest.Linear(t, []string{"= ", "=\r\n", "\r\n", "a ", "begin 6\r\n"},
			func(text string) string {
				return "Content-Type: text/plain\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + text
			}, read)
	}
}
