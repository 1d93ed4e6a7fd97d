package verify_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/verify"
)

// printed is all that a verification says.
func (x *tenant) printed(ctx context.Context) string {
	return said(x.verifier().Verify(ctx, x.id))
}

func said(r verify.Report) string {
	text := r.Line()
	for _, f := range r.Findings {
		text += "\n" + f.Text + "; " + f.Remedy
	}
	return text
}

func (x *tenant) verified() string { return said(x.verify()) }

// examined is all that an examination says, as the doctor shows it.
func (x *tenant) examined() (text string) {
	verify.Examine(x.t.Context(), x.id, verify.Verifier{}, func(f verify.Finding) {
		text += f.Text + "; " + f.Remedy + "\n"
	})
	return text
}

// Each remedy is followed as it is written, at the tenant or in the configuration,
// and what it is for is not found any more.
func TestRemediesAreFollowed(t *testing.T) {
	consented := func(permission string) func(*tenant) {
		return func(x *tenant) {
			a := role(sender)
			a.Consents = []string{permission}
			x.set(a, 0)
		}
	}
	withRole := func(x *tenant) { x.set(role(sender), 0) }
	renewed := func(x *tenant) { x.upload(x.newPair(time.Now(), 730)) }
	for _, row := range []struct {
		remedy         string
		broken, follow func(*tenant)
		see            func(*tenant) string
	}{
		{"it expires soon: make the next one with `graphrelay cert renew`",
			func(x *tenant) { withRole(x); x.upload(x.newPair(time.Now().AddDate(0, 0, -80), 90)) }, renewed,
			(*tenant).verified},
		{"make the next one with `graphrelay cert renew`, upload it and put it in place",
			func(x *tenant) { withRole(x); x.upload(x.newPair(time.Now().AddDate(-1, 0, 0), 300)) }, renewed,
			(*tenant).verified},
		{"it names another app than the configuration: check client_id",
			func(x *tenant) { withRole(x); x.id.ClientID = "99999999-9999-9999-9999-999999999999" },
			func(x *tenant) { x.id.ClientID = x.ClientID() }, (*tenant).verified},
		{"name one that must be able to send with --allowed", func(x *tenant) { withRole(x); x.id.Allowed = nil },
			func(x *tenant) { x.id.Allowed = []envelope.Address{address(x.t, sender)} }, (*tenant).verified},
		{"only an access policy narrows this; with RBAC for Applications remove the consent, or nothing is restricted",
			consented("Mail.Send"), withRole, (*tenant).verified},
		{"remove Mail.Read, Mail.ReadBasic and Mail.ReadWrite from the consents, or narrow the role of that name",
			consented("Mail.ReadWrite"), withRole, (*tenant).verified},
		{"restrict the app before anything else is done with it",
			func(x *tenant) { x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0) }, withRole,
			(*tenant).verified},
		{"write denied_mailbox with an existing, licensed, ordinary mailbox, or name it with --denied",
			func(x *tenant) { withRole(x); x.id.Denied = nil },
			func(x *tenant) { x.id.Denied = []envelope.Address{address(x.t, canary)} }, (*tenant).verified},
		{"set denied_mailbox, and run graphrelay verify --to ADMIN",
			func(x *tenant) { withRole(x); x.id.Denied = nil },
			func(x *tenant) { x.id.Denied = []envelope.Address{address(x.t, canary)} }, (*tenant).examined},
		{"assign a role (graphrelay setup --method rbac)", func(x *tenant) {
			a := policy(sender)
			a.ClosedByDefault = true
			x.set(a, 0)
		}, func(x *tenant) {
			a := role(sender)
			a.ClosedByDefault = true
			x.set(a, 0)
		}, (*tenant).examined},
	} {
		t.Run(row.remedy, func(t *testing.T) {
			x := newTenant(t)
			row.broken(x)
			if got := row.see(x); !strings.Contains(got, row.remedy) {
				t.Fatalf("it is not said:\n%s", got)
			}
			row.follow(x)
			if got := row.see(x); strings.Contains(got, row.remedy) || x.verify().Verdict != verify.Restricted {
				t.Errorf("it did not help:\n%s", got)
			}
		})
	}
}

// An interrupted verification proves nothing, and the next one does.
func TestAnInterruptedVerificationIsRunAgain(t *testing.T) {
	x := newTenant(t)
	x.set(role(sender), 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := x.printed(ctx); !strings.Contains(got, "run it again") {
		t.Errorf("it is not said:\n%s", got)
	}
	if r := x.verify(); r.Verdict != verify.Restricted {
		t.Errorf("%+v", r)
	}
}
