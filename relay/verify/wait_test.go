package verify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
	"graphrelay/relay/verify"
)

// waiting verifies with a clock that only pauses move, the tenant's with it.
func waiting(x *tenant, wait time.Duration) (r verify.Report, rounds int, passed time.Duration) {
	x.t.Helper()
	now := time.Now()
	began := now
	v := x.verifier()
	v.Wait = wait
	v.Now = func() time.Time { return now }
	v.Sleep = func(_ context.Context, d time.Duration) error {
		now = now.Add(d)
		x.Advance(d)
		x.config.Now = func() time.Time { return now } // its token, too, ages
		return nil
	}
	v.Waiting = func(verify.Report, time.Duration, time.Duration) { rounds++ }
	x.config.SecretFile, x.config.CertificateFile = x.dir+"/secret.txt", "" // an assertion would tell the real time
	x.SetSecret("the-right-secret")
	x.write("secret.txt", []byte("the-right-secret\n"))
	return v.Verify(context.Background(), x.id), rounds, now.Sub(began)
}

func TestWaitUntilThePolicyIsEffective(t *testing.T) {
	x := newTenant(t)
	x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0)
	x.set(policy(sender), time.Hour)
	r, rounds, passed := waiting(x, 2*time.Hour)
	if r.Verdict != verify.Restricted || rounds != 12 || passed != time.Hour {
		t.Errorf("%s after %d pauses, %s", r.Line(), rounds, passed)
	}
	last := r.Findings[len(r.Findings)-1]
	if last.Step != verify.StepClosed || !strings.Contains(last.Text, "still worked for up to 1h0m0s") {
		t.Errorf("how long it was open: %+v", last)
	}
	if n := x.Count(); n != 1 {
		t.Errorf("%d test mails; one is enough, however many rounds", n)
	}
}

func TestWaitUntilTheRoleIsEffective(t *testing.T) {
	x := newTenant(t)
	x.set(role(sender), 50*time.Minute)
	r, _, passed := waiting(x, 2*time.Hour)
	if r.Verdict != verify.Restricted || passed != 50*time.Minute {
		t.Errorf("%s after %s", r.Line(), passed)
	}
	if last := r.Findings[len(r.Findings)-1]; last.Step == verify.StepClosed {
		t.Errorf("it was never open: %+v", last)
	}
}

func TestWaitEnds(t *testing.T) {
	x := newTenant(t)
	x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0)
	r, rounds, passed := waiting(x, 12*time.Minute)
	if r.Verdict != verify.NotRestricted || rounds != 3 || passed != 12*time.Minute {
		t.Errorf("%s after %d pauses, %s", r.Line(), rounds, passed)
	}
}

// What no waiting cures is said at once.
func TestNoWaitForWhatIsFinal(t *testing.T) {
	for name, arrange := range map[string]func(x *tenant){
		"no denied mailbox": func(x *tenant) { x.set(role(sender), 0); x.id.Denied = nil },
		"wrong app":         func(x *tenant) { x.config.ClientID = "99999999-9999-9999-9999-999999999999" },
	} {
		x := newTenant(t)
		arrange(x)
		if r, rounds, _ := waiting(x, 2*time.Hour); r.Verdict != verify.Unproven || rounds != 0 {
			t.Errorf("%s: %s after %d pauses", name, r.Line(), rounds)
		}
	}
}

func TestAnInterruptedWaitReports(t *testing.T) {
	x := newTenant(t)
	x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0)
	v := x.verifier()
	v.Wait = time.Hour
	v.Sleep = func(context.Context, time.Duration) error { return errors.New("interrupted") }
	if r := v.Verify(context.Background(), x.id); r.Verdict != verify.NotRestricted {
		t.Error(r.Line())
	}
}
