package console

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

const hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> " +
	"\u202eevil\u200b \x1b[31m\x00 \xff {{.}} javascript:alert(1)"

// Whatever came from outside is text: neither markup, nor an escape sequence,
// nor something that steers how it is read.
func TestHostileText(t *testing.T) {
	r := record(1, spool.Held)
	r.Subject, r.MessageID, r.LastText, r.LastRequest = hostile, hostile, hostile, hostile
	r.Client = envelope.Client{Name: hostile, Helo: hostile, Login: hostile,
		Addr: netip.MustParseAddrPort("192.0.2.7:1")}
	b := newBench(t, r).logIn()
	b.header = "Subject: " + hostile + "\r\n\r\n"
	b.records[0].HeaderSize = int64(len(b.header))
	b.holds = []spool.Hold{{Key: "mailbox:a@example.org", Mailbox: addr("a@example.org"), Text: hostile}}
	b.snap = state.Snapshot{Credentials: credentials, Held: 1,
		Lanes:  []state.Lane{{Mailbox: "a@example.org", Identity: hostile, Queued: 1}},
		Holds:  []state.Hold{{Key: "mailbox:a@example.org", Text: hostile}},
		Alarms: []state.Alarm{{Key: hostile, Fault: state.FaultOf(hostile)}},
		Audits: []state.Audit{{Identity: "contoso", At: noon, Text: hostile}},
		Canary: &state.Canary{Address: hostile, Stage: hostile, Accepted: noon, Arrived: noon}}
	b.monitor.Refused(hostile, hostile, state.Refused{Step: "rcpt", Reply: hostile, Why: hostile})
	paths := append([]string{"/messages?q=" + strings.Repeat("%3Cscript%3E%E2%80%AE", 3) +
		"&state=%3Cscript%3E&mailbox=%3Cscript%3E"}, everyPage...)
	for _, path := range paths {
		text := b.get(path).Body.String()
		if strings.Contains(text, "<script>") || strings.Contains(text, "<img src=x") ||
			strings.ContainsAny(text, "\u202e\u200b\x1b\x00") || strings.Contains(text, "\xff") ||
			strings.Contains(text, `href="javascript`) {
			t.Errorf("%s holds what came from outside as it came: %s", path, text)
		}
	}
	text := b.get("/messages/" + string(id(1))).Body.String()
	if !strings.Contains(text, `&lt;script&gt;`) || !strings.Contains(text, `\u202eevil\u200b \u001b[31m\u0000 \xff`) {
		t.Errorf("the message is not shown: %s", text)
	}
}

func TestUntrusted(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 漢 🙂": "plain ü 漢 🙂", "a\r\nb\tc\nd": "a\nb\tc\nd", "a\rb": `a\u000db`,
		"\x1b[0m\x7f":           `\u001b[0m\u007f`,
		"a\u202eb\u2066c\ufeff": `a\u202eb\u2066c\ufeff`, "\xc3": `\xc3`, "\u0085\u2028": `\u0085\u2028`,
		"\ufffd": "\ufffd",
	} {
		if got := untrusted(in).String(); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestSubject(t *testing.T) {
	for in, want := range map[string]string{
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=": "Grüße", "=?utf-8?q?=E2=80=AEx=1B?=": `\u202ex\u001b`,
		"=?x-unknown?q?a?=": "=?x-unknown?q?a?=", "plain": "plain",
	} {
		if got := subject(in).String(); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func FuzzUntrusted(f *testing.F) {
	f.Add(hostile)
	f.Add("=?utf-8?b?4oCu?= \r\n x")
	f.Fuzz(func(t *testing.T, s string) {
		for _, shown := range []string{untrusted(s).String(), subject(s).String()} {
			if untrusted(shown).String() != shown {
				t.Errorf("%q is shown as %q, which is not safe yet", s, shown)
			}
		}
	})
}

func TestExplain(t *testing.T) {
	now := noon
	queued := record(1, spool.Queued)
	tried := queued
	tried.Attempts, tried.LastText, tried.NextAttempt = 2, "graph is busy (503); nothing to do", now.Add(3*time.Minute)
	due, doubtful := tried, tried
	due.NextAttempt = now.Add(-time.Second)
	doubtful.Unknown = true
	held := record(1, spool.Held)
	held.LastText = "no answer came"
	hold := func(mailbox, from string, also ...string) []spool.Hold {
		h := spool.Hold{Identity: "contoso", Text: "the secret has expired; make a new one"}
		if mailbox != "" {
			h.Mailbox = addr(mailbox)
		}
		if from != "" {
			h.From = addr(from)
		}
		for _, m := range also {
			h.Mailboxes = append(h.Mailboxes, addr(m))
		}
		return []spool.Hold{h}
	}
	for _, c := range []struct {
		name  string
		r     spool.Record
		holds []spool.Hold
		want  string
	}{
		{"new", queued, nil, "waiting for its turn"},
		{"mailbox on hold", queued, hold("a@example.org", ""),
			"because mailbox a@example.org is on hold. The secret has expired; make a new one. The relay probes"},
		{"identity on hold", queued, hold("", "", "a@example.org"), "because identity contoso is on hold"},
		{"identity on hold without mail", queued, hold("", ""), "waiting for its turn"},
		{"identity on hold for this mailbox", queued, hold("", "", "b@example.org", "a@example.org"),
			"identity contoso is on hold"},
		{"identity on hold for others", queued, hold("", "", "b@example.org"), "waiting for its turn"},
		{"another mailbox on hold", queued, hold("b@example.org", ""), "waiting for its turn"},
		{"identity that an audit stopped", queued, []spool.Hold{{Key: "audit:contoso", Identity: "contoso",
			Text: "not restricted", Mailboxes: []envelope.Address{addr("a@example.org")}}},
			"Not restricted. No probe ends this hold; it ends when an audit passes."},
		{"From on hold", queued, hold("a@example.org", "a@example.org"),
			"because sending as a@example.org from mailbox"},
		{"another From on hold", queued, hold("a@example.org", "b@example.org"), "waiting for its turn"},
		{"deferred", tried, nil, "next attempt is in 3 min. Last attempt: Graph is busy (503); nothing to do."},
		{"due", due, nil, "is due"},
		{"doubtful", doubtful, nil, "may arrive twice"},
		{"active", record(1, spool.Sending), nil, "being sent"},
		{"held", held, nil, "needs your action. No answer came. Once the cause is fixed, retry it."},
		{"sent", record(1, spool.Sent), nil, "accepted it"},
		{"failed", record(1, spool.Failed), nil, "It failed. No reason was recorded."},
		{"damaged", record(1, spool.Damaged), nil, "checksum"},
		{"deleted", record(1, spool.Deleted), nil, "deleted"},
	} {
		if got := explain(spool.Shown(c.r, c.holds), now); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q in it", c.name, got, c.want)
		}
	}
}
