package console

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// rejection is a row of the record of refusals.
func rejection(client, ip, sender, domain, reason string, count int) spool.Refusal {
	r := spool.Refusal{First: noon, Last: noon.Add(time.Duration(count) * time.Second), Count: count}
	r.RefusalKey = spool.RefusalKey{Client: client, Domain: domain, Reason: reason, Code: 550,
		Status: reply.Enhanced{5, 7, 1}}
	if ip != "" {
		r.Addr = netip.MustParseAddr(ip)
	}
	if sender != "" {
		r.Sender = addr(sender)
	}
	return r
}

// What was refused is listed with who, how often, why and what to do, and is found by
// client, address, sender and domain.
func TestRefusals(t *testing.T) {
	b := newBench(t).logIn()
	if text := b.get("/refusals").Body.String(); !strings.Contains(text, "Nothing has been refused.") {
		t.Error("an empty record is not named")
	}
	b.refusals = []spool.Refusal{
		rejection("erp", "192.0.2.7", "ceo@example.org", "fabrikam.com", "Sender is not granted", 1204),
		rejection("", "192.0.2.9", "", "", hostile, 1),
		rejection("scanner", "", "", spool.Various, "Recipient is not allowed", 7),
	}
	text := b.get("/refusals").Body.String()
	for _, want := range []string{"1,204 times", "550 5.7.1", "from ceo@example.org to fabrikam.com",
		"Sender is not granted.", "192.0.2.9", "unknown client", "various senders and recipients",
		`href="/clients/erp"`, reply.Remedy(reply.Enhanced{5, 7, 1}, "Sender is not granted")[1:]} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for query, want := range map[string]int{"erp": 1, "192.0.2.9": 2, "ceo%40example.org": 2, "%40fabrikam.com": 2,
		"fabrikam.com": 2, "nobody": 0} {
		text := b.get("/refusals?q=" + query).Body.String()
		if got := strings.Count(text, `<li class="card">`); got != want {
			t.Errorf("%q finds %d, want %d", query, got, want)
		}
	}
	if text := b.get("/refusals?q=a@@b").Body.String(); !strings.Contains(text, `role="alert"`) {
		t.Error("what is no address is not named")
	}
	if text := b.get("/clients/erp").Body.String(); !strings.Contains(text, "Sender is not granted.") ||
		strings.Contains(text, "Recipient is not allowed") {
		t.Error("the page of a client has not its own refusals")
	}
}

func TestRefusalsHavePages(t *testing.T) {
	b := newBench(t).logIn()
	for n := range pageSize + 20 {
		b.refusals = append(b.refusals, rejection("erp", "", "", "", "why", n+1))
	}
	first, second := b.get("/refusals?q=erp").Body.String(), b.get("/refusals?q=erp&skip=50").Body.String()
	if strings.Count(first, `<li class="card">`) != pageSize || strings.Count(second, `<li class="card">`) != 20 ||
		!strings.Contains(first, `href="/refusals?q=erp&amp;skip=50"`) || !strings.Contains(second, "First page") ||
		strings.Contains(second, "Next page") {
		t.Error("the pages do not follow each other")
	}
}
