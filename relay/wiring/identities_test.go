package wiring

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/verify"
)

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("config.yaml", []byte(text), "/etc/graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// No mailbox has the name of a wildcard: it is neither looked into nor verified.
func TestWildcardsAreNoMailboxes(t *testing.T) {
	text := strings.NewReplacer(
		"  - address: b@fabrikam.com\nmailboxes:", "  - address: \"*@fabrikam.com\"\n    mailbox: self\nmailboxes:",
		"  - address: b@fabrikam.com\n    identity", "  - address: \"*@fabrikam.com\"\n    identity",
		"unknown_outcome: retry", "unknown_outcome: lookup",
	).Replace(read(t, "config.yaml"))
	c := parse(t, text)
	if got := fmt.Sprint(Lookups(c)); got != "[box@contoso.com]" {
		t.Errorf("looks into %s", got)
	}
	all, err := VerifyIdentities(c, "1.2.3", nil)
	if err != nil || len(all[1].Allowed) != 0 {
		t.Errorf("verifies %v, %v", all[1].Allowed, err)
	}
	address, _ := envelope.ParseAddress("anyone@fabrikam.com")
	if route, ok := Route(c, address); !ok || route.Identity != "fabrikam" {
		t.Errorf("a mailbox of the wildcard: %+v, %v", route, ok)
	}
}

// What --allowed names is verified under the identity that sends for it.
func TestAllowedMailboxesGoToTheirIdentity(t *testing.T) {
	c := parse(t, read(t, "config.yaml"))
	address := func(text string) envelope.Address {
		a, err := envelope.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	all, err := VerifyIdentities(c, "1.2.3", []envelope.Address{address("b@fabrikam.com")})
	if err != nil || len(all[0].Allowed) != 0 || fmt.Sprint(all[1].Allowed) != "[b@fabrikam.com]" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := all[0].Open(); err == nil || !strings.Contains(err.Error(), "/etc/graphrelay/") {
		t.Errorf("a client of files that are not there: %v", err)
	}
	_, err = VerifyIdentities(c, "1.2.3", []envelope.Address{address("c@adatum.com")})
	if err == nil || !strings.Contains(err.Error(), "no sender uses the mailbox c@adatum.com") {
		t.Errorf("a mailbox of no identity: %v", err)
	}
	c.Identities = c.Identities[:1]
	if all, err = VerifyIdentities(c, "1.2.3", []envelope.Address{address("c@adatum.com")}); err != nil ||
		fmt.Sprint(all[0].Allowed) != "[c@adatum.com]" {
		t.Errorf("with one identity: %+v, %v", all, err)
	}
	if _, ok := Route(c, address("c@adatum.com")); ok {
		t.Error("a mailbox that no sender uses has a route")
	}
}

// What an audit stopped stays stopped when its identity gets another name, and
// only while audits stop mail.
func TestAuditHoldsAreCarriedToTheNewName(t *testing.T) {
	address, err := envelope.ParseAddress("box@contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	holds := []spool.Hold{
		{Key: "audit:old", Mailboxes: []envelope.Address{address}},
		{Key: "audit:fabrikam", Mailboxes: []envelope.Address{address}},
		{Key: "identity:old", Mailboxes: []envelope.Address{address}},
	}
	text := read(t, "config.yaml")
	if list := CarriedHolds(parse(t, text), holds); list != nil {
		t.Errorf("with alarms alone: %v", list)
	}
	list := CarriedHolds(parse(t, strings.Replace(text, "on_failure: alarm", "on_failure: stop", 1)), holds)
	if len(list) != 1 || list[0].Identity != "contoso" || !strings.Contains(list[0].Text, "--hold audit:contoso") {
		t.Errorf("holds %v", list)
	}
	holds = []spool.Hold{{Key: "audit:old"}} // made before any mail waited
	list = CarriedHolds(parse(t, strings.Replace(text, "on_failure: alarm", "on_failure: stop", 1)), holds)
	if len(list) != 1 || list[0].Identity != "contoso" {
		t.Errorf("a hold without mail is carried to %v", list)
	}
}

// An identity that was not audited yet has no last audit.
func TestAuditsHaveAResult(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	list := Audits([]verify.Audit{
		{Identity: "new"}, {Identity: "contoso", Concluded: at, Passed: true, Proof: "refused"},
	})
	if len(list) != 1 || list[0] != (state.Audit{Identity: "contoso", At: at, Passed: true, Text: "refused"}) {
		t.Errorf("audits %+v", list)
	}
}
