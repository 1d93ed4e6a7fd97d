package largemail

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/graph/graphtest"
	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// leaving is a client whose clock the test moves, and a small draft.
func leaving(t *testing.T) (d *sandbox.Double, c *Client, clock *time.Time, m Draft) {
	t.Helper()
	d, cfg := graphtest.Start(t, sandbox.Options{Granted: []string{"Mail.ReadWrite"}})
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	relay := address(t, "relay@contoso.com")
	const text = "hello\r\n"
	m = Draft{ID: "q1", Subject: "x", From: Person{Address: relay},
		To:   []Person{{Address: address(t, "a@example.com")}},
		Body: Content{Size: int64(len(text)), Open: func() io.Reader { return strings.NewReader(text) }}}
	return d, mustNew(t, cfg), &now, m
}

func inject(t *testing.T, d *sandbox.Double, f sandbox.Fault) {
	t.Helper()
	if err := d.Inject(f); err != nil {
		t.Fatal(err)
	}
}

// A draft that a 503 hid is not sent, and is deleted though no attempt follows;
// the message that was sent stays in Sent Items.
func TestADraftThatA503HidIsDeleted(t *testing.T) {
	d, c, now, m := leaving(t)
	inject(t, d, sandbox.Fault{Endpoint: "createDraft", Status: 503, Stored: true, Count: 1})
	if a := c.Upload(within10s(t), m.From.Address, m); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	if d.Count() != 1 || d.Drafts() != 1 {
		t.Fatalf("%d messages, %d drafts, want the hidden one", d.Count(), d.Drafts())
	}
	c.removeLeft(within10s(t), *now)
	if d.Drafts() != 1 {
		t.Error("it is looked for at once, when it may not be there yet")
	}
	c.removeLeft(within10s(t), now.Add(leftoverEvery))
	if d.Count() != 1 || d.Drafts() != 0 || len(c.left.left) != 0 {
		t.Errorf("%d messages, %d drafts, %d remembered", d.Count(), d.Drafts(), len(c.left.left))
	}
	before := d.Stats().Answers["search"][200]
	c.removeLeft(within10s(t), now.Add(24*time.Hour))
	if got := d.Stats().Answers["search"][200]; got != before {
		t.Error("it is looked for again though it is gone")
	}
}

// A draft that cannot be deleted is tried again with growing pauses, and given
// up after some hours.
func TestADraftThatCannotBeDeleted(t *testing.T) {
	d, c, now, m := leaving(t)
	inject(t, d, sandbox.Fault{Endpoint: "send", Status: 400, Code: "ErrorInvalidRecipients"})
	inject(t, d, sandbox.Fault{Endpoint: "deleteDraft", Status: 500})
	if a := c.Upload(within10s(t), m.From.Address, m); a.Outcome != outcome.Bounce {
		t.Fatalf("%+v", a)
	}
	var at []string
	for minute := range 24 * 60 {
		before := d.Stats().Answers["deleteDraft"][500]
		c.removeLeft(t.Context(), now.Add(time.Duration(minute)*time.Minute))
		if d.Stats().Answers["deleteDraft"][500] > before {
			at = append(at, (time.Duration(minute) * time.Minute).String())
		}
	}
	if got := strings.Join(at, " "); got != "1m0s 3m0s 7m0s 15m0s 31m0s 1h1m0s 1h31m0s 2h1m0s" {
		t.Errorf("tried at %s", got)
	}
	if len(c.left.left) != 0 || d.Drafts() != 1 {
		t.Errorf("%d remembered, %d drafts", len(c.left.left), d.Drafts())
	}
}

// The end of Run, by a stop or a reload, tries once more.
func TestTheEndOfRunDeletesWhatIsLeft(t *testing.T) {
	d, c, _, m := leaving(t)
	inject(t, d, sandbox.Fault{Endpoint: "send", Status: 400, Code: "ErrorInvalidRecipients"})
	inject(t, d, sandbox.Fault{Endpoint: "deleteDraft", Status: 500, Count: 1})
	if a := c.Upload(within10s(t), m.From.Address, m); a.Outcome != outcome.Bounce || d.Drafts() != 1 {
		t.Fatalf("%+v, %d drafts", a, d.Drafts())
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	c.Run(over)
	if d.Drafts() != 0 {
		t.Errorf("%d drafts", d.Drafts())
	}
}

// While a message is sent again, nobody deletes the draft of that attempt.
func TestAnUploadUnderWayIsLeftAlone(t *testing.T) {
	l := newLeftovers()
	l.end("q1", &leftover{})
	l.end("q2", &leftover{})
	if !l.begin(t.Context(), "q1") {
		t.Error("the attempt does not learn what it has to delete")
	}
	id, _, ok := l.take(time.Now())
	if _, _, more := l.take(time.Now()); !ok || id != "q2" || more {
		t.Errorf("taken: %s, and more: %v", id, more)
	}
	begun := make(chan bool)
	go func() { begun <- l.begin(t.Context(), "q2") }()
	select {
	case <-begun:
		t.Error("an attempt begins while its draft is being deleted")
	case <-time.After(20 * time.Millisecond):
	}
	l.give("q2", time.Time{})
	if <-begun {
		t.Error("what was deleted is reported as left")
	}
}
