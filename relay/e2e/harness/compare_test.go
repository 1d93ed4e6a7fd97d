package harness_test

import (
	"fmt"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// verdict notes whether a comparison failed, in place of a test.
type verdict struct {
	testing.TB
	failed string
}

func (v *verdict) Helper()                   {}
func (v *verdict) Errorf(f string, a ...any) { v.failed += fmt.Sprintf(f, a...) }

// The comparison on which every end-to-end test rests must itself be able to fail.
func TestCompareMessage(t *testing.T) {
	sent := harness.Sent{From: "s@x", To: []string{"a@x", "b@x"},
		Data: "From: s@x\nTo: A <a@x>,\n d@x\nSubject: one\n two\nX-A: 1\n\nBody\n"}
	const good = "Received: by relay\r\n\twith x\r\nBcc: b@x\r\nX-Graphrelay-To: A <a@x>, d@x\r\nFrom: s@x\r\nTo: A " +
		"<a@x>\r\nSubject: one\r\n two\r\nX-A: 1\r\n\r\nBody\r\n"
	for _, c := range []struct {
		name, got string
		fails     bool
	}{
		{"good", good, false},
		{"body shortened", good[:len(good)-2], true},
		{"body with LF", good[:len(good)-2] + "\n", true},
		{"field lost", "Bcc: b@x\r\nX-Graphrelay-To: A <a@x>, d@x\r\nFrom: s@x\r\nTo: A <a@x>\r\nSubject: one\r\n " +
			"two\r\n\r\nBody\r\n", true},
		{"field refolded", "Bcc: b@x\r\nX-Graphrelay-To: A <a@x>, d@x\r\nFrom: s@x\r\nTo: A <a@x>\r\nSubject: one " +
			"two\r\nX-A: 1\r\n\r\nBody\r\n", true},
		{"field added", "X-Odd: 1\r\n" + good, true},
		{"recipient lost", "X-Graphrelay-To: A <a@x>, d@x\r\nFrom: s@x\r\nTo: A <a@x>\r\nSubject: one\r\n " +
			"two\r\nX-A: 1\r\n\r\nBody\r\n", true},
		{"recipient kept that is not in the envelope",
			"Bcc: b@x\r\nFrom: s@x\r\nTo: A <a@x>,\r\n d@x\r\nSubject: one\r\n two\r\nX-A: 1\r\n\r\nBody\r\n", true},
		{"To lost its original",
			"Bcc: b@x\r\nFrom: s@x\r\nTo: A <a@x>\r\nSubject: one\r\n two\r\nX-A: 1\r\n\r\nBody\r\n", true},
	} {
		v := &verdict{TB: t}
		harness.CompareMessage(v, sent, []byte(c.got))
		if (v.failed != "") != c.fails {
			t.Errorf("%s: failed = %q, want failure %v", c.name, v.failed, c.fails)
		}
	}
}
