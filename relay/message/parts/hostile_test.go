package parts

import (
	"fmt"
	"strings"
	"testing"
)

// A field of MIME resumes a broken header once, even where there is no room to
// keep it.
func TestFieldResumesHeaderOnce(t *testing.T) {
	in := "Content-Foo: " + strings.Repeat(" \n", maxPartHeader/3) + "x\nContent-Type: a/b\ny\nContent-Type: a/b\n\nwords\n"
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

func TestReplyToKeepsNames(t *testing.T) {
	m, err := takeApart(t, "Reply-To: \"Smith, John\" <a@x.org>; b@x.org\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m.Fields.ReplyTo); got != "[{Smith, John a@x.org} { b@x.org}]" {
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
