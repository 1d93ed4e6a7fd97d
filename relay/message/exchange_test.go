package message

import (
	"strings"
	"testing"
)

// A client must not vouch for its own mail with the fields by which Exchange hosts
// speak to each other, however they are spelled. What looks similar passes, and
// so does a field inside an attached message.
func TestFieldsThatSpeakForExchangeAreDropped(t *testing.T) {
	const kept = "X-MS-Exchange-Calendar-Series-Id: 1\r\nX-MS-Has-Attach: yes\r\nX-Auto-Response-Suppress: " +
		"All\r\nX-MS-Exchange: 1\r\nXX-MS-Exchange-Organization-SCL: -1\r\nSubject: a\r\n " +
		"X-MS-Exchange-Organization-SCL: -1\r\n"
	var in, names strings.Builder
	for i, f := range exchangeFields {
		name := f.prefix + strings.Repeat("SCL", 1-i%2)
		if i%2 == 1 {
			name = strings.ToUpper(name)
		}
		in.WriteString(name + ":\r\n -1\r\n")
		names.WriteString(" " + name)
		if f.source == "" {
			t.Errorf("%s has no source", f.prefix)
		}
	}
	got, report, err := apply(t, "To: a@x.example\r\n"+in.String()+kept+in.String(),
		Edits{Recipients: addrs(t, "a@x.example")})
	if err != nil {
		t.Fatal(err)
	}
	if got != "To: a@x.example\r\n"+kept {
		t.Errorf("got\n%s", got)
	}
	if want := names.String()[1:]; strings.Join(report.Exchange, " ") != want {
		t.Errorf("reported %q, want %q", report.Exchange, want)
	}

	const body = "Content-Type: message/rfc822\r\n\r\nX-MS-Exchange-Organization-SCL: -1\r\n\r\nx\r\n"
	raw := "To: a@x.example\r\nX-MS-Exchange-Organization-AuthAs : Internal\r\n\r\n" + body
	h, rest, _, err := readAll(t, raw, Options{})
	if err != nil {
		t.Fatal(err)
	}
	block, _, err := h.Apply(Edits{Recipients: addrs(t, "a@x.example")})
	if err != nil || strings.Contains(string(block), "AuthAs") || rest != body {
		t.Errorf("%v\n%s%s", err, block, rest)
	}
}
