package verify

import (
	"context"
	"fmt"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/submission"
)

// Submitter asks the submission server for an identity; *submission.Client is one.
type Submitter interface {
	TryLogin(ctx context.Context, mailbox envelope.Address) outcome.Answer
	Submit(ctx context.Context, mailbox envelope.Address, m submission.Mail) outcome.Answer
}

// submit tries whether an allowed mailbox may submit: by a test mail where changes allows
// it, else by a login. Like the other permissions beside sending it is not part of the
// verdict: without it large mail waits, and nothing else.
func (r *round) submit(ctx context.Context, m envelope.Address, changes bool) {
	if r.submits == nil || ctx.Err() != nil {
		return
	}
	did := "log in to submission as"
	var a outcome.Answer
	if changes {
		did = "submit by SMTP as"
		a = r.submits.Submit(ctx, m, r.submitted(m))
	} else {
		a = r.submits.TryLogin(ctx, m)
	}
	f := Finding{Step: StepSubmit, Mailbox: m, Mark: OK}
	const required = "as delivery.large_messages: smtp requires (SMTP.SendAsApp)"
	f.Text = fmt.Sprintf("%s: the app may %s this mailbox, %s", m, did, required)
	if a.Outcome != outcome.Delivered {
		f.Mark, f.Remedy = Warn, a.Advice
		f.Text = fmt.Sprintf("%s: the app cannot %s this mailbox, %s: %s", m, did, required, a.What())
	}
	r.note(f)
}

// submitted is the test mail by submission, to the administrator.
func (r *round) submitted(m envelope.Address) submission.Mail {
	t := mail(m, r.Now(), fmt.Sprintf("To: <%s>\r\nSubject: Test mail of graphrelay verify, submitted by SMTP as "+
		"%s\r\nAuto-Submitted: auto-generated\r\nContent-Transfer-Encoding: 8bit\r\n", r.To, m), fmt.Sprintf(
		"This is a test mail: somebody ran `graphrelay verify` with your address.\r\n\r\nIt shows that the relay's "+
			"application may submit large mail as %s.\r\nIt was sent to nobody else. There is nothing to do.\r\n", m))
	return submission.Mail{From: m, To: []envelope.Address{r.To}, Size: t.Size, Open: t.Open}
}

// trySubmission tries to log in as a mailbox that must be closed. The switch of SMTP AUTH closes it, too.
func (e *Evidence) trySubmission(ctx context.Context, c Submitter, m envelope.Address) Trial {
	t := Trial{Mailbox: m, Answer: c.TryLogin(ctx, m)}
	switch {
	case t.Answer.Outcome == outcome.Delivered:
		t.Access, e.Submittable = Open, append(e.Submittable, m)
	case strings.HasPrefix(t.Answer.Code, "5.7.") || t.Answer.Code == "4.2.0":
		t.Access = Closed
	default:
		e.Unsubmitted = append(e.Unsubmitted, t)
	}
	return t
}

// submitDenied tries to log in to submission as a mailbox that must be closed.
func (r *round) submitDenied(ctx context.Context, m envelope.Address) {
	if r.submits == nil || ctx.Err() != nil {
		return
	}
	t := r.evidence.trySubmission(ctx, r.submits, m)
	switch {
	case t.Access == Open:
		r.note(t.finding(StepSubmit, Fail, "the app MAY SUBMIT by SMTP as this mailbox",
			"narrow the role Application SMTP.SendAsApp, and take its consent or mailbox permissions away"))
	case t.Answer.Code == "5.7.139":
		r.note(t.finding(StepSubmit, OK,
			"submission is refused, by the switch of SMTP AUTH and not for want of a role", ""))
	case t.Access == Closed:
		r.note(t.finding(StepSubmit, OK, "submission is refused, too", ""))
	default:
		r.note(t.finding(StepSubmit, Warn, "it is not known whether the app may submit as it: "+t.Answer.What(),
			t.Answer.Advice))
	}
}
