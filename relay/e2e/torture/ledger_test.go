package torture

import (
	"testing"

	"graphrelay/relay/e2e/harness"
)

func arrival(id, body string) harness.Message {
	return harness.Message{MessageID: id, Raw: []byte("Message-ID: " + id + "\r\n\r\n" + body)}
}

// The judge must find each kind of fault, and excuse only what is excusable.
func TestLedgerJudges(t *testing.T) {
	for _, c := range []struct {
		name  string
		run   func(*ledger)
		fault bool
		want  verdict
	}{
		{"sent", func(l *ledger) { l.acked("<m>"); l.arrived(arrival("<m>", "body")) }, false, verdict{Acked: 1}},
		{"lost", func(l *ledger) { l.acked("<m>") }, true, verdict{Acked: 1}},
		{"refused and gone", func(*ledger) {}, false, verdict{}},
		{"refused and sent", func(l *ledger) { l.arrived(arrival("<m>", "body")) }, true, verdict{}},
		{"unanswered and sent", func(l *ledger) { l.unsure("<m>"); l.arrived(arrival("<m>", "body")) },
			false, verdict{}},
		{"truncated", func(l *ledger) { l.acked("<m>"); l.arrived(arrival("<m>", "bo")) }, true, verdict{Acked: 1}},
		{"twice in one life",
			func(l *ledger) {
				l.acked("<m>")
				l.arrived(arrival("<m>", "body"))
				l.arrived(arrival("<m>",
					"body"))
			}, true, verdict{Acked: 1, InFlight: 1}},
		{"again after a crash", func(l *ledger) {
			l.acked("<m>")
			l.arrived(arrival("<m>", "body"))
			l.next()
			l.arrived(arrival("<m>", "body"))
		}, false, verdict{Acked: 1, InFlight: 1, MostCut: 1}},
		{"two copies, both cut by a crash", func(l *ledger) {
			l.unsure("<m>")
			l.acked("<m>")
			for range 2 {
				l.arrived(arrival("<m>", "body"))
				l.arrived(arrival("<m>", "body"))
				l.next()
			}
		}, false, verdict{Acked: 1, InFlight: 2, Unanswered: 1, MostCut: 2}},
		{"three arrivals of two copies in one life", func(l *ledger) {
			l.unsure("<m>")
			l.acked("<m>")
			for range 3 {
				l.arrived(arrival("<m>", "body"))
			}
		}, true, verdict{Acked: 1, InFlight: 1, Unanswered: 1}},
		{"sent again by the client", func(l *ledger) {
			l.unsure("<m>")
			l.acked("<m>")
			l.arrived(arrival("<m>", "body"))
			l.arrived(arrival("<m>", "body"))
		}, false, verdict{Acked: 1, Unanswered: 1}},
	} {
		l := newLedger()
		l.written("<m>", "body")
		c.run(l)
		v := l.judge()
		if (v.faults() != "") != c.fault {
			t.Errorf("%s: faults %q, want some: %v", c.name, v.faults(), c.fault)
		}
		if v.Acked != c.want.Acked || v.InFlight != c.want.InFlight || v.Unanswered != c.want.Unanswered ||
			v.MostCut != c.want.MostCut {
			t.Errorf("%s: %s", c.name, v)
		}
	}
}
