package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestUnlistedUndoesApply: what the envelope made of the recipients is undone, and Bcc
// is gone; what had no single reading stays.
func TestUnlistedUndoesApply(t *testing.T) {
	for _, c := range []struct{ name, in, rcpts, want string }{
		{"nothing to do", "To: a@x.example\r\nSubject: s\r\n", "a@x.example", ""},
		{"blind", "To: a@x.example\r\nSubject: s\r\n", "a@x.example b@x.example", ""},
		{"trimmed, and the case of a name is lost where none is left",
			"TO:  A <a@x.example>,\r\n d@x.example (c)\r\ncc:e@x.example\r\nSubject: s\r\n", "a@x.example",
			"TO:  A <a@x.example>,\r\n d@x.example (c)\r\nCc:e@x.example\r\nSubject: s\r\n"},
		{"nobody left", "Subject: s\r\nTo: a@x.example\r\n", "c@x.example", ""},
		{"a group", "To: Team: a@x.example, b@x.example;\r\n", "a@x.example", ""},
		{"the client's own Bcc", "Bcc: b@x.example\r\nTo: a@x.example\r\n", "a@x.example b@x.example",
			"To: a@x.example\r\n"},
		{"several", "To: a@x.example\r\nTo: b@x.example, c@x.example\r\n", "a@x.example b@x.example",
			"To: a@x.example,\r\n b@x.example\r\nX-Graphrelay-To: b@x.example, c@x.example\r\n"},
		{"unreadable", "To: a@x.example; b@x.example\r\n", "a@x.example",
			"X-Graphrelay-To: a@x.example; b@x.example\r\n"},
	} {
		if c.want == "" {
			c.want = c.in
		}
		block, _, err := apply(t, c.in, Edits{Recipients: addrs(t, c.rcpts), Received: "Received: x\r\n"})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(Unlisted([]byte(block + "\r\n"))); got != "Received: x\r\n"+c.want+"\r\n" {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
	if got := string(Unlisted([]byte("\x00\r\n"))); got == "" {
		t.Error("what cannot be read is gone")
	}
}

// FuzzUnlisted: whatever Apply made, what is undone can be read as before, and has no Bcc.
func FuzzUnlisted(f *testing.F) {
	f.Add("To: a@x.example, d@x.example\r\nBcc: b@x.example\r\n")
	f.Add("To: a@x.example\r\nTo: b@x.example; c@x.example\r\ncc: Team: a@x.example;\r\n")
	f.Fuzz(func(t *testing.T, header string) {
		h, _, err := Read(strings.NewReader(header+"\r\n"), Options{})
		if err != nil {
			return
		}
		block, _, err := h.Apply(Edits{Recipients: addrs(t, "a@x.example b@x.example")})
		if err != nil {
			return
		}
		out := Unlisted(block)
		again, body, err := Read(bytes.NewReader(out), Options{MaxHeader: 2 << 20})
		if err != nil {
			t.Fatalf("%q became %q: %v", block, out, err)
		}
		if rest, _ := io.ReadAll(body); len(rest) > 0 {
			t.Errorf("%q became %q, with a body", block, out)
		}
		for name := range again.All() {
			if strings.EqualFold(name, "bcc") {
				t.Errorf("%q became %q", block, out)
			}
		}
	})
}
