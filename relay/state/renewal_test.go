package state

import (
	"testing"
	"time"
)

// A certificate that renews itself is no warning before its last two weeks, unless
// that fails.
func TestOnlyARenewalThatFailsIsAFault(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	of := func(days int, failing bool) map[string]Fault {
		r := &Renewal{Stage: "trying", Failing: failing, Since: now.Add(-3 * time.Hour)}
		if failing {
			r.Cause = "Tenant's policy allows no new certificate; renew it by hand [400]"
		}
		return Faults(Snapshot{Credentials: []Credential{{
			Identity: "contoso", Expires: now.AddDate(0, 0, days), Renewal: r,
			Warning: "Certificate expires; renew", Stage: "30 days",
		}}}, now)
	}
	if f := of(25, false); len(f) != 0 {
		t.Errorf("%+v", f)
	}
	if f := of(10, false); f["credential:contoso"].Headline == "" {
		t.Errorf("%+v", f)
	}
	f := of(25, true)
	if r := f["renewal:contoso"]; r.Headline != "Tenant's policy allows no new certificate" || r.Remedy == "" ||
		!r.Warning || r.Since.IsZero() || f["credential:contoso"].Headline == "" {
		t.Errorf("%+v", f)
	}
}
