package sandbox

import (
	"slices"
	"strings"
	"testing"
)

func read(lines ...string) Message {
	var m Message
	raw := []byte(strings.Join(lines, "\r\n") + "\r\n\r\nTo: body@example.com\r\n\r\n")
	recognise(&m, raw, raw, false)
	return m
}

// Who gets the message, and whether the two readers agree on it.
func TestRecipients(t *testing.T) {
	for _, row := range []struct {
		name   string
		header []string
		want   []string
		differ bool
	}{
		{name: "plain", header: []string{"To: a@x.org, b@x.org", "Cc: c@x.org", "Bcc: d@x.org"},
			want: []string{"a@x.org", "b@x.org", "c@x.org", "d@x.org"}},
		{name: "names", header: []string{`To: Anna <a@x.org>, "B, the <second> \"b\"" <b@x.org>`},
			want: []string{"a@x.org", "b@x.org"}},
		{name: "folded", header: []string{"To: a@x.org,", " b@x.org,", "\tc@x.org"},
			want: []string{"a@x.org", "b@x.org", "c@x.org"}},
		{name: "encoded", header: []string{"To: =?utf-8?q?J=C3=B6rg=2C_b=40x?= <a@x.org>"}, want: []string{"a@x.org"}},
		{name: "comment", header: []string{"To: a@x.org (not (really) b@x.org)"}, want: []string{"a@x.org"}},
		{name: "group", header: []string{"To: Team: a@x.org, B <b@x.org>;, c@x.org"},
			want: []string{"a@x.org", "b@x.org", "c@x.org"}},
		{name: "empty group", header: []string{"To: undisclosed-recipients:;", "Bcc: a@x.org"},
			want: []string{"a@x.org"}},
		{name: "empty fields", header: []string{"To:", "Cc: ", "Bcc: a@x.org"}, want: []string{"a@x.org"}},
		{name: "repeated fields", header: []string{"To: a@x.org", "to: b@x.org", "TO:c@x.org"},
			want: []string{"a@x.org", "b@x.org", "c@x.org"}},
		{name: "repeated address", header: []string{"To: a@x.org, A@x.org", "Cc: a@X.org"}, want: []string{"a@x.org"}},
		{name: "quoted local part", header: []string{`To: "a b"@x.org`}, want: []string{`"a b"@x.org`}},
		{name: "quoted colon", header: []string{`To: "a:b"@x.org`, "Cc: a@[192.0.2.1]"},
			want: []string{`"a:b"@x.org`, "a@[192.0.2.1]"}},
		{name: "source route", header: []string{"To: <@r.org:a@x.org>"}, want: []string{"a@x.org"}, differ: true},
		{name: "no recipients elsewhere",
			header: []string{"Resent-To: a@x.org", "Apparently-To: b@x.org", "X-To: c@x.org", "Reply-To: d@x.org"}},
		{name: "no colon", header: []string{"nonsense", "To: a@x.org"}, want: []string{"a@x.org"}, differ: true},
		{name: "mbox line", header: []string{"From a@x.org Mon", "To: a@x.org"}, want: []string{"a@x.org"},
			differ: true},
		{name: "blank before the colon", header: []string{"To: a@x.org", "Bcc : b@x.org"},
			want: []string{"a@x.org", "b@x.org"}, differ: true},
		{name: "bare CR hides a field", header: []string{"To: a@x.org", "Subject: x\rBcc: b@x.org"},
			want: []string{"a@x.org", "b@x.org"}, differ: true},
		{name: "unclosed quote", header: []string{`To: "Anna <a@x.org>, b@x.org`}, want: []string{"a@x.org", "b@x.org"},
			differ: true},
		{name: "unclosed bracket", header: []string{"To: Anna <a@x.org"}, want: []string{"a@x.org"}, differ: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := read(row.header...)
			if !slices.Equal(m.Recipients, row.want) {
				t.Errorf("%q, want %q", m.Recipients, row.want)
			}
			if differ := slices.Contains(m.Notes, "two readings of the recipients differ") ||
				strings.Contains(strings.Join(m.Notes, " "), "strict reader"); differ != row.differ {
				t.Errorf("notes %q, strict %q, lenient %q", m.Notes, m.Strict, m.Lenient)
			}
		})
	}
}

func TestWhatElseIsRead(t *testing.T) {
	m := read("From: =?utf-8?q?J=C3=B6rg?= <a@x.org>", "Sender: s@x.org", "Subject: =?utf-8?b?w6Q=?=", " folded",
		"Message-ID: <1@x>", "Date: a", "Date: b", "Resent-To: r@x.org")
	if m.From != "Jörg <a@x.org>" || m.Sender != "s@x.org" || m.Subject != "ä folded" || m.MessageID != "<1@x>" ||
		!slices.Equal(m.FromAddresses, []string{"a@x.org"}) {
		t.Errorf("%+v", m)
	}
	if !slices.Equal(m.Notes, []string{"more than one date field", "has resent-to"}) {
		t.Errorf("%q", m.Notes)
	}
}

// The quick reading of load tests finds the same recipients.
func TestFastReading(t *testing.T) {
	raw := []byte("From: a@x.org\nTo: b@x.org\nBcc: c@x.org\n\nTo: d@x.org\n")
	var m Message
	recognise(&m, raw, nil, true)
	if !slices.Equal(m.Recipients, []string{"b@x.org", "c@x.org"}) || m.Strict != nil {
		t.Errorf("%+v", m)
	}
}

func TestParts(t *testing.T) {
	raw := strings.Join([]string{
		"To: a@x.org", "Content-Type: multipart/mixed; boundary=o", "",
		"--o", "Content-Type: multipart/alternative; boundary=i", "",
		"--i", "", "plain", "--i", "Content-Type: text/html", "", "<p>", "--i--", "",
		"--o", "Content-Type: application/pdf", "Content-Disposition: attachment; filename=\"r.pdf\"", "", "PDF",
		"--o--", "",
	}, "\r\n")
	want := []string{"multipart/mixed", "  multipart/alternative", "    text/plain 5", "    text/html 3",
		"  application/pdf 3 r.pdf"}
	if got := parts([]byte(raw)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	deep := strings.Repeat("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n", 1000)
	if got := parts([]byte(deep)); len(got) > maxParts {
		t.Errorf("%d lines", len(got))
	}
}

func TestWithoutBcc(t *testing.T) {
	raw := "To: a@x.org\r\nBCC: b@x.org,\r\n c@x.org\r\nBcc:\r\nX-Bcc: kept\r\nbcc : d@x.org\r\n\r\nBcc: body\r\n"
	if got := string(withoutBcc([]byte(raw))); got != "To: a@x.org\r\nX-Bcc: kept\r\n\r\nBcc: body\r\n" {
		t.Errorf("%q", got)
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb":               "a\nb",
		"a\rb\nc":              "a\u240db\u240a\nc",
		"\x00\x1b[31m\x7f\t":   "\u2400\u241b[31m\u2421\t",
		"\xff\xe4":             `\xff\xe4`,
		"\u202egnp.exe\u2066":  `\u{202e}gnp.exe\u{2066}`,
		"\u200b\u2028\u0085":   `\u{200b}\u{2028}\u{85}`,
		"Jörg \u65e5\u672c \\": "Jörg \u65e5\u672c \\",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
