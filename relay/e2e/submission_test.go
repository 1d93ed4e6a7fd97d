package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// bySMTP makes large mail of what is small, so that tests are quick.
var bySMTP = harness.With("delivery", "large_messages: smtp", "mime_limit: 128KiB", "id_header: false")

func maySubmit(o *sandbox.Options) { o.Granted = []string{"SMTP.SendAsApp"} }

// startSubmission runs a relay that submits to a double.
func startSubmission(t *testing.T, settings ...harness.Setting) (*harness.Relay, *harness.Double) {
	t.Helper()
	d := harness.StartDouble(t, maySubmit)
	if err := d.StartSubmission(""); err != nil {
		t.Fatal(err)
	}
	return harness.StartRelay(t, d, append([]harness.Setting{bySMTP}, settings...)...), d
}

// largeText has lines that begin with dots, and bytes above 127.
func largeText(id string) string {
	return "From: " + harness.Sender + "\r\nTo: Team: a@example.org, gone@example.org;\r\nMessage-ID: " + id +
		"\r\nDate: Mon, 30 Nov 2026 07:00:00 +0000" +
		"\r\nSubject: large\r\nContent-Type: multipart/signed; boundary=B; protocol=\"application/pkcs7-signature\"" +
		"\r\n\r\n--B\r\n\r\n" + strings.Repeat(".\r\n..x\r\n\xe4 line of a large message\r\n", 8000) + "--B--\r\n"
}

// withoutReceived is a message below the field that the relay adds.
func withoutReceived(t *testing.T, raw []byte) string {
	t.Helper()
	rest, ok := bytes.CutPrefix(raw, []byte("Received: "))
	if !ok {
		t.Fatalf("no Received: %.200q", raw)
	}
	for {
		_, more, found := bytes.Cut(rest, []byte("\r\n"))
		if rest = more; !found || !bytes.HasPrefix(more, []byte(" ")) && !bytes.HasPrefix(more, []byte("\t")) {
			return string(more)
		}
	}
}

// TestLargeMailIsSubmittedWhole, a signed one too, with its envelope and not a byte of
// it changed; small mail of the same mailbox goes by Graph.
func TestLargeMailIsSubmittedWhole(t *testing.T) {
	r, d := startSubmission(t, harness.Watched())
	c := harness.Hello(t, r.Addr)
	text := largeText("<large@client.example>")
	c.Send(harness.Sender, []string{"a@example.org", "hidden@example.org"}, text)
	c.Send(harness.Sender, []string{"a@example.org"}, "From: "+harness.Sender+"\r\nMessage-ID: <small@x>\r\n\r\nx\r\n")
	r.WaitEmpty(patience)
	for _, m := range d.Messages() {
		raw, err := d.Raw(m.ID)
		switch {
		case err != nil:
			t.Error(err)
		case m.MessageID == "<small@x>" && m.Form == "mime":
		case m.Form != "submission" || withoutReceived(t, raw) != text || strings.Contains(string(raw), "hidden@"):
			t.Errorf("%s by %s: %d bytes of %d", m.MessageID, m.Form, len(raw), len(text))
		case strings.Join(m.Recipients, " ") != "a@example.org hidden@example.org" || m.ReversePath != harness.Sender:
			t.Errorf("%+v", m)
		}
	}
	if d.Count() != 2 {
		t.Errorf("%d messages arrived", d.Count())
	}
	if out := command(t, r, "trace", "<large@client.example>"); !strings.Contains(out, "sent") {
		t.Errorf("trace:\n%s", out)
	}
	page := r.Page("/metrics")
	for _, want := range []string{
		`graphrelay_submission_responses_total{code="250",identity="default"} 1`,
		`graphrelay_submission_duration_seconds_count{identity="default"} 1`,
		`graphrelay_graph_responses_total{code="202",identity="default"} 1`,
		`graphrelay_graph_request_duration_seconds_count{identity="default"} 1`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// TestASwitchHoldsLargeMailAlone: with SMTP AUTH off small mail goes on, the hold says
// what to do, and when it is done the large mail leaves by itself.
func TestASwitchHoldsLargeMailAlone(t *testing.T) {
	r, d := startSubmission(t, harness.Watched())
	d.SetSMTPAuth(false, harness.Sender)
	c := harness.Hello(t, r.Addr)
	for _, id := range []string{"<1@large>", "<2@large>"} {
		c.Send(harness.Sender, []string{"a@example.org"}, largeText(id))
	}
	held := func() bool { return strings.Contains(r.Page("/metrics"), `graphrelay_holds{scope="large"} 1`) }
	if !harness.Holds(patience, held) {
		t.Fatalf("no hold:\n%s", r.Tail())
	}
	c.Send(harness.Sender, []string{"a@example.org"}, "From: "+harness.Sender+"\r\nMessage-ID: <small@x>\r\n\r\nx\r\n")
	if !harness.Holds(patience, func() bool { return d.Ledger()["<small@x>"] == 1 }) {
		t.Fatalf("the small mail waits too:\n%s", r.Tail())
	}
	if page := r.Page("/metrics"); !strings.Contains(page, `graphrelay_submission_responses_total{code="535"`) ||
		strings.Contains(page, `graphrelay_graph_responses_total{code="0"`) {
		t.Error("the metrics do not count the refusal, or count it as one of Graph")
	}
	out := command(t, r, "status")
	if !strings.Contains(out, " large mail of mailbox "+harness.Sender+" alone is kept (") ||
		strings.Contains(out, "mail of large mail") ||
		!strings.Contains(out, "SMTP AUTH is switched off for this mailbox") ||
		!strings.Contains(out, "Set-CASMailbox -SmtpClientAuthenticationDisabled $false") {
		t.Errorf("status:\n%s", out)
	}
	if all, waits := r.Backlog(); all != 2 || waits != 0 {
		t.Errorf("%d in the queue, %d held", all, waits)
	}
	d.SetSMTPAuth(true, harness.Sender)
	command(t, r, "queue", "release", "--hold", "large:"+harness.Sender+" above 131072")
	r.WaitEmpty(patience)
	if l := d.Ledger(); l["<1@large>"] != 1 || l["<2@large>"] != 1 || held() {
		t.Errorf("%v, hold %v", l, held())
	}
}

// TestAnUnconfirmedSubmissionIsDoubtful: as delivery.unknown_outcome says.
func TestAnUnconfirmedSubmissionIsDoubtful(t *testing.T) {
	r, d := startSubmission(t, harness.With("delivery", "unknown_outcome: hold"))
	if err := d.Inject(sandbox.Fault{Endpoint: "submissionData", Drop: sandbox.DropStored, Count: 1}); err != nil {
		t.Fatal(err)
	}
	c := harness.Hello(t, r.Addr)
	c.Send(harness.Sender, []string{"a@example.org"}, largeText("<doubt@large>"))
	if !harness.Holds(patience, func() bool { _, held := r.Backlog(); return held == 1 }) {
		t.Fatalf("not held:\n%s", r.Tail())
	}
	if out := command(t, r, "queue", "list"); !strings.Contains(out, "may have sent it") ||
		d.Ledger()["<doubt@large>"] != 1 {
		t.Errorf("%s", out)
	}
}

// TestAKillAmidASubmission loses and doubles nothing: the end of the message had not left.
func TestAKillAmidASubmission(t *testing.T) {
	t.Parallel()
	r, d := startSubmission(t)
	if err := d.Inject(sandbox.Fault{
		Endpoint: "submissionData", Drop: sandbox.DropPartial, DropAfter: 100_000, Latency: time.Hour, Count: 1,
	}); err != nil {
		t.Fatal(err)
	}
	c := harness.Hello(t, r.Addr)
	c.Send(harness.Sender, []string{"a@example.org"}, largeText("<killed@large>"))
	if !harness.Holds(patience, func() bool { return len(d.Faults()) == 0 }) {
		t.Fatal("no body is submitted")
	}
	r.Kill()
	r.Start()
	r.WaitEmpty(6 * patience) // it rests for a minute, for it might have been sent
	if n := d.Ledger()["<killed@large>"]; n != 1 {
		t.Errorf("arrived %d times", n)
	}
}

// TestHundredMegabytesBySubmission arrive as they are, and cost less than 64 MB.
func TestHundredMegabytesBySubmission(t *testing.T) {
	arrived := make(chan string, 2)
	d := harness.StartDouble(t, maySubmit, func(o *sandbox.Options) {
		o.Keep, o.OnMessage = -1, func(m sandbox.Message) { arrived <- m.SHA256 }
	})
	if err := d.StartSubmission(""); err != nil {
		t.Fatal(err)
	}
	r := harness.StartRelay(t, d, harness.With("delivery", "large_messages: smtp", "id_header: false"),
		harness.With("smtp", "max_message_size: 149MiB", "received: off"))
	c := harness.Hello(t, r.Addr)
	c.Send(harness.Sender, []string{"a@example.org"}, "From: "+harness.Sender+"\r\n\r\nsmall\r\n")
	r.WaitEmpty(patience)
	<-arrived
	before := r.Memory("VmRSS")
	hash := sha256.New()
	c.Envelope(harness.Sender, "a@example.org")
	line := strings.Repeat("0123456789abcdef", 4) + "\r\n"
	head := "From: " + harness.Sender + "\r\nTo: a@example.org\r\nDate: Mon, 30 Nov 2026 07:00:00 +0000\r\n" +
		"Message-ID: <huge@large>\r\n\r\n"
	out := io.MultiWriter(hash, writerFunc(func(p []byte) (int, error) { return len(p), c.Raw(string(p)) }))
	_, err := io.WriteString(out, head)
	for i := 0; i < 145 && err == nil; i++ {
		_, err = io.WriteString(out, strings.Repeat(line, 1<<20/len(line)))
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Raw(".\r\n")
	c.Want(c.Read(), 250)
	r.WaitEmpty(4 * patience)
	if d.Ledger()["<huge@large>"] != 1 {
		t.Fatalf("%v\n%s", d.Ledger(), r.Tail())
	}
	if got := <-arrived; got != hex.EncodeToString(hash.Sum(nil)) {
		t.Errorf("it arrived changed: %s", got)
	}
	added := r.Memory("VmHWM") - before
	t.Logf("a message of 145 MB costs %d KiB of memory", added)
	if added > maxAdded {
		t.Errorf("it costs %d KiB of memory, more than %d", added, maxAdded)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The daily audit tries that the denied mailbox may not submit either: a role that reaches it is an alarm.
func TestTheAuditTriesSubmission(t *testing.T) {
	t.Parallel()
	const denied = "denied@contoso.com"
	r, d := startSubmission(t, harness.With("identity", "denied_mailbox: "+denied))
	problem := "PROBLEM: App is NOT RESTRICTED: the app may also use " + denied
	says := func(scope string) func() bool {
		access := sandbox.Access{Assignments: []sandbox.RoleAssignment{
			{Role: "Application Mail.Send", Scope: harness.Sender}, {Role: "Application SMTP.SendAsApp", Scope: scope},
		}}
		if err := d.SetAccess(access, 0); err != nil {
			t.Fatal(err)
		}
		restart(t, r)
		return func() bool {
			out, _ := r.Run("status")
			return strings.HasPrefix(out, problem) == (scope == "") && strings.Contains(out, "last audit: default")
		}
	}
	harness.Until(t, patience, "the alarm", says(""))
	harness.Until(t, patience, "its end", says(harness.Sender))
	if d.Count() != 0 {
		t.Errorf("the audit sent %d messages", d.Count())
	}
}

// TestCommandsKnowSubmission: setup prints the right and the switch, doctor tries the port
// and lists it, verify proves who may submit.
func TestCommandsKnowSubmission(t *testing.T) {
	r, d := startSubmission(t, harness.With("identity", "denied_mailbox: denied@contoso.com"))
	d.SetAllowed([]string{harness.Sender})
	at := d.SubmissionAddress()
	out, _ := r.Run("doctor", "--egress")
	if !strings.Contains(out, at) || !strings.Contains(out, "with STARTTLS") {
		t.Errorf("doctor --egress:\n%s", out)
	}
	out = command(t, r, "verify", "--to", "admin@contoso.com")
	for _, want := range []string{
		"submit by SMTP as this mailbox, as delivery.large_messages: smtp requires", "submission is refused, too",
		"RESTRICTED default",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("verify does not say %q:\n%s", want, out)
		}
	}
	out = command(t, r, "setup")
	if !strings.Contains(out, "'Application SMTP.SendAsApp'") ||
		!strings.Contains(out, "Set-CASMailbox -Identity $mailbox -SmtpClientAuthenticationDisabled $false") ||
		strings.Contains(out, "Mail.ReadWrite") {
		t.Errorf("setup:\n%s", out)
	}
	harness.Holds(patience, func() bool { return d.Count() == 2 })
	for _, m := range d.Messages() {
		if strings.Join(m.Recipients, "") != "admin@contoso.com" {
			t.Errorf("verify mailed %v", m.Recipients)
		}
	}
	if d.Count() != 2 {
		t.Errorf("verify sent %d test mails, want one by Graph and one by SMTP", d.Count())
	}
}
