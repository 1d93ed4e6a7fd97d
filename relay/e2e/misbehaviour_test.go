package e2e_test

import (
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// misbehaviours are what a submission server may do, and what the relay then says of large
// mail: its state, the cause and the remedy.
var misbehaviours = map[string]struct {
	fault  sandbox.Fault
	offer  sandbox.SubmissionOffer
	state  string
	cause  string
	remedy string
}{
	"432": {fault: reply("Auth", 432, "4.3.2", "STOREDRV.ClientSubmit; sender thread limit exceeded"),
		state: "deferred", cause: "Microsoft limits submission from this mailbox",
		remedy: "wait: large mail is sent again by itself"},
	"tenant": {fault: reply("Auth", 535, "5.7.139", "SmtpClientAuthentication is disabled for the Tenant."),
		state: "paused", cause: "SMTP AUTH is switched off for the tenant", remedy: "Set-CASMailbox"},
	"policy": {fault: reply("Auth", 535, "5.7.139", "the request did not meet the criteria to be authenticated"),
		state: "paused", cause: "A policy of the tenant forbids SMTP AUTH", remedy: "Get-AuthenticationPolicy"},
	"right": {fault: reply("Auth", 535, "5.7.3", "Authentication unsuccessful"), state: "paused",
		cause: "App may not submit as this mailbox", remedy: "Application SMTP.SendAsApp"},
	"430": {fault: reply("Auth", 430, "4.2.0", "STOREDRV; mailbox logon failure"), state: "paused",
		cause: "App may not open this mailbox for submission", remedy: "Application SMTP.SendAsApp"},
	"5.2.270": {fault: reply("Data", 554, "5.2.270", "message size after conversion"), state: "failed",
		cause: "Message is too large for Exchange once its text is converted", remedy: "Set-Mailbox -MaxSendSize"},
	"552": {fault: reply("Mail", 552, "5.3.4", "Message size exceeds fixed maximum message size"), state: "failed",
		cause: "Message is larger than the mailbox may submit", remedy: "Set-Mailbox -MaxSendSize"},
	"421": {fault: reply("Rcpt", 421, "4.3.2", "Service not active"), state: "deferred",
		cause: "Submission server refuses the message for now", remedy: "nothing to do"},
	"no SMTP": {fault: sandbox.Fault{Endpoint: "submissionMail", Body: "HTTP/1.1 400 Bad Request\r\n\r\n"},
		state: "paused", cause: "Submission server answers against the protocol", remedy: "check endpoints.submission"},
	"endless": {fault: sandbox.Fault{Endpoint: "submissionRcpt", Body: strings.Repeat("250-again\r\n", 100_000)},
		state: "paused", cause: "Submission server answers against the protocol", remedy: "check endpoints.submission"},
	"no STARTTLS": {offer: sandbox.SubmissionOffer{Without: []string{"STARTTLS"}}, state: "paused",
		cause: "Submission server offers no TLS", remedy: "check endpoints.submission"},
	"no XOAUTH2": {offer: sandbox.SubmissionOffer{Without: []string{"AUTH"}}, state: "paused",
		cause: "Submission server offers no login by OAuth", remedy: "check endpoints.submission"},
	"another certificate": {offer: sandbox.SubmissionOffer{Untrusted: true}, state: "paused",
		cause: "TLS to the submission server fails: its certificate is not trusted", remedy: "ca_file"},
	"SIZE": {offer: sandbox.SubmissionOffer{Size: 1000}, state: "failed",
		cause: "Message is larger than the submission server takes", remedy: "Set-Mailbox -MaxSendSize"},
}

func reply(step string, code int, enhanced, text string) sandbox.Fault {
	return sandbox.Fault{Endpoint: "submission" + step, Status: code, Code: enhanced, Message: text}
}

// TestWhatASubmissionServerDoesConcernsLargeMailAlone: large mail waits or fails with the cause
// and the remedy, small mail of the same mailbox goes on by Graph, and what waits for its hold
// leaves when the server behaves.
func TestWhatASubmissionServerDoesConcernsLargeMailAlone(t *testing.T) {
	t.Parallel()
	var mailboxes []string
	for name := range misbehaviours {
		mailboxes = append(mailboxes, mailboxOf(name))
	}
	r, d := startSubmission(t, harness.Senders(mailboxes...), harness.With("top", "reports: {to_sender: false}"))
	for name, m := range misbehaviours {
		if m.fault.Mailbox = mailboxOf(name); m.fault.Endpoint != "" {
			if err := d.Inject(m.fault); err != nil {
				t.Fatal(err)
			}
		}
		d.SetSubmission(m.offer)
		c := harness.Hello(t, r.Addr)
		for _, kind := range []string{"large", "small"} {
			text := strings.Replace(largeText("<"+name+"@"+kind+">"), harness.Sender, mailboxOf(name), 1)
			if kind == "small" {
				text = text[:strings.Index(text, ".\r\n..x")]
			}
			c.Send(mailboxOf(name), []string{"a@example.org"}, text)
		}
		c.Close()
		harness.Until(t, patience, name+": the small mail", func() bool { return d.Ledger()["<"+name+"@small>"] == 1 })
		var out string
		if !harness.Holds(patience, func() bool {
			out = command(t, r, "trace", "<"+name+"@large>")
			return strings.Contains(out, "  "+m.state+"  ")
		}) || !strings.Contains(out, m.cause) || !strings.Contains(out, m.remedy) {
			t.Errorf("%s: %s\n%s", name, m.state, out)
		}
	}
	if n := len(d.Ledger()); n != len(misbehaviours) {
		t.Errorf("%d messages were sent, want the small ones alone: %v", n, d.Ledger())
	}
	d.ClearFaults()
	d.SetSubmission(sandbox.SubmissionOffer{})
	command(t, r, "queue", "release", "--all")
	for name, m := range misbehaviours {
		if id := "<" + name + "@large>"; m.state == "paused" {
			harness.Until(t, patience, name+" to leave", func() bool { return d.Ledger()[id] == 1 })
		}
	}
}

// mailboxOf is the mailbox that meets a misbehaviour.
func mailboxOf(name string) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", ".", "-").Replace(name)) + "@contoso.com"
}
