package e2e_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

var opaque = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Each message has an opaque ID of its own, on the large path too, and no client can write it.
func TestEachMessageHasAnID(t *testing.T) {
	d := harness.StartDouble(t, mayWrite)
	r := harness.StartRelay(t, d, largeMail, harness.Watched())
	c := harness.Hello(t, r.Addr)
	head := "x-graphrelay-id: " + strings.Repeat("0", 32) + "\r\nX-Graphrelay-Odd: x\r\nX-One: 1\r\nX-Two: 2\r\n" +
		"X-Three: 3\r\nX-Four: 4\r\nX-Five: 5\r\nFrom: " + harness.Sender + "\r\nTo: a@example.org\r\n"
	c.Send(harness.Sender, []string{"a@example.org"}, head+"\r\nsmall\r\n")
	c.Send(harness.Sender, []string{"a@example.org"}, head+"\r\n"+
		strings.Repeat(strings.Repeat("x", 70)+"\r\n", 40_000))
	r.WaitEmpty(patience)
	var fields []string
	var draft struct {
		InternetMessageHeaders []struct{ Name, Value string }
	}
	for _, m := range d.Messages() {
		raw, err := d.Raw(m.ID)
		if m.Form == "mime" {
			fields, _ = harness.Split(string(raw))
		} else {
			err = errors.Join(err, json.Unmarshal(raw, &draft))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	small, large := harness.Field(fields, "X-Graphrelay-ID"), ""
	for _, h := range draft.InternetMessageHeaders {
		if strings.EqualFold(h.Name, "X-Graphrelay-ID") {
			large += h.Value
		}
	}
	if !opaque.MatchString(small) || !opaque.MatchString(large) || small == large || small == strings.Repeat("0", 32) {
		t.Errorf("the IDs are %q and, on the large path, %q in %+v", small, large, draft)
	}
	if harness.Field(fields, "X-Graphrelay-Odd") != "" {
		t.Error("a client wrote a field that only graphrelay writes")
	}
	if page := r.Page("/metrics"); !strings.Contains(page, `repair="graphrelay_field"} 2`) {
		t.Error("graphrelay_repairs_total does not count the fields that were removed")
	}
}

// What came back after Graph had accepted a message is in its trace, its history, the metrics and a
// report, across a restart and once; the mailbox stays as it was.
func TestBouncesAreFoundMatchedAndReported(t *testing.T) {
	t.Parallel()
	d := harness.StartDouble(t, func(o *sandbox.Options) { o.Granted = []string{"Mail.Read"} })
	r := harness.StartRelay(t, d, harness.Watched(), harness.With("delivery", "track_bounces: full"),
		harness.With("top", "reports: {postmaster: admin@contoso.com}"))
	c := harness.Hello(t, r.Addr)
	to := []string{"one@example.org", "two@example.org"}
	c.Send(harness.Sender, to, "From: "+harness.Sender+"\r\nTo: one@example.org, two@example.org\r\n"+
		"Message-ID: <invoice@client.example>\r\n\r\nx\r\n")
	d.WaitFor(t, 1, patience)
	sent := d.Messages()[0]
	for _, lookalike := range append(sandbox.Lookalikes(), "exchange-german", "exchange-german") {
		if err := d.Bounce(sent.ID, lookalike, "two@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Bounce(sent.ID, "delayed", "one@example.org"); err != nil {
		t.Fatal(err)
	}
	inbox := len(d.Inbox(harness.Sender))
	restart(t, r) // mailboxes are read at once
	report := d.WaitFor(t, 2, patience)[1]
	raw := string(report.Raw)
	if !strings.Contains(raw, "Final-Recipient: rfc822; two@example.org") || strings.Contains(raw, "one@example.org") ||
		!strings.Contains(raw, "Status: 5.1.10") || !slices.Equal(report.Recipients, []string{"admin@contoso.com"}) {
		t.Errorf("the report to %v is\n%s", report.Recipients, raw)
	}
	restart(t, r)
	out, err := r.Run("trace", "--undelivered", "--since", "1h")
	for _, want := range []string{"one@example.org  delayed: 4.4.7",
		"two@example.org  bounced: 5.1.10 550 5.1.10 made for a test", "bounced for two@example.org", "bounces: 1"} {
		if !strings.Contains(out, want) || err != nil {
			t.Errorf("trace says nothing of %q: %v\n%s", want, err, out)
		}
	}
	if n := strings.Count(out, "bounced for"); n != 1 {
		t.Errorf("%d bounces in\n%s", n, out)
	}
	asJSON, err := r.Run("trace", "<invoice@client.example>", "--json")
	if err != nil || !strings.Contains(asJSON, `"fate": "bounced"`) || !strings.Contains(asJSON, `"fate": "delayed"`) {
		t.Errorf("trace --json: %v\n%s", err, asJSON)
	}
	harness.Until(t, patience, "the bounces are counted", func() bool {
		page := r.Page("/metrics")
		return strings.Contains(page, `graphrelay_bounce_reports_total{mailbox="`+harness.Sender+`",result="matched"}`)
	})
	if d.Count() != 2 || len(d.Inbox(harness.Sender)) != inbox {
		t.Errorf("%d messages were sent, %d of %d are in the mailbox", d.Count(), len(d.Inbox(harness.Sender)), inbox)
	}
	for endpoint := range d.Stats().Answers {
		if !slices.Contains([]string{"token", "discovery", "sendMail", "search", "mime"}, endpoint) {
			t.Errorf("a request to %s, which could change a mailbox", endpoint)
		}
	}
}

func restart(t *testing.T, r *harness.Relay) {
	t.Helper()
	if err := r.Stop(patience); err != nil {
		t.Fatal(err)
	}
	r.Start()
}

// What was submitted whole is found again by our own ID, where Exchange has replaced its Message-ID.
func TestABounceOfLargeMailIsFoundByItsID(t *testing.T) {
	t.Parallel()
	d := harness.StartDouble(t, func(o *sandbox.Options) { o.Granted = []string{"SMTP.SendAsApp", "Mail.Read"} })
	if err := d.StartSubmission(""); err != nil {
		t.Fatal(err)
	}
	r := harness.StartRelay(t, d, harness.With("delivery", "large_messages: smtp", "mime_limit: 128KiB",
		"track_bounces: full"))
	c := harness.Hello(t, r.Addr)
	c.Send(harness.Sender, []string{"a@example.org"}, largeText("<large@client.example>"))
	d.WaitFor(t, 1, patience)
	r.WaitEmpty(patience)
	if err := d.Bounce(d.Messages()[0].ID, "other-message-id"); err != nil {
		t.Fatal(err)
	}
	restart(t, r) // mailboxes are read at once
	var out string
	if !harness.Holds(patience, func() bool {
		out = command(t, r, "trace", "<large@client.example>")
		return strings.Contains(out, "a@example.org  bounced: 5.1.10")
	}) {
		t.Errorf("trace says\n%s", out)
	}
}

// A mailbox that may not be read is an alarm that says what to grant, and mail goes on.
func TestBouncesThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, harness.Watched(), harness.With("delivery", "track_bounces: header"))
	send := func() {
		c := harness.Hello(t, r.Addr)
		c.Send(harness.Sender, []string{"a@example.org"}, "From: "+harness.Sender+"\r\n\r\nx\r\n")
		c.Close()
	}
	send()
	d.WaitFor(t, 1, patience)
	restart(t, r)
	harness.Until(t, patience, "the alarm", func() bool {
		out, _ := r.Run("status")
		return strings.Contains(out, "App may not read the mailbox, which delivery.track_bounces needs") &&
			strings.Contains(out, `grant it "Application Mail.ReadBasic"`)
	})
	send()
	d.WaitFor(t, 2, patience)
	if page := r.Page("/metrics"); !strings.Contains(page, `result="refused"} 1`) {
		t.Error("the metric does not count it")
	}
}
