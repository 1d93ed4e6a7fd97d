package verify_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/verify"
)

// book notes what an auditor did.
type book struct {
	mu       sync.Mutex
	alarms   map[string]bool
	text     string
	stopped  map[string]string
	resumed  int
	log      bytes.Buffer
	attempts int
	answer   outcome.Answer
	read     outcome.Answer
}

func newBook() *book { return &book{alarms: map[string]bool{}, stopped: map[string]string{}} }

func (b *book) Send(_ context.Context, _ envelope.Address, m graph.Mail) outcome.Answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts++
	return b.answer
}

func (b *book) Lookup(context.Context, envelope.Address, string) ([]graph.Copy, outcome.Answer) {
	return nil, b.read
}

func (b *book) note(what func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	what()
}

func (b *book) set(a outcome.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = a
}

func (b *book) config(ids ...verify.Audited) verify.AuditConfig {
	return verify.AuditConfig{
		Identities: ids, Every: 24 * time.Hour, Log: slog.New(slog.NewTextHandler(&b.log,
			&slog.HandlerOptions{Level: slog.LevelDebug})),
		Alarm: func(key, text string, firing bool) { b.note(func() { b.alarms[key], b.text = firing, text }) },
		Stop:  func(_ context.Context, id, text string) error { b.note(func() { b.stopped[id] = text }); return nil },
		Resume: func(_ context.Context, id string) error {
			b.note(func() { delete(b.stopped, id); b.resumed++ })
			return nil
		},
	}
}

var (
	refused  = outcome.Answer{Outcome: outcome.Hold, HTTPStatus: 403, Code: "ErrorAccessDenied", Text: "refused"}
	accepted = outcome.Answer{Outcome: outcome.Bounce, HTTPStatus: 400, Code: "ErrorInvalidRecipients",
		Text: "no recipient"}
	lost = outcome.Answer{Outcome: outcome.Retry, Text: "no network"}
)

func audited(t *testing.T, b *book) verify.Audited {
	return verify.Audited{Name: "contoso", Denied: address(t, canary), Client: b}
}

func TestAuditLoudAndQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.answer = refused
		a := verify.NewAuditor(b.config(audited(t, b)))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.Run(ctx)
		synctest.Wait()
		if l := a.Last()[0]; l.Verdict != verify.Restricted || !l.Passed || l.Denied != canary || l.Alarming() {
			t.Fatalf("%+v", l)
		}
		if strings.Contains(b.log.String(), "WARN") || strings.Contains(b.log.String(), "ERROR") {
			t.Errorf("a good result is quiet: %s", b.log.String())
		}

		b.set(accepted)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if l := a.Last()[0]; !l.Alarming() || !strings.Contains(l.Text, canary) {
			t.Errorf("%+v", l)
		}
		if !b.alarms["audit:contoso"] || !strings.Contains(b.text, "NOT RESTRICTED") ||
			!strings.Contains(b.log.String(), "level=ERROR msg=\"THE APP IS NOT RESTRICTED\"") {
			t.Errorf("alarms %v, log %s", b.alarms, b.log.String())
		}
		if !strings.Contains(b.stopped["contoso"], "by itself") {
			t.Errorf("stopped %v", b.stopped)
		}

		// What is not known changes nothing, and is asked again soon.
		b.set(lost)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if l := a.Last()[0]; l.Verdict != verify.Unproven || !l.Alarming() || !b.alarms["audit:contoso"] ||
			b.stopped["contoso"] == "" {
			t.Errorf("%+v, alarms %v, stopped %v", l, b.alarms, b.stopped)
		}
		b.set(refused)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if l := a.Last()[0]; l.Verdict != verify.Restricted || b.alarms["audit:contoso"] || len(b.stopped) != 0 {
			t.Errorf("%+v, alarms %v, stopped %v", l, b.alarms, b.stopped)
		}
		if b.attempts != 4 {
			t.Errorf("%d probes", b.attempts)
		}
	})
}

// An operator who has restricted the app need not wait for the next interval.
func TestAuditTriedNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.answer = accepted
		other := audited(t, b)
		other.Name = "fabrikam"
		a := verify.NewAuditor(b.config(audited(t, b), other))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.Run(ctx)
		synctest.Wait()
		if len(b.stopped) != 2 || !strings.Contains(b.stopped["contoso"], "graphrelay queue release") {
			t.Fatalf("stopped %v", b.stopped)
		}
		a.TryNow("contoso") // still open
		synctest.Wait()
		if b.stopped["contoso"] == "" || b.attempts != 3 {
			t.Errorf("stopped %v after %d probes", b.stopped, b.attempts)
		}
		b.set(refused)
		a.TryNow("contoso")
		a.TryNow("nobody")
		synctest.Wait()
		if b.stopped["contoso"] != "" || b.stopped["fabrikam"] == "" || b.attempts != 4 {
			t.Errorf("stopped %v after %d probes", b.stopped, b.attempts)
		}
	})
}

// An earlier run may have stopped an identity whose denied mailbox is gone from
// the configuration, and raised its alarm.
func TestAuditWithoutDeniedMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.alarms["audit:contoso"] = true
		a := verify.NewAuditor(b.config(verify.Audited{Name: "contoso", Client: b}))
		a.Run(t.Context())
		if l := a.Last()[0]; l.Verdict != verify.Unproven || !strings.Contains(l.Text, "denied_mailbox") ||
			b.attempts != 0 || b.resumed != 1 || b.alarms["audit:contoso"] {
			t.Errorf("%+v, %d probes, %d resumed, alarms %v", l, b.attempts, b.resumed, b.alarms)
		}
	})
}

func TestAuditAlsoReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.answer, b.read = refused, outcome.Answer{Outcome: outcome.Delivered, HTTPStatus: 200}
		id := audited(t, b)
		id.Reads = true
		a := verify.NewAuditor(b.config(id))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.Run(ctx)
		synctest.Wait()
		if !a.Last()[0].Alarming() {
			t.Errorf("%+v", a.Last())
		}
	})
}

// Against the double, in each state of a tenant; nothing is ever sent.
func TestAuditVerdicts(t *testing.T) {
	for name, tc := range map[string]struct {
		arrange func(x *tenant)
		verdict verify.Verdict
	}{
		"unrestricted": {func(x *tenant) { x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0) },
			verify.NotRestricted},
		"policy right": {func(x *tenant) { x.set(policy(sender), 0) }, verify.Restricted},
		"policy not yet effective": {func(x *tenant) {
			x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0)
			x.set(policy(sender), time.Hour)
		}, verify.NotRestricted},
		"RBAC right": {func(x *tenant) { x.set(role(sender), 0) }, verify.Restricted},
		"RBAC and a consent": {func(x *tenant) {
			a := role(sender)
			a.Consents = []string{"Mail.Send"}
			x.set(a,
				0)
		}, verify.NotRestricted},
		"wrong group": {func(x *tenant) { x.set(role(canary), 0) }, verify.NotRestricted},
		"denied mailbox missing": {func(x *tenant) { x.set(role(sender), 0); x.SetMailboxes([]string{sender}) },
			verify.Unproven},
		"wrong client": {func(x *tenant) { x.config.ClientID = "99999999-9999-9999-9999-999999999999" },
			verify.Unproven},
		"clock": {func(x *tenant) { x.Advance(-10 * time.Minute) }, verify.Unproven},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTenant(t)
			tc.arrange(x)
			c, err := largemail.New(x.config)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			log := make(chan struct{}, 1)
			a := verify.NewAuditor(verify.AuditConfig{
				Identities: []verify.Audited{{Name: "contoso", Denied: address(t, canary),
					Client: c}}, Every: time.Hour,
				Log: slog.New(notified{slog.DiscardHandler, log}),
			})
			go a.Run(ctx)
			<-log
			if l := a.Last()[0]; l.Verdict != tc.verdict || l.Text == "" {
				t.Errorf("%+v, want %s", l, tc.verdict)
			}
			if x.Count() != 0 {
				t.Error("the audit sent a message")
			}
		})
	}
}

// notified is a log handler that signals its first line.
type notified struct {
	slog.Handler
	c chan struct{}
}

func (h notified) Enabled(context.Context, slog.Level) bool { return true }
func (h notified) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h notified) Handle(context.Context, slog.Record) error {
	select {
	case h.c <- struct{}{}:
	default:
	}
	return nil
}
