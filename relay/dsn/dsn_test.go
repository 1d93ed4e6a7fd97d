package dsn

import (
	"bytes"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	gomessage "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

func addr(s string) envelope.Address {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		panic(err) // a literal of a test
	}
	return a
}

func example() Report {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return Report{
		From:     addr("notifications@contoso.com"),
		To:       []envelope.Address{addr("erp@contoso.com"), addr("admin@contoso.com")},
		Hostname: "relay.contoso.local", MessageID: "<1@relay.contoso.local>", Date: at.Add(time.Hour),
		Status: reply.Enhanced{5, 1, 3}, RequestID: "a-request",
		Text: "a recipient address is not valid (Graph answered 400 ErrorInvalidRecipients: " +
			"At least one recipient is not valid.); correct the recipients",
		LastAttempt: at.Add(time.Minute),
		Original: Original{
			ID:         "0123456789abcdef",
			MessageID:  "<invoice-17@erp.contoso.local>",
			Subject:    "Rechnung für März",
			Recipients: []envelope.Address{addr("one@example.net"), addr("jürgen@bücher.example")},
			Mailbox:    addr("notifications@contoso.com"),
			Accepted:   at,
			Header: []byte("From: erp@contoso.com\r\nTo: one@example.net\r\n" +
				"Bcc: secret@example.net,\r\n other@example.net\r\n" +
				"Subject: =?utf-8?q?Rechnung_f=C3=BCr_M=C3=A4rz?=\r\nX-Long: a\r\n b\r\n\r\n"),
		},
	}
}

// parsed is a report as go-message reads it.
type parsed struct {
	header gomessage.Header
	parts  []string // bodies, decoded
	types  []string
}

func parse(t testing.TB, report []byte) parsed {
	t.Helper()
	e, err := gomessage.Read(bytes.NewReader(report))
	if err != nil {
		t.Fatalf("%v in\n%s", err, report)
	}
	p := parsed{header: e.Header}
	if kind, params, err := e.Header.ContentType(); err != nil || kind != "multipart/report" ||
		params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %s %v %v", kind, params, err)
	}
	for r := e.MultipartReader(); ; {
		part, err := r.NextPart()
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, report)
		}
		kind, _, _ := part.Header.ContentType()
		body, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatal(err)
		}
		p.types, p.parts = append(p.types, kind), append(p.parts, string(body))
	}
}

func TestReport(t *testing.T) {
	report, headerSize, err := example().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "failed.eml", report)
	if !bytes.HasSuffix(report[:headerSize], []byte("\r\n\r\n")) || bytes.Count(report[:headerSize],
		[]byte("\r\n\r\n")) != 1 {
		t.Errorf("header block of %d octets is %q", headerSize, report[:headerSize])
	}
	p := parse(t, report)
	for name, want := range map[string]string{
		"From": "Mail relay <notifications@contoso.com>", "To": "erp@contoso.com, admin@contoso.com",
		"Auto-Submitted": "auto-replied",
		"In-Reply-To":    "<invoice-17@erp.contoso.local>", "Message-Id": "<1@relay.contoso.local>",
		"Date": "Sun, 01 Mar 2026 13:00:00 +0000",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s, err := p.header.Text("Subject"); err != nil || s != "Not sent: Rechnung für März" {
		t.Errorf("Subject is %q, %v", s, err)
	}
	if got := strings.Join(p.types, " "); got != "text/plain message/delivery-status text/rfc822-headers" {
		t.Fatalf("parts are %s", got)
	}
	for i, want := range [][]string{
		{"could not be sent", "Rechnung für März", "correct the recipients", "5.1.3",
			"graphrelay queue retry 0123456789abcdef"},
		{"Reporting-MTA: dns; relay.contoso.local", "Final-Recipient: rfc822; one@example.net",
			`Final-Recipient: utf-8; j\x{FC}rgen@xn--bcher-kva.example`, "Action: failed", "Status: 5.1.3",
			"Final-Log-ID: a-request"},
		{"From: erp@contoso.com", "X-Long: a\r\n b"},
	} {
		for _, s := range want {
			if !strings.Contains(p.parts[i], s) && !strings.Contains(strings.Join(strings.Fields(p.parts[i]), " "), s) {
				t.Errorf("the %s says nothing of %q:\n%s", p.types[i], s, p.parts[i])
			}
		}
	}
	if bytes.Contains(report, []byte("secret@")) || bytes.Contains(report, []byte("other@")) {
		t.Error("a Bcc recipient became visible")
	}
}

var update = flag.Bool("update", false, "write the reports of testdata anew")

// golden compares with a file that programs of other people read too.
func golden(t *testing.T, name string, report []byte) {
	t.Helper()
	boundary := parse(t, report).header
	_, params, _ := boundary.ContentType()
	report = bytes.ReplaceAll(report, []byte(params["boundary"]), []byte("a-boundary"))
	if *update {
		if err := os.WriteFile("testdata/"+name, report, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil || !bytes.Equal(report, want) {
		t.Errorf("%v; the report differs from testdata/%s:\n%s", err, name, report)
	}
}

func TestDelayed(t *testing.T) {
	r := example()
	r.Delayed, r.Others, r.Until, r.Status = true, 41, r.Date.Add(5*24*time.Hour), reply.Enhanced{4, 7, 0}
	report, _, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "delayed.eml", report)
	p := parse(t, report)
	for i, want := range [][]string{{"Nothing is lost", "wait too: 41.", "Fri, 06 Mar 2026"},
		{"Action: delayed", "Status: 4.7.0", "Will-Retry-Until: Fri, 06 Mar 2026 13:00:00 +0000"}} {
		for _, s := range want {
			if !strings.Contains(strings.Join(strings.Fields(p.parts[i]), " "), s) {
				t.Errorf("the %s says nothing of %q:\n%s", p.types[i], s, p.parts[i])
			}
		}
	}
}

// TestStatusClass: what failed has class 5, what is delayed class 4, whatever
// the last attempt said.
func TestStatusClass(t *testing.T) {
	for _, c := range []struct {
		was     reply.Enhanced
		delayed bool
		want    string
	}{
		{reply.Enhanced{4, 7, 1}, false, "5.7.1"}, {reply.Enhanced{5, 3, 4}, false, "5.3.4"}, {reply.Enhanced{}, false,
			"5.4.7"},
		{reply.Enhanced{4, 4, 1}, true, "4.4.1"}, {reply.Enhanced{}, true, "4.4.7"},
	} {
		if got := (Report{Status: c.was, Delayed: c.delayed}).status().String(); got != c.want {
			t.Errorf("%v, delayed %v: %s, want %s", c.was, c.delayed, got, c.want)
		}
	}
}

func TestMaySentIsSaid(t *testing.T) {
	r := example()
	if strings.Contains(r.words(), "Sent Items") {
		t.Error("a doubt is raised where there is none")
	}
	r.MaySent = true
	if !strings.Contains(r.words(), "Sent Items") {
		t.Error("a doubt is not told")
	}
}

func TestManyRecipients(t *testing.T) {
	r := example()
	r.Original.Recipients = nil
	for range 300 {
		r.Original.Recipients = append(r.Original.Recipients, addr("someone@example.net"))
	}
	if !strings.Contains(strings.Join(strings.Fields(r.words()), " "), "and 290 more") {
		t.Errorf("all of 300 recipients are told to people:\n%s", r.words())
	}
	if n := strings.Count(r.fields(), "Final-Recipient"); n != 300 {
		t.Errorf("%d of 300 recipients are told to programs", n)
	}
}

func TestLongHeaderIsCut(t *testing.T) {
	r := example()
	r.Original.Header = []byte("A: b\r\n" + strings.Repeat("X-Filler: "+strings.Repeat("y", 90)+"\r\n", 2000) +
		"Z: last\r\n\r\n")
	got := string(r.Original.returned())
	if len(got) > MaxHeader || !strings.HasPrefix(got, "A: b\r\n") || !strings.HasSuffix(got, "yy\r\n") {
		t.Errorf("%d octets are returned, ending with %q", len(got), got[len(got)-20:])
	}
}

func TestUnwanted(t *testing.T) {
	for _, c := range []struct {
		header string
		want   bool
	}{
		{"From: a@b\r\nSubject: x\r\n\r\n", false},
		{"Auto-Submitted: no\r\n\r\n", false},
		{"auto-submitted: No ; comment\r\n\r\n", false},
		{"Auto-Submitted: auto-generated\r\n\r\n", true},
		{"AUTO-SUBMITTED:\r\n auto-replied; owner-email=\"a@b\"\r\n\r\n", true},
		{"Subject: x\r\nPrecedence: bulk\r\n\r\n", true},
		{"Precedence: list\r\n\r\n", true},
		{"Precedence: junk\r\n\r\n", true},
		{"Precedence: first-class\r\n\r\n", false},
		{"Content-Type: multipart/report; report-type=delivery-status\r\n\r\n", true},
		{"Content-Type: multipart/mixed\r\n\r\n", false},
		{"Subject: x\r\n Auto-Submitted: auto-generated\r\n\r\n", false},
		{"no field\r\n: \r\n\r\n", false},
		{"", false},
	} {
		if got := Unwanted([]byte(c.header)); (got != "") != c.want {
			t.Errorf("%q: %q", c.header, got)
		}
	}
}

// FuzzReport: whatever a message holds, its report can be parsed, is addressed
// to its recipients only and keeps to short lines of ASCII.
func FuzzReport(f *testing.F) {
	f.Add("Subject: x\r\nTo: a@b\r\n\r\n", "plain", "<id@host>", "a text; an advice")
	f.Add("X: \xff\x00\r\n\r\n", "=?utf-8?b?4pyT?=", "<a b>", "ü\r\nInjected: yes")
	f.Add("--\r\nBcc: x@y\r\n\t:\n\n", "=?bogus?q?x?=", "<>\r\nTo: evil@example.net", strings.Repeat("long", 500))
	f.Fuzz(func(t *testing.T, header, subject, id, text string) {
		r := example()
		r.Original.Header, r.Original.Subject, r.Original.MessageID, r.Text = []byte(header), subject, id, text
		Unwanted([]byte(header))
		report, headerSize, err := r.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		p := parse(t, report)
		if len(p.parts) != 3 || p.header.Get("To") != "erp@contoso.com, admin@contoso.com" || p.header.Has("Cc") ||
			p.header.Has("Bcc") {
			t.Fatalf("%d parts; header\n%s", len(p.parts), report[:headerSize])
		}
		if !plain(report) {
			t.Fatalf("not plain:\n%q", report)
		}
		if n := strings.Count(p.parts[1], "\r\nAction: failed\r\n"); n != 2 ||
			strings.Contains(p.parts[1], "\nInjected") {
			t.Fatalf("%d actions in\n%s", n, p.parts[1])
		}
	})
}

// TestBounces: each recipient has the words of the host that refused it.
func TestBounces(t *testing.T) {
	r := example()
	r.Original.Header = nil
	r.Bounces = []Bounce{
		{addr("one@example.net"), reply.Enhanced{5, 1, 10}, "550 5.1.10 no such user", "mx.example.net"},
		{addr("jürgen@bücher.example"), reply.Enhanced{}, "no reason is given", ""},
	}
	report, _, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "bounced.eml", report)
	p := parse(t, report)
	if s, err := p.header.Text("Subject"); err != nil || s != "Not delivered: Rechnung für März" {
		t.Errorf("Subject is %q, %v", s, err)
	}
	for i, want := range [][]string{
		{"reported as undeliverable", "one@example.net (5.1.10): mx.example.net said: 550 5.1.10 no such user",
			"lies in the mailbox notifications@contoso.com"},
		{"Final-Recipient: rfc822; one@example.net Action: failed Status: 5.1.10 " +
			"Diagnostic-Code: smtp; 550 5.1.10 no such user Remote-MTA: dns; mx.example.net",
			`Final-Recipient: utf-8; j\x{FC}rgen@xn--bcher-kva.example Action: failed Status: 5.0.0`},
	} {
		for _, s := range want {
			if !strings.Contains(strings.Join(strings.Fields(p.parts[i]), " "), s) {
				t.Errorf("the %s says nothing of %q:\n%s", p.types[i], s, p.parts[i])
			}
		}
	}
	if strings.Contains(p.parts[0], "queue retry") {
		t.Error("it offers to retry what was sent")
	}
}
