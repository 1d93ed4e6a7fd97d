package verify_test

import (
	"strings"
	"testing"

	"graphrelay/relay/sandbox"
	"graphrelay/relay/verify"
)

// What large mail and lookups need in the allowed mailboxes is reported, with
// what to do, and leaves the verdict and the mailbox as they are.
func TestWhatTheConfigurationNeedsBesideSending(t *testing.T) {
	granted := func(roles ...string) sandbox.Access {
		a := role(sender)
		for _, r := range roles {
			a.Assignments = append(a.Assignments, sandbox.RoleAssignment{Role: r, Scope: group})
		}
		return a
	}
	for name, tc := range map[string]struct {
		access         sandbox.Access
		uploads, looks bool
		want           string
	}{
		"nothing needed":      {granted(), false, false, ""},
		"upload, not granted": {granted(), true, false, "write warn Application Mail.ReadWrite"},
		"upload, read only": {granted("Application Mail.Read"), true, true,
			"write warn Application Mail.ReadWrite, read ok"},
		"upload, granted":     {granted("Application Mail.ReadWrite"), true, true, "write ok, read ok"},
		"lookup, not granted": {granted(), false, true, "read warn Application Mail.Read"},
		"lookup, granted":     {granted("Application Mail.Read"), false, true, "read ok"},
		"both needed, neither is": {granted(), true, true,
			"write warn Application Mail.ReadWrite, read warn Application Mail.Read"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTenant(t)
			x.set(tc.access, 0)
			x.id.Uploads, x.id.Looks = tc.uploads, tc.looks
			r := x.verify()
			var got []string
			for _, f := range r.Findings {
				if f.Step != verify.StepWrite && f.Step != verify.StepRead {
					continue
				}
				s := string(f.Step) + " " + string(f.Mark)
				if remedy, _, found := strings.Cut(strings.TrimPrefix(f.Remedy, "grant "), " for this mailbox"); found {
					s += " " + remedy
				}
				got = append(got, s)
			}
			if strings.Join(got, ", ") != tc.want || r.Verdict != verify.Restricted || x.Drafts() != 0 {
				t.Errorf("%v, verdict %s, %d drafts left; findings %+v", got, r.Verdict, x.Drafts(), r.Findings)
			}
			found := 0
			verify.Examine(t.Context(), x.id, verify.Verifier{}, func(f verify.Finding) {
				if f.Step == verify.StepWrite {
					t.Error("an examination changes nothing")
				}
				if f.Step == verify.StepRead {
					found++
				}
			})
			if (found == 1) != tc.looks {
				t.Errorf("an examination found %d times whether it may read", found)
			}
		})
	}
}

// The canary's mailbox must be readable, and where nobody sends from it, the app must not send as it.
func TestWhatTheCanaryNeeds(t *testing.T) {
	const check = "check@contoso.com"
	reads := sandbox.RoleAssignment{Role: "Application Mail.ReadBasic", Scope: check}
	sends := sandbox.RoleAssignment{Role: "Application Mail.Send", Scope: check}
	for name, tc := range map[string]struct {
		roles   []sandbox.RoleAssignment
		canary  string
		want    string
		verdict verify.Verdict
	}{
		"granted":     {[]sandbox.RoleAssignment{reads}, check, "read ok", verify.Restricted},
		"not granted": {nil, check, "read warn grant Application Mail.ReadBasic", verify.Restricted},
		"of a sender": {nil, sender, "read warn grant Application Mail.ReadBasic", verify.Restricted},
		"sends as it too": {[]sandbox.RoleAssignment{reads, sends}, check, "read ok, witness fail restrict the app " +
			"before anything else is done with it", verify.NotRestricted},
		"no such mailbox": {nil, "gone@contoso.com", "read warn", verify.Restricted},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTenant(t)
			x.SetMailboxes([]string{sender, canary, admin, check})
			a := role(sender)
			a.Assignments = append(a.Assignments, tc.roles...)
			x.set(a, 0)
			x.id.Canary, x.id.CanaryReads = address(t, tc.canary), tc.canary != sender
			r := x.verify()
			var got []string
			for _, f := range r.Findings {
				if f.Step == verify.StepRead || f.Step == verify.StepWitness {
					remedy, _, _ := strings.Cut(f.Remedy, " for this mailbox")
					if name == "no such mailbox" {
						remedy = ""
					}
					got = append(got, strings.TrimSpace(string(f.Step)+" "+string(f.Mark)+" "+remedy))
				}
			}
			if strings.Join(got, ", ") != tc.want || r.Verdict != tc.verdict {
				t.Errorf("%v, want %s; verdict %s: %s", got, tc.want, r.Verdict, r.Text)
			}
		})
	}
}

// What tracking of bounces needs is proven likewise: that lists can be read, and with full the content.
func TestWhatBouncesNeed(t *testing.T) {
	for name, tc := range map[string]struct{ granted, needs, want string }{
		"header":                       {"Application Mail.ReadBasic", "Mail.ReadBasic", "ok"},
		"header, not granted":          {"", "Mail.ReadBasic", "warn grant Application Mail.ReadBasic"},
		"full":                         {"Application Mail.Read", "Mail.Read", "ok"},
		"full, only the header may be": {"Application Mail.ReadBasic", "Mail.Read", "warn grant Application Mail.Read"},
		"full, of upload":              {"Application Mail.ReadWrite", "Mail.Read", "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTenant(t)
			a := role(sender)
			if tc.granted != "" {
				a.Assignments = append(a.Assignments, sandbox.RoleAssignment{Role: tc.granted, Scope: group})
			}
			x.set(a, 0)
			x.id.Bounces = tc.needs
			r := x.verify()
			var got []string
			for _, f := range r.Findings {
				if f.Step == verify.StepRead {
					remedy, _, _ := strings.Cut(f.Remedy, " for this mailbox")
					got = append(got, strings.TrimSpace(string(f.Mark)+" "+remedy))
				}
			}
			if strings.Join(got, ", ") != tc.want || r.Verdict != verify.Restricted {
				t.Errorf("%v, want %s; verdict %s", got, tc.want, r.Verdict)
			}
		})
	}
}
