//go:build torture

package torture

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

const (
	reports = 300
	mails   = 10_000
	silent  = 10 // messages about which only what looks like a report comes
)

// In a mailbox of 10,000 mails the 300 reports about ours, of every shape, are matched and
// nothing else is; each recipient's fate is right, and the mailbox stays as it was.
func TestThreeHundredBouncesOfTenThousandMails(t *testing.T) {
	t.Parallel()
	d := harness.StartDouble(t, harness.NoThrottling(), func(o *sandbox.Options) {
		o.Granted, o.Keep = []string{"Mail.Read"}, reports+silent
	})
	r := harness.StartRelay(t, d, harness.Watched(), harness.With("delivery", "track_bounces: full"),
		harness.With("top", "reports: {to_sender: false}"))
	c := harness.Hello(t, r.Addr)
	for i := range reports + silent {
		to := []string{fmt.Sprintf("r%d@example.net", i), fmt.Sprintf("s%d@example.net", i)}
		c.Send(harness.Sender, to, fmt.Sprintf("From: %s\r\nTo: %s\r\nMessage-ID: <%d@erp>\r\n\r\nx\r\n",
			harness.Sender, strings.Join(to, ", "), i))
	}
	d.WaitFor(t, reports+silent, time.Minute)
	r.WaitEmpty(time.Minute)
	if err := r.Stop(time.Minute); err != nil { // so that it does not look before all is there
		t.Fatal(err)
	}
	shapeOf := fillMailbox(t, d)
	before := d.Inbox(harness.Sender)
	r.Start()
	var found map[string]int
	harness.Until(t, 6*time.Minute, "all reports are matched", func() bool {
		found = results(r.Page("/metrics"))
		return found["matched"]+found["probable"] >= reports && found["foreign"] >= (mails-reports)/10
	})
	if n := found["matched"] + found["probable"]; n != reports || len(shapeOf) != reports || len(before) != mails {
		t.Errorf("%d of %d reports were matched: %v", n, len(shapeOf), found)
	}
	judgeFates(t, r, shapeOf)
	if !reflect.DeepEqual(d.Inbox(harness.Sender), before) {
		t.Error("the mailbox has changed")
	}
	if list, n := d.Refusals(); n != 0 {
		t.Errorf("the double refused %+v", list)
	}
}

// fillMailbox delivers the mails: one in 33 is a report about ours, by its shape in shapeOf.
func fillMailbox(t *testing.T, d *harness.Double) (shapeOf map[string]string) {
	t.Helper()
	shapes, lookalikes, sent := sandbox.Shapes(), sandbox.Lookalikes(), d.Messages()
	shapeOf = map[string]string{}
	for i := range mails {
		m, shape := sent[reports+i%silent], lookalikes[i%len(lookalikes)]
		if i%33 == 7 && i/33 < reports {
			m, shape = sent[i/33], shapes[i/33%len(shapes)]
			shapeOf[m.MessageID] = shape
		}
		if err := d.Bounce(m.ID, shape, m.Recipients[0]); err != nil {
			t.Fatal(err)
		}
	}
	return shapeOf
}

// results are the values of graphrelay_bounce_reports_total.
func results(page string) map[string]int {
	all, prefix := map[string]int{}, `graphrelay_bounce_reports_total{mailbox="`+harness.Sender+`",result="`
	for line := range strings.Lines(page) {
		if _, rest, ok := strings.Cut(line, prefix); ok {
			name, value, _ := strings.Cut(rest, `"} `)
			n := 0
			_, _ = fmt.Sscan(value, &n)
			all[name] = n
		}
	}
	return all
}

// judgeFates compares what trace says of each recipient with the report about it.
func judgeFates(t *testing.T, r *harness.Relay, shapeOf map[string]string) {
	t.Helper()
	out, err := r.Run("trace", "--undelivered", "--since", "1h", "--limit", "1000", "--json")
	var list []struct {
		Message struct {
			MessageID  string `json:"message_id"`
			Recipients []string
		}
		Fates []struct {
			Recipient, Fate, Status string
			Probable                bool
		}
	}
	if err != nil || json.Unmarshal([]byte(out), &list) != nil {
		t.Fatalf("trace: %v\n%.1000s", err, out)
	}
	for _, m := range list {
		shape, want := shapeOf[m.Message.MessageID], "bounced"
		if delete(shapeOf, m.Message.MessageID); strings.HasPrefix(shape, "delayed") {
			want = "delayed"
		}
		hit, code, rest := 0, sandbox.Code(shape), len(m.Fates) == 2
		if shape == "without-status" { // it says neither whom nor why
			hit, code, rest = 2, "", len(m.Fates) == 3 && m.Fates[0].Fate == "accepted"
		}
		switch {
		case shape == "":
			t.Errorf("%s got a fate that is not about it: %+v", m.Message.MessageID, m.Fates)
		case !rest || m.Fates[1].Fate != "accepted" || m.Fates[hit].Fate != want || m.Fates[hit].Status != code ||
			m.Fates[hit].Probable != (shape == "keyless" || hit == 2) ||
			hit == 0 && m.Fates[0].Recipient != m.Message.Recipients[0]:
			t.Errorf("%s: %+v", shape, m.Fates)
		}
	}
	for id, shape := range shapeOf { // a delay alone is no failure
		if !strings.HasPrefix(shape, "delayed") {
			t.Errorf("trace --undelivered lacks %s, a %s", id, shape)
		}
	}
}
