package message

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

// tenKB is the message size of the figures in README.md.
func tenKB(tb testing.TB) []byte {
	tb.Helper()
	in, err := os.ReadFile("testdata/erp-invoice.eml")
	if err != nil {
		tb.Fatal(err)
	}
	line := strings.Repeat("x", 74) + "\r\n"
	return append(in, strings.Repeat(line, (10_240-len(in))/len(line)+1)...)
}

// runMessage does all that happens to a message whose recipients are in its
// header, except copying the body.
func runMessage(tb testing.TB) func() {
	in := tenKB(tb)
	e := edits(addrs(tb, "joerg.schmidt@kunde.example aenne@kunde.example bert@contoso.example carla@contoso.example"))
	buf := make([]byte, 64<<10)
	r := bytes.NewReader(in)
	return func() {
		r.Reset(in)
		h, body, err := Read(r, Options{})
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := h.Authors(); err != nil {
			tb.Fatal(err)
		}
		_, rep, err := h.Apply(e)
		if err != nil || rep.Blind != 0 || len(rep.Added) != 0 {
			tb.Fatal(err, rep)
		}
		for err == nil {
			_, err = body.Read(buf)
		}
		if err != io.EOF {
			tb.Fatal(err)
		}
	}
}

func BenchmarkMessage(b *testing.B) {
	run := runMessage(b)
	b.SetBytes(10_240)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

func benchmarkBody(b *testing.B, line string, size int) {
	in := []byte("Subject: s\r\n\r\n" + strings.Repeat(line, (4<<20)/len(line)))
	buf := make([]byte, size)
	r := bytes.NewReader(in)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(in)
		_, body, err := Read(r, Options{})
		for err == nil {
			_, err = body.Read(buf)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	text := strings.Repeat("x", 76)
	b.Run("CRLF", func(b *testing.B) { benchmarkBody(b, text+"\r\n", 32<<10) })
	b.Run("LF", func(b *testing.B) { benchmarkBody(b, text+"\n", 32<<10) })
	b.Run("smallbuffer", func(b *testing.B) { benchmarkBody(b, text+"\r\n", 256) })
}

// The hot path must stay cheap: 40 allocations with four recipients, of which
// each costs six in package envelope, and a few more under the race detector.
func TestMessageAllocations(t *testing.T) {
	if got := testing.AllocsPerRun(100, runMessage(t)); got > 44 {
		t.Errorf("%.0f allocations for a message of 10 KB", got)
	}
}
