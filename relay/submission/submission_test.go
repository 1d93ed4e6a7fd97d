package submission_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/graphtest"
	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/submission"
)

const box = "relay@contoso.com"

// start runs a double with a submission server, and a client of it.
func start(t testing.TB, change ...func(*submission.Config)) (*sandbox.Double, *submission.Client) {
	t.Helper()
	d, of := graphtest.Start(t, sandbox.Options{Granted: []string{"SMTP.SendAsApp"}})
	if err := d.StartSubmission(""); err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(of)
	if err != nil {
		t.Fatal(err)
	}
	login, err := g.Outlook()
	if err != nil {
		t.Fatal(err)
	}
	cfg := submission.Config{Address: d.SubmissionAddress(), Login: login, Roots: g.Roots()}
	for _, c := range change {
		c(&cfg)
	}
	return d, submission.New(cfg)
}

func address(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mailOf(t testing.TB, text string) submission.Mail {
	return submission.Mail{
		From: address(t, box), To: []envelope.Address{address(t, "a@example.com"), address(t, "hidden@example.com")},
		Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text)), nil
		},
	}
}

const short = "From: relay@contoso.com\r\nTo: a@example.com\r\nSubject: x\r\n\r\nx\r\n"

// TestAMessageArrivesByteForByte: lines that begin with dots, a body of 8 bits without
// a line end that SMTP would need to make up, and recipients that the header lacks.
func TestAMessageArrivesByteForByte(t *testing.T) {
	d, c := start(t)
	text := short + ".\r\n..\r\n.x\r\n\xe4\xf6\r\n" +
		strings.Repeat("y", 5000) + "\r\n" + strings.Repeat("z\r\n", 200000)
	a := c.Submit(t.Context(), address(t, box), mailOf(t, text))
	if a.Outcome != outcome.Delivered || !a.Apart {
		t.Fatalf("%+v", a)
	}
	m := d.Messages()[0]
	raw, err := d.Raw(m.ID)
	if err != nil || !bytes.Equal(raw, []byte(text)) {
		t.Errorf("%d bytes arrived of %d, %v", len(raw), len(text), err)
	}
	if got := fmt.Sprint(m.Recipients, m.ReversePath, m.Mailbox); got != "[a@example.com hidden@example.com]"+box+box {
		t.Error(got)
	}
}

// TestEveryReply plays each row of the catalogue, at the step where it is known to come.
func TestEveryReply(t *testing.T) {
	d, c := start(t)
	replies, _ := submission.Catalogue()
	for i, row := range replies {
		first := func(words, or string) string {
			if f := strings.Fields(words); len(f) > 0 {
				or = f[0]
			}
			return strings.ReplaceAll(strings.ReplaceAll(or, "xx", "99"), "*", "9")
		}
		code := map[string]int{"": 554, "2xx": 299, "4xx": 499, "5xx": 599}[first2(row.HTTP)]
		if code == 0 {
			fmt.Sscan(first(row.HTTP, ""), &code)
		}
		if row.HTTP == "" && row.Code == "" && row.Match == "" {
			continue // no server can give it: the protocol has no other replies
		}
		endpoint := "submissionData"
		if code == 535 || code == 430 || row.Code == "5.7.30" {
			endpoint = "submissionAuth"
		}
		fault := sandbox.Fault{
			Endpoint: endpoint, Status: code, Code: first(row.Code, ""), Count: 1,
			Message: strings.Split(row.Match, "|")[0] + " said relay@contoso.com",
		}
		if err := d.Inject(fault); err != nil {
			t.Fatal(err)
		}
		a := submission.Classify(code, fault.Code, fault.Message)
		if code != 250 { // a pause would hold up the others
			_, fresh := start2(t, d, c)
			a = fresh.Submit(t.Context(), address(t, box), mailOf(t, short))
		}
		d.ClearFaults()
		if a.Text != row.Text || a.Outcome != row.Outcome || a.Advice != row.Advice || !a.Apart {
			t.Errorf("row %d (%s %s %s) is answered %+v", i, row.HTTP, row.Code, row.Match, a)
		}
		if row.Scope == outcome.ScopeMailbox || row.Scope == outcome.ScopeIdentity {
			t.Errorf("row %d stops small mail", i)
		}
	}
	if n := d.Count(); n != 0 {
		t.Errorf("%d messages were sent with a refusal", n)
	}
}

func first2(words string) string {
	if f := strings.Fields(words); len(f) > 0 && strings.HasSuffix(f[0], "xx") {
		return f[0]
	}
	if words == "" {
		return ""
	}
	return "-"
}

// start2 is another client of the same double.
func start2(t testing.TB, d *sandbox.Double, c *submission.Client) (*sandbox.Double, *submission.Client) {
	t.Helper()
	return d, submission.New(c.Config())
}

// TestWithoutAReply: what happens to the connection decides whether the message may have
// been sent, and holds large mail alone where the server is to blame.
func TestWithoutAReply(t *testing.T) {
	_, losses := submission.Catalogue()
	texts := map[string]bool{}
	for _, row := range losses {
		texts[row.Text] = true
	}
	meet := func(name, want string, o outcome.Outcome, prepare func(d *sandbox.Double, cfg *submission.Config)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, c := start(t)
			cfg := c.Config()
			prepare(d, &cfg)
			text := short + strings.Repeat("x\r\n", 10_000_000) // more than the buffers on the way
			a := submission.New(cfg).Submit(t.Context(), address(t, box), mailOf(t, text))
			if !strings.HasPrefix(a.Text, want) || a.Outcome != o || !texts[a.Text] || !a.Apart ||
				a.Outcome == outcome.Hold && a.Scope != outcome.ScopeLarge {
				t.Errorf("%+v", a)
			}
		})
	}
	inject := func(f sandbox.Fault) func(*sandbox.Double, *submission.Config) {
		return func(d *sandbox.Double, cfg *submission.Config) {
			switch { // no other step may depend on how busy the machine is
			case f.Latency > 0 && f.Endpoint == "submissionData":
				cfg.Final = 2 * time.Second
			case f.Latency > 0:
				cfg.Step = 2 * time.Second
			}
			if err := d.Inject(f); err != nil {
				t.Error(err)
			}
		}
	}
	without := func(o sandbox.SubmissionOffer) func(*sandbox.Double, *submission.Config) {
		return func(d *sandbox.Double, _ *submission.Config) { d.SetSubmission(o) }
	}
	lost, unconfirmed := "Connection to submission was lost", "Submission server did not confirm"
	meet("cut in the body", lost, outcome.Retry, inject(sandbox.Fault{
		Endpoint: "submissionData", Drop: sandbox.DropPartial, DropAfter: 1000}))
	meet("cut before the body", lost, outcome.Retry, inject(sandbox.Fault{
		Endpoint: "submissionData", Drop: sandbox.DropHeaders}))
	meet("cut after the end", unconfirmed, outcome.Unknown, inject(sandbox.Fault{
		Endpoint: "submissionData", Drop: sandbox.DropStored}))
	meet("silent after the end", unconfirmed, outcome.Unknown, inject(sandbox.Fault{
		Endpoint: "submissionData", Latency: time.Hour}))
	meet("garbage after the end", unconfirmed, outcome.Unknown, inject(sandbox.Fault{
		Endpoint: "submissionData", Body: "HTTP/1.1 200 OK\r\n"}))
	meet("stall", "Submission server stalls", outcome.Hold, inject(sandbox.Fault{
		Endpoint: "submissionRcpt", Latency: time.Hour}))
	meet("stall at once", "Submission server stalls", outcome.Hold, inject(sandbox.Fault{
		Endpoint: "submission", Latency: time.Hour}))
	meet("no SMTP", "Submission server answers against the protocol", outcome.Hold, inject(sandbox.Fault{
		Endpoint: "submission", Body: "HTTP/1.1 400 Bad Request\r\n\r\n"}))
	endless := strings.Repeat("250-again\r\n", 100_000)
	meet("a reply without end", "Submission server answers against the protocol", outcome.Hold, inject(sandbox.Fault{
		Endpoint: "submissionRcpt", Body: endless}))
	meet("one after the end", unconfirmed, outcome.Unknown, inject(sandbox.Fault{
		Endpoint: "submissionData", Body: endless}))
	meet("no SMTP later", "Submission server answers against the protocol", outcome.Hold, inject(sandbox.Fault{
		Endpoint: "submissionMail", Body: "hello\r\n"}))
	meet("a success out of place", "Submission server answers against the protocol", outcome.Hold, inject(
		sandbox.Fault{Endpoint: "submissionMail", Status: 299, Code: "2.9.9"}))
	meet("no STARTTLS", "Submission server offers no TLS", outcome.Hold,
		without(sandbox.SubmissionOffer{Without: []string{"STARTTLS"}}))
	meet("no XOAUTH2", "Submission server offers no login", outcome.Hold,
		without(sandbox.SubmissionOffer{Without: []string{"AUTH"}}))
	meet("another certificate", "TLS to the submission server fails", outcome.Hold,
		without(sandbox.SubmissionOffer{Untrusted: true}))
	meet("SIZE", "Message is larger than the submission server takes", outcome.Bounce,
		without(sandbox.SubmissionOffer{Size: 1000}))
	meet("nobody there", "No connection to the submission server", outcome.Hold,
		func(_ *sandbox.Double, cfg *submission.Config) { cfg.Address = "127.0.0.1:1" })
}

// TestAddressesBeyondASCII need SMTPUTF8.
func TestAddressesBeyondASCII(t *testing.T) {
	d, c := start(t)
	m := mailOf(t, short)
	m.To = append(m.To, address(t, "jörg@example.com"))
	if a := c.Submit(t.Context(), address(t, box), m); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
	d.SetSubmission(sandbox.SubmissionOffer{Without: []string{"SMTPUTF8"}})
	if a := c.Submit(t.Context(), address(t, box), m); a.Outcome != outcome.Bounce || d.Count() != 1 {
		t.Errorf("%+v", a)
	}
}

// TestAStopEndsEveryStep: the end of the context ends what waits, and a message without
// its end was not sent.
func TestAStopEndsEveryStep(t *testing.T) {
	for _, endpoint := range []string{"submission", "submissionAuth", "submissionMail", "submissionRcpt"} {
		d, c := start(t)
		if err := d.Inject(sandbox.Fault{Endpoint: endpoint, Latency: time.Hour}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for d.Submissions() == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if a := c.Submit(ctx, address(t, box), mailOf(t, short)); a.Outcome != outcome.Retry || d.Count() != 0 {
			t.Errorf("%s: %+v", endpoint, a)
		}
	}
}

// TestAMessageThatCannotBeReadIsNotSent, not even its beginning.
func TestAMessageThatCannotBeReadIsNotSent(t *testing.T) {
	d, c := start(t)
	m := mailOf(t, short)
	m.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(short), failing{})), nil
	}
	if a := c.Submit(t.Context(), address(t, box), m); a.Outcome != outcome.Retry || d.Count() != 0 ||
		a.Text != "Stored message cannot be read" {
		t.Errorf("%+v, %d sent", a, d.Count())
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, net.ErrClosed }

// TestTheServerIsLeftAloneWhenItAsks for time: the next message of the mailbox waits
// without a connection, and that of another mailbox does not.
func TestTheServerIsLeftAloneWhenItAsks(t *testing.T) {
	d, c := start(t)
	if err := d.Inject(sandbox.Fault{Endpoint: "submissionAuth", Status: 432, Code: "4.3.2", Count: 1,
		Message: "STOREDRV.ClientSubmit; sender thread limit exceeded"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := c.Submit(t.Context(), address(t, box), mailOf(t, short)); a.Outcome != outcome.Retry ||
			a.RetryAfter <= 0 || a.RetryAfter > time.Minute ||
			a.Text != "Microsoft limits submission from this mailbox" {
			t.Errorf("%+v", a)
		}
	}
	if n := d.Submissions(); n != 1 {
		t.Errorf("%d connections", n)
	}
	other := mailOf(t, strings.ReplaceAll(short, box, "b@contoso.com"))
	other.From = address(t, "b@contoso.com")
	if a := c.Submit(t.Context(), other.From, other); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
}

// TestNoTokenIsShown, whatever the server echoes.
func TestNoTokenIsShown(t *testing.T) {
	d, c := start(t)
	got, err := c.Config().Login.GetToken(t.Context(), tokenOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Inject(sandbox.Fault{Endpoint: "submissionAuth", Status: 535, Code: "5.7.3",
		Message: "refused Bearer " + got.Token}); err != nil {
		t.Fatal(err)
	}
	a := c.Submit(t.Context(), address(t, box), mailOf(t, short))
	if a.Outcome != outcome.Hold || strings.Contains(fmt.Sprintf("%+v", a), got.Token) {
		t.Errorf("%+v", a)
	}
}

// FuzzClassify: whatever a server says, there is one meaning, with a text, and it never
// stops small mail.
func FuzzClassify(f *testing.F) {
	f.Add(535, "5.7.139", "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant")
	f.Add(432, "4.3.2", "STOREDRV.ClientSubmit; sender thread limit exceeded")
	f.Add(0, "", "")
	f.Fuzz(func(t *testing.T, reply int, code, message string) {
		a := submission.Classify(reply, code, message)
		if a.Text == "" || !a.Apart || a.Scope >= outcome.ScopeMailbox ||
			a.Outcome == outcome.Delivered && reply != 250 ||
			a.Outcome == outcome.Bounce && (reply < 500 || reply > 599) {
			t.Errorf("%d %s %q: %+v", reply, code, message, a)
		}
	})
}
