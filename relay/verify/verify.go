package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// Identity is what is to be verified.
type Identity struct {
	Name     string
	TenantID string
	ClientID string
	Allowed  []envelope.Address // that it must be able to send as
	Denied   []envelope.Address // that it must not be able to use
	Reads    bool               // the configuration needs Mail.ReadWrite, so reading is tried as well
	Uploads  bool               // large mail goes as drafts, so the allowed mailboxes need Mail.ReadWrite
	Looks    bool               // unknown outcomes are looked up, so they need Mail.Read
	// Open makes a client that logs in anew.
	Open func() (Client, error)
}

// Verifier verifies identities. To is required.
type Verifier struct {
	To       envelope.Address // who gets the test mails
	Wait     time.Duration    // how long to wait for changes to reach Graph; 0 tries once
	Pause    time.Duration    // between rounds; = 5 min
	Now      func() time.Time // = time.Now
	Sleep    func(ctx context.Context, d time.Duration) error
	Progress func(Finding)                              // each step as it is done; may be nil
	Waiting  func(r Report, passed, left time.Duration) // before each pause; may be nil
}

// defaultPause is long on purpose: Exchange keeps what it knows of a busy
// application for two hours, and of an idle one for half an hour.
const defaultPause = 5 * time.Minute

// Verify runs one round, and as many more as Wait allows until the identity is
// proven restricted.
func (v Verifier) Verify(ctx context.Context, id Identity) Report {
	v = v.withDefaults()
	began := v.Now()
	mailed := map[string]bool{} // one test mail from each mailbox, however many rounds
	for {
		r := v.round(ctx, id, mailed)
		passed := v.Now().Sub(began)
		left := v.Wait - passed
		if r.Verdict == Restricted || r.Final || left <= 0 {
			return r
		}
		if v.Waiting != nil {
			v.Waiting(r, passed, left)
		}
		if err := v.Sleep(ctx, min(v.Pause, left)); err != nil {
			return r
		}
	}
}

func (v Verifier) withDefaults() Verifier {
	if v.Now == nil {
		v.Now = time.Now
	}
	if v.Pause <= 0 {
		v.Pause = defaultPause
	}
	if v.Sleep == nil {
		v.Sleep = sleep
	}
	return v
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// round is one look at everything.
type round struct {
	Verifier
	id       Identity
	client   Client
	evidence Evidence
	findings []Finding
}

func (v Verifier) round(ctx context.Context, id Identity, mailed map[string]bool) Report {
	r := &round{Verifier: v, id: id, evidence: Evidence{Administrator: v.To}}
	if r.logIn(ctx) {
		r.allowed(ctx, mailed)
		r.denied(ctx)
	}
	r.evidence.Stopped = ctx.Err()
	rep := Report{Identity: id.Name, Findings: r.findings}
	rep.Verdict, rep.Text, rep.Remedy, rep.Final = Judge(r.evidence)
	return rep
}

func (r *round) note(f Finding) {
	r.findings = append(r.findings, f)
	if r.Progress != nil {
		r.Progress(f)
	}
}

// logIn reads the credential and gets a token; false if there is none.
func (r *round) logIn(ctx context.Context) bool {
	c, err := r.id.Open()
	if err != nil {
		r.evidence.Credential = err
		r.note(Finding{Step: StepCredential, Mark: Fail, Text: err.Error()})
		return false
	}
	r.client = c
	r.note(credentialFinding(c.Credential(), r.Now()))
	token, err := c.Token(ctx)
	if err != nil {
		var refused *entra.LoginError
		if !errors.As(err, &refused) {
			refused = &entra.LoginError{Answer: outcome.Answer{Outcome: outcome.Retry, Text: err.Error(), Advice: "run it again"}}
		}
		r.evidence.Login = refused
		r.note(Finding{Step: StepToken, Mark: Fail, Text: refused.Answer.Text, Remedy: refused.Answer.Advice})
		return false
	}
	r.evidence.Token = token
	r.note(r.tokenFinding(token))
	r.note(rolesFinding(token))
	return true
}

func credentialFinding(c entra.CredentialInfo, now time.Time) Finding {
	f := Finding{Step: StepCredential, Mark: OK, Text: c.Kind}
	if c.NotAfter.IsZero() {
		return f
	}
	f.Text = fmt.Sprintf("%s %s, thumbprint %s, valid until %s", c.Kind, c.Subject, c.Thumbprint, c.NotAfter.UTC().Format(time.DateOnly))
	switch left := c.NotAfter.Sub(now); {
	case left < 0:
		f.Mark, f.Text = Fail, f.Text+": it has expired"
		f.Remedy = "make the next one with `graphrelay cert renew`, upload it and put it in place"
	case left < 30*24*time.Hour:
		f.Mark, f.Remedy = Warn, "it expires soon: make the next one with `graphrelay cert renew`"
	}
	return f
}

func (r *round) tokenFinding(t entra.TokenInfo) Finding {
	f := Finding{Step: StepToken, Mark: OK, Text: fmt.Sprintf("token for tenant %s, app %s", or(t.Tenant, r.id.TenantID), or(t.App, r.id.ClientID))}
	if t.App != "" && !strings.EqualFold(t.App, r.id.ClientID) {
		f.Mark, f.Remedy = Warn, "it names another app than the configuration: check client_id"
	}
	return f
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// rolesFinding explains the claim that is easily misread: without it nothing is
// wrong, with it nothing is restricted unless an access policy does it.
func rolesFinding(t entra.TokenInfo) Finding {
	consents := Consents(t.Roles)
	if len(consents) == 0 {
		return Finding{Step: StepRoles, Mark: OK, Text: "nothing that concerns mail is consented in Entra, as RBAC for Applications wants it"}
	}
	return Finding{Step: StepRoles, Mark: Warn, Text: "consented in Entra for every mailbox: " + strings.Join(consents, ", "),
		Remedy: "only an access policy narrows this; with RBAC for Applications remove the consent, or nothing is restricted"}
}

// allowed tries each mailbox that must work, with a probe first: a mailbox that
// is refused gets no test mail.
func (r *round) allowed(ctx context.Context, mailed map[string]bool) {
	for _, m := range r.id.Allowed {
		if ctx.Err() != nil {
			return
		}
		t := Probe(ctx, r.client, m, r.Now())
		r.note(allowedFinding(t))
		if t.Access == Open && !mailed[m.Key()] {
			t = r.mail(ctx, m)
			mailed[m.Key()] = t.Access == Open
		}
		if t.Access == Open {
			r.needs(ctx, m, true)
		}
		r.evidence.Allowed = append(r.evidence.Allowed, t)
	}
}

// mail sends the test mail, which is the only full proof that sending works.
func (r *round) mail(ctx context.Context, m envelope.Address) Trial {
	a := testMail(ctx, r.client, m, r.To, r.Now())
	t := Trial{Mailbox: m, Answer: a, Access: Read(a)}
	switch {
	case a.Outcome == outcome.Delivered:
		r.note(Finding{Step: StepSend, Mailbox: m, Mark: OK, Text: fmt.Sprintf("%s: test mail to %s accepted", m, r.To)})
		return t
	case a.HTTPStatus == 403:
		t.Access = Closed // the mailbox is open, and the address may not be sent as
	default:
		t.Access = Unclear
	}
	r.note(Finding{Step: StepSend, Mailbox: m, Mark: Fail, Text: fmt.Sprintf("%s: test mail to %s: %s", m, r.To, a.Text), Remedy: a.Advice})
	return t
}

func allowedFinding(t Trial) Finding {
	f := Finding{Step: StepAllowed, Mailbox: t.Mailbox, Mark: Fail, Text: fmt.Sprintf("%s: %s", t.Mailbox, t.Answer.Text), Remedy: t.Answer.Advice}
	if t.Access == Open {
		f.Mark, f.Remedy, f.Text = OK, "", fmt.Sprintf("%s: the app may use it", t.Mailbox)
	}
	return f
}

// denied tries the mailboxes that must be refused, and beside them the
// administrator's own: should that one be open, more is open than should be.
func (r *round) denied(ctx context.Context) {
	for _, m := range r.id.Denied {
		if ctx.Err() != nil {
			return
		}
		t := Probe(ctx, r.client, m, r.Now())
		r.evidence.Denied = append(r.evidence.Denied, t)
		r.note(deniedFinding(t))
		r.read(ctx, m)
	}
	if !r.To.IsZero() && r.witness() && ctx.Err() == nil {
		t := Probe(ctx, r.client, r.To, r.Now())
		r.evidence.Witnesses = append(r.evidence.Witnesses, t)
		if t.Access == Open {
			f := deniedFinding(t)
			f.Step = StepWitness
			r.note(f)
		}
	}
}

// witness tells whether the administrator's address is one more to look at.
func (r *round) witness() bool {
	for _, m := range append(append([]envelope.Address{}, r.id.Allowed...), r.id.Denied...) {
		if m.Equal(r.To) {
			return false
		}
	}
	return true
}

// read tries to read a mailbox that must be closed, where the application could
// read any.
func (r *round) read(ctx context.Context, m envelope.Address) {
	wanted := r.id.Reads
	for _, role := range Consents(r.evidence.Token.Roles) {
		wanted = wanted || strings.HasPrefix(role, "Mail.Read")
	}
	if !wanted {
		return
	}
	switch access, a := canRead(ctx, r.client, m); access {
	case Open:
		r.evidence.Readable = append(r.evidence.Readable, m)
		r.note(Finding{Step: StepRead, Mailbox: m, Mark: Fail, Text: fmt.Sprintf("%s: the app can READ this mailbox", m), Remedy: "remove Mail.ReadWrite from the consents, or narrow the role Application Mail.ReadWrite"})
	case Closed:
		r.note(Finding{Step: StepRead, Mailbox: m, Mark: OK, Text: fmt.Sprintf("%s: reading it is refused, too", m)})
	default:
		r.evidence.Unread = append(r.evidence.Unread, Trial{Mailbox: m, Answer: a, Access: access})
		r.note(Finding{Step: StepRead, Mailbox: m, Mark: Warn, Text: fmt.Sprintf("%s: whether it can be read is not known: %s", m, a.Text), Remedy: a.Advice})
	}
}

func deniedFinding(t Trial) Finding {
	f := Finding{Step: StepDenied, Mailbox: t.Mailbox}
	switch {
	case t.Access == Open:
		f.Mark, f.Text = Fail, fmt.Sprintf("%s: the app MAY SEND as this mailbox", t.Mailbox)
		f.Remedy = "restrict the app before anything else is done with it"
	case t.Access == Closed && strings.Contains(t.Answer.Text, policyBlock):
		f.Mark, f.Text = OK, fmt.Sprintf("%s: refused by an access policy (it proves nothing if this is an administrator's mailbox)", t.Mailbox)
	case t.Access == Closed:
		f.Mark, f.Text = OK, fmt.Sprintf("%s: refused", t.Mailbox)
	default:
		f.Mark, f.Text, f.Remedy = Warn, fmt.Sprintf("%s: proves nothing: %s", t.Mailbox, t.Answer.Text), t.Answer.Advice
	}
	return f
}
