package submission_test

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/submission"
)

var tokenOptions policy.TokenRequestOptions

// TestRemediesOfSubmission meets each refusal, does what its remedy says, and sees the
// message leave.
func TestRemediesOfSubmission(t *testing.T) {
	fault := func(f sandbox.Fault) func(*testing.T, *sandbox.Double) {
		return func(t *testing.T, d *sandbox.Double) {
			if err := d.Inject(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	clear := func(_ *testing.T, d *sandbox.Double) { d.ClearFaults() } // an administrator has mended it there
	reply := func(status int, code, text string) func(*testing.T, *sandbox.Double) {
		return fault(sandbox.Fault{Endpoint: "submissionData", Status: status, Code: code, Message: text})
	}
	offer := func(o sandbox.SubmissionOffer) func(*testing.T, *sandbox.Double) {
		return func(_ *testing.T, d *sandbox.Double) { d.SetSubmission(o) }
	}
	for name, tt := range map[string]struct {
		want       outcome.Outcome
		meet, mend func(*testing.T, *sandbox.Double)
	}{
		"tenant switch": {outcome.Hold, func(_ *testing.T, d *sandbox.Double) { d.SetSMTPAuth(false) },
			func(_ *testing.T, d *sandbox.Double) { d.SetSMTPAuth(true, box) }},
		"mailbox switch": {outcome.Hold, func(_ *testing.T, d *sandbox.Double) { d.SetSMTPAuth(false, box) },
			func(_ *testing.T, d *sandbox.Double) { d.SetSMTPAuth(true, box) }},
		"policy": {outcome.Hold, fault(sandbox.Fault{Endpoint: "submissionAuth", Status: 535, Code: "5.7.139",
			Message: "Authentication unsuccessful, the request did not meet the criteria"}), clear},
		"right": {outcome.Hold, func(_ *testing.T, d *sandbox.Double) { d.SetGranted() },
			func(_ *testing.T, d *sandbox.Double) { d.SetGranted("SMTP.SendAsApp") }},
		"size":    {outcome.Bounce, reply(552, "5.3.4", "Message size exceeds fixed maximum message size"), clear},
		"sendas":  {outcome.Hold, reply(554, "5.2.252", "SendAsDenied"), clear},
		"unheard": {outcome.Hold, reply(554, "5.9.9", "never seen"), clear},
		"rcpt":    {outcome.Bounce, reply(550, "5.1.10", "RecipientNotFound"), clear},
		"mime":    {outcome.Bounce, reply(554, "5.6.0", "Corrupt message content"), clear},
		"blocked": {outcome.Hold, reply(550, "5.1.8", "Access denied, bad outbound sender"), clear},
		"server": {outcome.Hold, offer(sandbox.SubmissionOffer{Without: []string{"AUTH"}}),
			offer(sandbox.SubmissionOffer{})},
		"trust":    {outcome.Hold, offer(sandbox.SubmissionOffer{Untrusted: true}), offer(sandbox.SubmissionOffer{})},
		"for now":  {outcome.Retry, reply(451, "4.7.0", "Temporary server error"), clear},
		"in doubt": {outcome.Unknown, fault(sandbox.Fault{Endpoint: "submissionData", Drop: sandbox.DropBody}), clear},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, c := start(t)
			tt.meet(t, d)
			if a := c.Submit(t.Context(), address(t, box), mailOf(t, short)); a.Outcome != tt.want || a.Advice == "" {
				t.Fatalf("%+v", a)
			}
			tt.mend(t, d)
			if a := c.Submit(t.Context(), address(t, box), mailOf(t, short)); a.Outcome != outcome.Delivered {
				t.Errorf("after the remedy: %+v", a)
			}
		})
	}
	t.Run("limit", func(t *testing.T) { // the remedy is to wait
		d, c := start(t)
		reply(432, "4.3.2", "sender thread limit exceeded")(t, d)
		if a := c.Submit(t.Context(), address(t, box), mailOf(t, short)); a.Outcome != outcome.Retry ||
			a.RetryAfter == 0 {
			t.Fatalf("%+v", a)
		}
		d.ClearFaults()
		if a := submission.New(c.Config()).Submit(t.Context(), address(t, box), mailOf(t, short)); //
		a.Outcome != outcome.Delivered {
			t.Errorf("%+v", a)
		}
	})
}
