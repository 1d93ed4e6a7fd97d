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
