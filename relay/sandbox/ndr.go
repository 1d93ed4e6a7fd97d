package sandbox

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Bounced is the message that an NDR is about.
type Bounced struct {
	Mailbox   string // that has sent it, and gets the NDR
	Header    string // as it was delivered, with LF
	MessageID string
	To        []string // whom it did not reach
	At        time.Time
}

// shape is the form of an NDR. What public collections of them show was counted [I
// go-sisimai]: of 13 from Exchange Online, 12 have the empty X-MS-Exchange-Message-Is-Ndr,
// Auto-Submitted and multipart/report, 11 a delivery status, 10 the message, and all
// nine since 2018 In-Reply-To. The texts here are ours.
type shape struct {
	words    int      // language of subject and text; see languages
	without  []string // of: ndr, reply, auto, report, type, status, original, path
	headers  bool     // the header alone is returned, as text/rfc822-headers
	inWords  string   // the header is among the words for people: plain or html
	otherID  bool     // Exchange had replaced the Message-ID
	host     string   // of another mail system, which has written it; "" for Exchange
	action   string   // = failed; - for none
	code     string   // = 5.1.10
	in       string   // the code is there only in the diagnostic: = 5.0.0 in Status
	lower    bool     // names of fields in lower case, addresses in brackets
	utf8     bool     // addresses of the type utf-8 (RFC 6533)
	forwards bool     // Final-Recipient is elsewhere, Original-Recipient is whom the message named
	gateway  bool     // a gateway has put it into a multipart/mixed with a footer
	base64   bool     // the delivery status is encoded
	cut      bool     // its end is missing
}

func (s shape) has(what string) bool { return !slices.Contains(s.without, what) }

// Shapes are the names of the forms of NDRs and of warnings of a delay that Bounce makes.
func Shapes() []string { return slices.Sorted(maps.Keys(shapes)) }

var shapes = map[string]shape{
	"exchange":            {},
	"exchange-german":     {words: 1},
	"exchange-french":     {words: 2, code: "5.1.1"},
	"exchange-japanese":   {words: 3, code: "5.4.1"},
	"exchange-arabic":     {words: 4, code: "5.7.1"},
	"full-mailbox":        {code: "5.2.2"},
	"spam":                {code: "5.7.520"},
	"tenant-limit":        {code: "5.7.233"},
	"tenant-limit-trial":  {code: "5.7.232"},
	"onmicrosoft-limit":   {code: "5.7.236"},
	"mailbox-limit":       {code: "5.1.90"},
	"code-in-diagnostic":  {in: "5.4.300"},
	"lower-case":          {lower: true},
	"utf8":                {utf8: true},
	"forwarded":           {forwards: true},
	"through-gateway":     {gateway: true},
	"status-in-base64":    {base64: true},
	"without-report-type": {without: []string{"type"}},
	"without-action":      {action: "-"},
	"without-return-path": {without: []string{"path"}},
	"without-ndr-mark":    {without: []string{"ndr"}},
	"without-reply":       {without: []string{"reply"}},
	"header-only":         {headers: true, without: []string{"reply"}},
	"other-message-id":    {otherID: true, without: []string{"reply"}},
	"header-in-text":      {inWords: "plain", without: []string{"reply", "original"}},
	"header-in-html":      {inWords: "html", without: []string{"reply", "original"}},
	"cut":                 {cut: true},
	"without-status":      {without: []string{"status", "report"}},
	"postfix":             {host: "mx.example.net", without: []string{"ndr", "reply"}, headers: true, code: "5.1.1"},
	"exim":                {host: "mail.example.org", without: []string{"ndr", "reply"}, code: "5.0.0"},
	"delayed":             {action: "delayed", code: "4.4.7", without: []string{"ndr"}},
	"delayed-german":      {words: 1, action: "delayed", code: "4.4.316"},
	"delayed-by-other-host": {
		host: "mx.example.net", action: "delayed", code: "4.4.1", without: []string{"ndr", "reply"},
	},
	"keyless": {without: []string{"reply", "original"}},
}

// Code is the enhanced status code by which a shape says what is wrong.
func Code(name string) string { return or(shapes[name].in, or(shapes[name].code, "5.1.10")) }

// languages are the subject and a sentence; a reader must not need them.
var languages = [][2]string{
	{"Undeliverable: ", "Your message could not be delivered."},
	{"Unzustellbar: ", "Ihre Nachricht konnte nicht zugestellt werden."},
	{"=?utf-8?q?Non_remis_:_?= ", "Votre message n'a pas =C3=A9t=C3=A9 remis."},
	{"=?utf-8?b?6YWN5L+h5LiN6IO9OiA=?= ", "=E9=85=8D=E4=BF=A1=E4=B8=8D=E8=83=BD=E3=81=A7=E3=81=99=E3=80=82"},
	{"=?utf-8?b?2KrYudiw2LHYp9mE2KrYs9mE2YrZhTog?= ", "=D8=AA=D8=B9=D8=B0=D8=B1."},
}

// NDR writes the report of a shape, or a message that only looks like one.
func NDR(name string, a Bounced) ([]byte, error) {
	if other, ok := lookalikes[name]; ok {
		return []byte(strings.ReplaceAll(other(a), "\n", "\r\n")), nil
	}
	s, ok := shapes[name]
	if !ok {
		return nil, fmt.Errorf("no shape %q; there are %s", name, strings.Join(append(Shapes(), Lookalikes()...), ", "))
	}
	text := s.top(a) + s.body(a)
	if s.cut {
		text = text[:len(text)-len("\n--b1--\n")-60]
	}
	return []byte(strings.ReplaceAll(text, "\n", "\r\n")), nil
}

func (s shape) top(a Bounced) string {
	from := "postmaster@" + a.Mailbox[strings.IndexByte(a.Mailbox, '@')+1:]
	if s.host != "" {
		from = "MAILER-DAEMON@" + s.host
	}
	var b strings.Builder
	line := func(part, format string, args ...any) {
		if s.has(part) {
			fmt.Fprintf(&b, format+"\n", args...)
		}
	}
	line("path", "Return-Path: <>")
	line("", "From: <%s>\nTo: <%s>\nDate: %s", from, a.Mailbox, a.At.Format(time.RFC1123Z))
	line("", "Message-ID: <ndr-%s@%s>", newID(), or(s.host, "contoso.mail.protection.example"))
	line("", "Subject: %sa message", languages[s.words][0])
	line("ndr", "X-MS-Exchange-Message-Is-Ndr:")
	line("auto", "Auto-Submitted: auto-replied")
	line("reply", "In-Reply-To: %s\nReferences: %s", a.MessageID, a.MessageID)
	kind := "multipart/report; report-type=delivery-status; boundary=\"b1\""
	if !s.has("report") {
		kind = "multipart/mixed; boundary=\"b1\""
	} else if !s.has("type") {
		kind = "multipart/report; boundary=\"b1\""
	}
	if s.gateway {
		line("", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b0\"\n\n--b0\nContent-Type: %s\n", kind)
	} else {
		line("", "MIME-Version: 1.0\nContent-Type: %s\n", kind)
	}
	return b.String()
}

func (s shape) body(a Bounced) string {
	header := a.Header
	if s.otherID {
		header = strings.Replace(header, a.MessageID, "<replaced-"+newID()+"@prod.exchange.example>", 1)
	}
	plain, html := languages[s.words][1], languages[s.words][1]
	switch s.inWords {
	case "plain":
		plain += "\n\nDiagnostic information:\n\n" + strings.ReplaceAll(header, "=", "=3D")
	case "html":
		html += "<pre>\n" + strings.NewReplacer("=", "=3D", "<", "&lt;", ">", "&gt;").Replace(header) + "</pre>"
	}
	const utf8 = "; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
	text := "--b1\nContent-Type: multipart/alternative; boundary=\"b2\"\n\n" +
		"--b2\nContent-Type: text/plain" + utf8 + plain + "\n" +
		"--b2\nContent-Type: text/html" + utf8 + html + "\n--b2--\n"
	if s.has("status") {
		text += s.part(a)
	}
	switch {
	case s.headers:
		text += "--b1\nContent-Type: text/rfc822-headers\n\n" + header
	case s.has("original"):
		text += "--b1\nContent-Type: message/rfc822\n\n" + header + "\nThe text of the message, of some length.\n"
	}
	if text += "\n--b1--\n"; s.gateway {
		text += "--b0\nContent-Type: text/plain\n\nChecked by a gateway.\n--b0--\n"
	}
	return text
}

// part is the message/delivery-status (RFC 3464).
func (s shape) part(a Bounced) string {
	var b strings.Builder
	field := func(name, format string, args ...any) {
		if s.lower {
			name = strings.ToLower(name)
		}
		fmt.Fprintf(&b, name+": "+format+"\n", args...)
	}
	field("Reporting-MTA", "dns;%s", or(s.host, "AM0PR01MB0001.prod.outlook.example"))
	field("Arrival-Date", "%s", a.At.Add(-time.Minute).Format(time.RFC1123Z))
	code := or(s.code, "5.1.10")
	for _, to := range a.To {
		b.WriteString("\n")
		final := to
		if s.forwards {
			field("Original-Recipient", "rfc822;%s", to)
			final = "forwarded@elsewhere.example"
		}
		switch {
		case s.lower:
			field("Final-Recipient", "RFC822; <%s>", final)
		case s.utf8:
			field("Final-Recipient", "utf-8;%s", strings.Replace(final, final[:1], fmt.Sprintf(`\x{%X}`, final[0]), 1))
		default:
			field("Final-Recipient", "rfc822;%s", final)
		}
		if s.action != "-" {
			field("Action", "%s", or(s.action, "failed"))
		}
		status, said := code, code
		if s.in != "" {
			status, said = "5.0.0", s.in
		}
		field("Status", "%s", status)
		field("Diagnostic-Code", "smtp;%s50 %s made for a test [Hostname=mx.example.net]", said[:1], said)
		if s.host != "" {
			field("Remote-MTA", "dns;%s", s.host)
		}
		field("Last-Attempt-Date", "%s", a.At.Format(time.RFC1123Z))
	}
	if s.base64 {
		return "--b1\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n" +
			base64.StdEncoding.EncodeToString([]byte(b.String())) + "\n"
	}
	return "--b1\nContent-Type: message/delivery-status\n\n" + b.String() + "\n"
}
