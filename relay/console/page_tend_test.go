package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// What the console could only advise to type is a button: trying a hold, an audit, a
// reload.
func TestButtonsInsteadOfCommands(t *testing.T) {
	b := newBench(t, record(1, spool.Sent)).logIn()
	b.holds = []spool.Hold{{Key: "mailbox:a@example.org"}}
	b.snap.Holds = []state.Hold{{Key: "mailbox:a@example.org", Text: "refused; do this", Probes: 2, Since: noon},
		{Key: "audit:contoso", Text: "not restricted; do this"}}
	text := b.get("/").Body.String()
	for _, want := range []string{"Refused", "Try this hold now", "Audit now", `value="mailbox:a@example.org"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
	token := b.token()
	for _, c := range []struct{ path, field, value, done, to string }{
		{"/holds/try", "key", "mailbox:a@example.org", "probe mailbox:a@example.org", "/?noted=hold"},
		{"/try", "x", "", "try all", "/?noted=try"},
		{"/setup/audit", "identity", "contoso", "audit contoso", "/setup?noted=audit"},
		{"/setup/reload", "x", "", "reload", "/setup?noted=reload"},
	} {
		w := b.do(http.MethodPost, c.path, url.Values{"token": {token}, c.field: {c.value}})
		if len(b.done) == 0 || b.done[len(b.done)-1] != c.done || w.Header().Get("Location") != c.to {
			t.Errorf("%s: %d, done %q, leads to %q", c.path, w.Code, b.done, w.Header().Get("Location"))
		}
		if text := b.get(c.to).Body.String(); !strings.Contains(text, `role="status"`) {
			t.Errorf("%s does not say what was begun", c.to)
		}
	}
	gone := url.Values{"token": {token}, "key": {"mailbox:gone@example.org"}}
	if w := b.do(http.MethodPost, "/holds/try", gone); w.Code != http.StatusConflict {
		t.Errorf("a hold that has ended: %d", w.Code)
	}
	b.err = errors.New("line 3: there is no such key")
	if w := b.do(http.MethodPost, "/setup/reload", url.Values{"token": {token}}); w.Code !=
		http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Line 3: there is no such key") {
		t.Errorf("a configuration with a mistake: %d %s", w.Code, w.Body)
	}
}

// No page advises to type what one of its buttons does.
func TestNoPageAdvisesACommand(t *testing.T) {
	held := record(1, spool.Held)
	held.LastText = "held by the operator (console); to let it go: graphrelay queue release " + string(held.ID)
	b := newBench(t, held).logIn()
	b.snap.Held, b.snap.Damaged = 1, 1
	b.snap.Lanes = []state.Lane{{Mailbox: "a@example.org", Queued: 1, Oldest: noon.Add(-2 * time.Hour)}}
	b.snap.Reload = state.Reload{At: noon, Failed: true, Error: "line 3"}
	for _, path := range everyPage {
		for _, command := range []string{"graphrelay queue", "graphrelay verify", "graphrelay check",
			"graphrelay reload"} {
			if text := b.get(path).Body.String(); strings.Contains(text, command) {
				t.Errorf("%s advises %q", path, command)
			}
		}
	}
}

// Each fault that a page or a button helps with leads there.
func TestNeedsLeadToTheirPages(t *testing.T) {
	h := state.Health{}
	for _, key := range []string{"queue:held", "damaged", "old:a@example.org", "credential:contoso", "certificate",
		"outage", "hold:mailbox:a@example.org", "audit:contoso", "disk", "refused:erp", "queue:depth",
		"queue:restored", "queue:log", "configuration"} {
		h.Reasons = append(h.Reasons, state.Alarm{Key: key,
			Fault: state.Fault{Headline: "x", Remedy: "wait; to try now: graphrelay queue retry --all"}})
	}
	want := map[string]need{
		"queue:held": {Href: "/messages?state=held"}, "damaged": {Href: "/messages?state=damaged"},
		"old:a@example.org": {Href: "/messages?mailbox=a%40example.org"}, "credential:contoso": {Href: "/setup"},
		"certificate": {Href: "/setup"}, "outage": {TryAll: true}, "disk": {},
		"refused:erp": {Href: "/refusals?q=erp"}, "queue:depth": {Href: "/messages"},
		"configuration":              {Href: "/setup"},
		"queue:restored":             {Href: "/messages?state=held"},
		"queue:log":                  {}, // of files in a folder
		"hold:mailbox:a@example.org": {Hold: "mailbox:a@example.org"},
		"audit:contoso":              {Hold: "audit:contoso", Audit: true},
	}
	for _, got := range needsOf(h, []state.Hold{{Key: "mailbox:a@example.org"}, {Key: "audit:contoso"}}) {
		w := want[got.Key]
		if got.Href != w.Href || got.TryAll != w.TryAll || got.Hold != w.Hold || got.Audit != w.Audit {
			t.Errorf("%s: %+v", got.Key, got)
		}
		if got.Key == "outage" && got.Remedy != "wait" {
			t.Errorf("outage: remedy %q", got.Remedy)
		}
	}
}

// A client has a page over all of its addresses.
func TestClientPage(t *testing.T) {
	b := newBench(t, record(1, spool.Held), record(2, spool.Queued), record(3, spool.Sent)).logIn()
	for _, address := range []string{"192.0.2.7", "192.0.2.8"} {
		b.monitor.Refused("erp", address, state.Refused{Step: "rcpt", Reply: "no " + hostile})
	}
	text := b.get("/clients/erp").Body.String()
	for _, want := range []string{"Client erp", "192.0.2.7", "192.0.2.8", "<b>2</b><small>since the start", "Report 1",
		`href="/messages?state=held&amp;q=erp"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if !strings.Contains(b.get("/clients").Body.String(), `href="/clients/erp"`) {
		t.Error("the list does not lead to it")
	}
	if w := b.get("/clients/nobody"); w.Code != http.StatusOK ||
		!strings.Contains(w.Body.String(), "has not connected") {
		t.Errorf("an unknown client: %d", w.Code)
	}
}
