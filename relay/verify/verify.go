package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
)

// Identity is what is to be verified.
type Identity struct {
	Name     string
	TenantID string
	ClientID string
	Allowed  []envelope.Address // that it must be able to send as
	Denied   []envelope.Address // that it must not be able to use
	Reads    bool               // the configuration needs to read mail, so reading is tried as well
	Uploads  bool               // large mail goes as drafts, so the allowed mailboxes need Mail.ReadWrite
	Looks    bool               // unknown outcomes are looked up, so they need Mail.Read
	Bounces  string             // what the tracking of bounces needs: "", Mail.ReadBasic or Mail.Read
	Canary   envelope.Address   // audit.canary, which it must be able to read; zero for none
	// CanaryReads says that it must not be able to send as the Canary.
	CanaryReads bool
	// Open makes a client that logs in again, and Submission one of the submission server;
	// nil where large mail does not go there.
	Open       func() (Client, error)
	Submission func() (Submitter, error)
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
// proven restricted. If it was not at first, the report says how long that took.
func (v Verifier) Verify(ctx context.Context, id Identity) Report {
	v = v.withDefaults()
	began := v.Now()
	wide := false               // in a round before
	mailed := map[string]bool{} // one test mail from each mailbox, however many rounds
	for {
		r := v.round(ctx, id, mailed)
		passed := v.Now().Sub(began)
		if wide = wide || r.Verdict == NotRestricted; wide && r.Verdict == Restricted {
			r.Findings = append(r.Findings, v.closed(passed))
		}
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

// closed is how long a right worked that was taken away, which is between two rounds.
func (v Verifier) closed(passed time.Duration) Finding {
	f := Finding{Step: StepClosed, Mark: OK, Text: fmt.Sprintf("what reached too far still worked for up to %s after "+
		"the first try, and is refused now", passed.Round(time.Second))}
	if v.Progress != nil {
		v.Progress(f)
	}
	return f
}

func (v Verifier) withDefaults() Verifier {
	if v.Now == nil {
		v.Now = time.Now
	}
	v.Pause = cmp.Or(max(v.Pause, 0), defaultPause)
	if v.Sleep == nil {
		v.Sleep = pacing.Sleep
	}
	return v
}

// round tries everything once.
type round struct {
	Verifier
	id       Identity
	client   Client
	submits  Submitter // nil where large mail is not submitted
	evidence Evidence
	findings []Finding
}

func (v Verifier) round(ctx context.Context, id Identity, mailed map[string]bool) Report {
	r := &round{Verifier: v, id: id, evidence: Evidence{Administrator: v.To}}
	if r.logIn(ctx) {
		r.allowed(ctx, mailed)
		r.canary(ctx)
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
			answer := outcome.Answer{Outcome: outcome.Retry, Text: err.Error(), Advice: "run it again"}
			refused = &entra.LoginError{Answer: answer}
		}
		r.evidence.Login = refused
		r.note(Finding{Step: StepToken, Mark: Fail, Text: refused.Answer.What(), Remedy: refused.Answer.Advice})
		return false
	}
	r.evidence.Token = token
	r.note(r.tokenFinding(token))
	r.note(rolesFinding(token))
	if r.id.Submission != nil {
		r.submits, err = r.id.Submission()
		if err != nil { // the credential was read a moment ago
			r.evidence.Credential = err
			r.note(Finding{Step: StepCredential, Mark: Fail, Text: err.Error()})
			return false
		}
	}
	return true
}

func credentialFinding(c entra.CredentialInfo, now time.Time) Finding {
	f := Finding{Step: StepCredential, Mark: OK, Text: c.Kind}
	if c.NotAfter.IsZero() {
		return f
	}
	f.Text = fmt.Sprintf("%s %s, thumbprint %s, valid until %s",
		c.Kind, c.Subject, c.Thumbprint, c.NotAfter.UTC().Format(time.DateOnly))
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
	f := Finding{Step: StepToken, Mark: OK, Text: fmt.Sprintf("token for tenant %s, app %s",
		cmp.Or(t.Tenant, r.id.TenantID), cmp.Or(t.App, r.id.ClientID))}
	if t.App != "" && !strings.EqualFold(t.App, r.id.ClientID) {
		f.Mark, f.Remedy = Warn, "it names another app than the configuration: check client_id"
	}
	return f
}

// rolesFinding explains the claim that is easily misread: without it nothing is
// wrong, with it nothing is restricted unless an access policy does it.
func rolesFinding(t entra.TokenInfo) Finding {
	consents := Consents(t.Roles)
	if len(consents) == 0 {
		return Finding{Step: StepRoles, Mark: OK,
			Text: "nothing that concerns mail is consented in Entra, as RBAC for Applications requires"}
	}
	return Finding{Step: StepRoles, Mark: Warn,
		Text: "consented in Entra for every mailbox: " + strings.Join(consents, ", "),
		Remedy: "only an access policy narrows this; with RBAC for Applications remove the consent, " +
			"or nothing is restricted"}
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
			r.permissions(ctx, m, true)
		}
		r.evidence.Allowed = append(r.evidence.Allowed, t)
	}
}

// mail sends the test mail, which is the only full proof that sending works.
func (r *round) mail(ctx context.Context, m envelope.Address) Trial {
	a := testMail(ctx, r.client, m, r.To, r.Now())
	t := Trial{Mailbox: m, Answer: a, Access: Read(a)}
	f := t.finding(StepSend, Fail, fmt.Sprintf("test mail to %s: %s", r.To, a.What()), a.Advice)
	switch {
	case a.Outcome == outcome.Delivered:
		f = t.finding(StepSend, OK, fmt.Sprintf("test mail to %s accepted", r.To), "")
	case a.HTTPStatus == http.StatusForbidden:
		t.Access = Closed // the mailbox is open, and the address may not be sent as
	default:
		t.Access = Unclear
	}
	r.note(f)
	return t
}

// finding is what a step found about the mailbox of a trial.
func (t Trial) finding(s Step, m Mark, text, remedy string) Finding {
	return Finding{s, t.Mailbox, m, t.Mailbox.String() + ": " + text, remedy}
}

func allowedFinding(t Trial) Finding {
	if t.Access == Open {
		return t.finding(StepAllowed, OK, "the app may use it", "")
	}
	return t.finding(StepAllowed, Fail, t.Answer.What(), t.Answer.Advice)
}

// denied tries the mailboxes that must be refused, and beside them the
// administrator's own and the canary's: should one be open, more is open than should be.
func (r *round) denied(ctx context.Context) {
	for _, m := range r.id.Denied {
		if ctx.Err() != nil {
			return
		}
		t := Probe(ctx, r.client, m, r.Now())
		r.evidence.Denied = append(r.evidence.Denied, t)
		r.note(deniedFinding(t))
		r.read(ctx, m)
		r.submitDenied(ctx, m)
	}
	for _, m := range r.witnesses() {
		if ctx.Err() != nil {
			return
		}
		t := Probe(ctx, r.client, m, r.Now())
		r.evidence.Witnesses = append(r.evidence.Witnesses, t)
		if t.Access == Open {
			f := deniedFinding(t)
			f.Step = StepWitness
			r.note(f)
		}
	}
}

// witnesses are further mailboxes to try: the administrator's, and a canary's that is only read.
func (r *round) witnesses() []envelope.Address {
	list := []envelope.Address{r.To}
	if r.id.CanaryReads && !r.id.Canary.Equal(r.To) {
		list = append(list, r.id.Canary)
	}
	return slices.DeleteFunc(list, func(m envelope.Address) bool {
		return m.IsZero() || slices.ContainsFunc(slices.Concat(r.id.Allowed, r.id.Denied), m.Equal)
	})
}

// canary tries to read the mailbox in which canaries arrive.
func (r *round) canary(ctx context.Context) {
	if r.id.Canary.IsZero() || ctx.Err() != nil {
		return
	}
	_, a := canRead(ctx, r.client, r.id.Canary)
	r.note(needsCanary.finding(r.id.Canary, a))
}

// read tries to read a mailbox that must be closed, where the application could
// read any.
func (r *round) read(ctx context.Context, m envelope.Address) {
	reads := func(role string) bool { return strings.HasPrefix(role, "Mail.Read") }
	if !r.id.Reads && !slices.ContainsFunc(Consents(r.evidence.Token.Roles), reads) {
		return
	}
	access, a := canRead(ctx, r.client, m)
	t := Trial{Mailbox: m, Answer: a, Access: access}
	switch access {
	case Open:
		r.evidence.Readable = append(r.evidence.Readable, m)
		r.note(t.finding(StepRead, Fail, "the app can READ this mailbox",
			"remove Mail.Read, Mail.ReadBasic and Mail.ReadWrite from the consents, or narrow the role of that name"))
	case Closed:
		r.note(t.finding(StepRead, OK, "reading it is refused, too", ""))
	default:
		r.evidence.Unread = append(r.evidence.Unread, t)
		r.note(t.finding(StepRead, Warn, "it is not known whether it can be read: "+a.What(), a.Advice))
	}
}

func deniedFinding(t Trial) Finding {
	switch {
	case t.Access == Open:
		return t.finding(StepDenied, Fail, "the app MAY SEND as this mailbox",
			"restrict the app before anything else is done with it")
	case t.Access == Closed && strings.Contains(t.Answer.Detail, policyBlock):
		return t.finding(StepDenied, OK,
			"refused by an access policy (it proves nothing if this is an administrator's mailbox)", "")
	case t.Access == Closed:
		return t.finding(StepDenied, OK, "refused", "")
	}
	return t.finding(StepDenied, Warn, "proves nothing: "+t.Answer.What(), t.Answer.Advice)
}

// Examine looks at an identity without sending or changing anything: credential,
// token, what is consented, a probe of each mailbox, and a search of it where the
// configuration looks outcomes up. Each finding goes to note.
func Examine(ctx context.Context, id Identity, v Verifier, note func(Finding)) {
	v = v.withDefaults()
	v.Progress = note
	r := &round{Verifier: v, id: id}
	if !r.logIn(ctx) {
		return
	}
	for _, m := range id.Allowed {
		if ctx.Err() != nil {
			return
		}
		t := Probe(ctx, r.client, m, v.Now())
		f := allowedFinding(t)
		if t.Access == Closed && strings.Contains(t.Answer.Detail, policyBlock) {
			f.Remedy += "; " + policyBlock + " without any policy in the tenant means that the tenant lets no app " +
				"use mailboxes by consent alone, or that the mailbox is an administrator's: " +
				"assign a role (graphrelay setup --method rbac)"
		}
		note(f)
		if t.Access == Open {
			r.permissions(ctx, m, false)
		}
	}
	r.canary(ctx)
	r.denied(ctx)
	if len(id.Denied) == 0 {
		note(Finding{Step: StepDenied, Mark: Warn, Text: "no mailbox is named that must be refused",
			Remedy: "set denied_mailbox, and run graphrelay verify --to ADMIN"})
	}
}

// need is a permission that the configuration needs beside Mail.Send, and why.
type need struct {
	step             Step
	permission, what string // what it lets the app do
	key              string // of the configuration
}

var (
	needsDrafts = need{StepWrite, "Mail.ReadWrite", "create drafts in", "delivery.large_messages: upload"}
	needsCanary = need{StepRead, "Mail.ReadBasic", "read", "audit.canary"}
	needsSearch = need{StepRead, "Mail.Read", "search", "delivery.unknown_outcome: lookup"}
)

// permissions checks whether the app has in an allowed mailbox what the
// configuration needs beside sending. That is not part of the verdict, which is
// about who may send: what is missing stops large mail or a lookup, and nothing
// else. changes allows it to create a draft, and to delete it again.
func (r *round) permissions(ctx context.Context, m envelope.Address, changes bool) {
	if r.id.Uploads && changes && ctx.Err() == nil {
		r.note(needsDrafts.finding(m, r.client.TryDraft(ctx, m)))
	}
	if r.id.Looks && ctx.Err() == nil {
		_, a := canRead(ctx, r.client, m)
		r.note(needsSearch.finding(m, a))
	}
	r.submit(ctx, m, changes)
	if r.id.Bounces != "" && ctx.Err() == nil {
		n := need{StepRead, r.id.Bounces, "read bounces in", "delivery.track_bounces"}
		r.note(n.finding(m, canReadBounces(ctx, r.client, m, r.id.Bounces)))
	}
}

// canReadBounces tries to read what tracking reads: a list and, with Mail.Read, the content of a
// message that does not exist. Who may not read any is told that, and not that it is missing.
func canReadBounces(ctx context.Context, c Client, m envelope.Address, permission string) outcome.Answer {
	_, a := canRead(ctx, c, m)
	if a.Outcome != outcome.Delivered || permission != "Mail.Read" {
		return a
	}
	_, content := c.MIME(ctx, m, "AAMkGraphrelayAsksWhetherItMayRead=", 1)
	if content.HTTPStatus == http.StatusNotFound || content.HTTPStatus == http.StatusBadRequest {
		return a
	}
	return content
}

func (n need) finding(m envelope.Address, a outcome.Answer) Finding {
	f := Finding{Step: n.step, Mailbox: m, Mark: Warn}
	switch {
	case a.Outcome == outcome.Delivered:
		f.Mark = OK
		f.Text = fmt.Sprintf("%s: the app may %s this mailbox, as %s requires (%s)", m, n.what, n.key, n.permission)
	case a.HTTPStatus == http.StatusForbidden:
		f.Text = fmt.Sprintf("%s: the app may not %s this mailbox, as %s requires (%s): %s",
			m, n.what, n.key, n.permission, a.What())
		f.Remedy = fmt.Sprintf("grant Application %s for this mailbox (graphrelay setup prints the script; "+
			"with an access policy consent to %s), and wait: it takes 30 minutes to 2 hours to reach Graph",
			n.permission, n.permission)
	default:
		f.Text = fmt.Sprintf("%s: it is not known whether the app may %s this mailbox, as %s requires: %s",
			m, n.what, n.key, a.What())
		f.Remedy = cmp.Or(a.Advice, again)
	}
	return f
}
