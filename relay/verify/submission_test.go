package verify_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/graph"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/submission"
	"graphrelay/relay/verify"
)

// TestSubmissionIsProven: the allowed mailbox may submit, with a test mail, and the denied
// one may not; a role that reaches too far is no restriction. The remedies are followed.
func TestSubmissionIsProven(t *testing.T) {
	const smtp = "Application SMTP.SendAsApp"
	for name, tc := range map[string]struct {
		scope   string // of the role; "" none, "*" everybody
		off     string // the mailbox whose SMTP AUTH is off
		down    bool
		verdict verify.Verdict
		want    string
	}{
		"restricted":          {scope: group, verdict: verify.Restricted, want: "submit ok, submit ok"},
		"missing":             {verdict: verify.Restricted, want: "submit warn, submit ok"},
		"too wide":            {scope: "*", verdict: verify.NotRestricted, want: "submit ok, submit fail"},
		"switched off":        {scope: group, off: sender, verdict: verify.Restricted, want: "submit warn, submit ok"},
		"switched off beyond": {scope: "*", off: canary, verdict: verify.Restricted, want: "submit ok, submit ok"},
		"nobody answers":      {scope: group, down: true, verdict: verify.Unproven, want: "submit warn, submit warn"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTenant(t)
			if err := x.StartSubmission(""); err != nil {
				t.Fatal(err)
			}
			a := role(sender)
			if tc.scope != "" {
				a.Assignments = append(a.Assignments, sandbox.RoleAssignment{
					Role: smtp, Scope: strings.TrimPrefix(tc.scope, "*"),
				})
			}
			x.set(a, 0)
			if tc.off != "" {
				x.SetSMTPAuth(false, tc.off)
			}
			x.id.Submission = func() (verify.Submitter, error) {
				g, err := graph.New(x.config)
				if err != nil {
					return nil, err
				}
				login, err := g.Outlook()
				at := x.SubmissionAddress()
				if tc.down {
					at = "127.0.0.1:1"
				}
				return submission.New(submission.Config{Address: at, Login: login, Roots: g.Roots()}), err
			}
			r := x.verify()
			var got []string
			for _, f := range r.Findings {
				if f.Step == verify.StepSubmit {
					got = append(got, string(f.Step)+" "+string(f.Mark))
					if f.Mark != verify.OK && f.Remedy == "" {
						t.Errorf("no remedy: %+v", f)
					}
				}
			}
			if strings.Join(got, ", ") != tc.want || r.Verdict != tc.verdict {
				t.Errorf("%v, %s %s; findings %+v", got, r.Verdict, r.Text, r.Findings)
			}
			auditEnds(t, x, tc.verdict)
			if tc.scope == "*" && tc.off == "" { // the remedy
				x.set(role(sender), 0)
				if r := x.verify(); r.Verdict != verify.Restricted {
					t.Errorf("after the remedy: %s %s", r.Verdict, r.Text)
				}
			}
			verify.Examine(t.Context(), x.id, verify.Verifier{}, func(verify.Finding) {})
		})
	}
}

// auditEnds wants the daily audit to come to the same end as the verification.
func auditEnds(t *testing.T, x *tenant, want verify.Verdict) {
	t.Helper()
	c, err := x.id.Open()
	if err != nil {
		t.Fatal(err)
	}
	s, err := x.id.Submission()
	if err != nil {
		t.Fatal(err)
	}
	err = verify.Audited{Denied: address(t, canary), Client: c, Submission: s}.Prove(t.Context(), time.Now())
	if (err == nil) != (want == verify.Restricted) {
		t.Errorf("the audit comes to another end than %s: %v", want, err)
	}
}
