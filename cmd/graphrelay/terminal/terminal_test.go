package terminal

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	if got := meterLine("deleting", 50, 100,
		10*time.Second); got != "deleting [###############...............] 50 of 100, 5/s" {
		t.Error(got)
	}
	if got := meterLine("deleting", 50, 0, 10*time.Second); got != "deleting 50, 5/s" {
		t.Error(got)
	}
	var b bytes.Buffer
	m := NewMeter(&b, "x", 1)
	m.begun = m.begun.Add(-time.Hour)
	m.Show(1)
	m.End()
	if b.Len() > 0 {
		t.Errorf("a meter where nobody looks: %q", b.String())
	}
}

func TestConfirm(t *testing.T) {
	for in, want := range map[string]bool{"y\n": true, "Yes\n": true, "\n": false, "": false, "no\n": false,
		"yesterday\n": false} {
		if got := Confirm(strings.NewReader(in), io.Discard, "Delete?"); got != want {
			t.Errorf("%q = %v", in, got)
		}
	}
}

// JSON says the same to a program, and nothing to a terminal.
func TestJSONShowsNothingThatATerminalObeys(t *testing.T) {
	in := "a\x1b\u202e\x7f\u200b\U000e0041\u3164\u2800 <é> \U0001f600"
	b, err := JSON(in, "")
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(string(b), "\x1b\u202e\x7f\u200b\U000e0041\u3164\u2800") ||
		!strings.Contains(string(b), "<é>") {
		t.Errorf("%s", b)
	}
	var out string
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("%q, %v", out, err)
	}
}

func TestColourOnlyOnTerminals(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if NewPainter(f).on || NewPainter(&bytes.Buffer{}).on {
		t.Error("a file is painted")
	}
	if got := (Painter{on: true}).Paint(Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
}

func TestSpansAndSizes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", time.Minute: "1m", 59 * time.Minute: "59m", time.Hour: "1h",
		47 * time.Hour: "47h", 48 * time.Hour: "2d", -90 * time.Second: "in 1m",
	} {
		if got := Ago(d); got != want {
			t.Errorf("Ago(%s) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 10<<10 - 1: "10239", 10 << 10: "10K", 10<<20 - 1: "10239K",
		10 << 20: "10M"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestShellWordIsOneWord(t *testing.T) {
	if got := ShellWord("a'; rm -rf ~ 'b"); got != `'a'\''; rm -rf ~ '\''b'` {
		t.Error(got)
	}
}

// A table stays aligned whatever is in it: wide characters take two columns, and
// combining ones none.
func TestGridStaysAligned(t *testing.T) {
	var b bytes.Buffer
	g := NewGrid(&b, "NAME", "STATE")
	g.Row("漢字", "held")
	g.Row("e\u0301", "sent")
	g.Note("    and why")
	if err := g.Print(func(int, string) string { return Red }); err != nil {
		t.Fatal(err)
	}
	if want := "NAME  STATE\n漢字  held\ne\u0301     sent\n    and why\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	g.Headless = true
	if err := g.Print(func(int, string) string { return "" }); err != nil || strings.Contains(b.String(), "NAME") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestShortCountsColumns(t *testing.T) {
	for in, want := range map[string]string{"abcdef": "abcdef", "abcdefg": "abcde…", "漢字漢字": "漢字…"} {
		if got := Short(in, 6); got != want || Columns(got) > 6 {
			t.Errorf("Short(%q) = %q, want %q", in, got, want)
		}
	}
}
