package verify

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// need is a permission that the configuration needs beside Mail.Send, and why.
type need struct {
	step             Step
	permission, what string // what it lets the app do
	key              string // of the configuration
}

var (
	needsDrafts = need{StepWrite, "Mail.ReadWrite", "create drafts in", "delivery.large_messages: upload"}
	needsSearch = need{StepRead, "Mail.Read", "search", "delivery.unknown_outcome: lookup"}
)

// permissions checks whether the app has in an allowed mailbox what the
// configuration needs beside sending. That is not part of the verdict, which is
// about who may send: what is missing stops large mail or a lookup, and nothing
// else. changes allows it to create a draft, and to delete it again.
func (r *round) permissions(ctx context.Context, m envelope.Address, changes bool) {
	if r.id.Uploads && changes && ctx.Err() == nil {
		r.note(needsDrafts.finding(m, r.client.TryDraft(ctx, m)))
	}
	if r.id.Looks && ctx.Err() == nil {
		_, a := canRead(ctx, r.client, m)
		r.note(needsSearch.finding(m, a))
	}
}

func (n need) finding(m envelope.Address, a outcome.Answer) Finding {
	f := Finding{Step: n.step, Mailbox: m, Mark: Warn}
	switch {
	case a.Outcome == outcome.Delivered:
		f.Mark = OK
		f.Text = fmt.Sprintf("%s: the app may %s this mailbox, as %s requires (%s)", m, n.what, n.key, n.permission)
	case a.HTTPStatus == http.StatusForbidden:
		f.Text = fmt.Sprintf("%s: the app may not %s this mailbox, as %s requires (%s): %s",
			m, n.what, n.key, n.permission, a.Text)
		f.Remedy = fmt.Sprintf("grant Application %s for this mailbox (graphrelay setup prints the script; "+
			"with an access policy consent to %s), and wait: it takes 30 minutes to 2 hours to reach Graph",
			n.permission, n.permission)
	default:
		f.Text = fmt.Sprintf("%s: it is not known whether the app may %s this mailbox, as %s requires: %s",
			m, n.what, n.key, a.Text)
		f.Remedy = cmp.Or(a.Advice, again)
	}
	return f
}
