package e2e_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/state"
)

func mayReadHeaders(o *sandbox.Options) { o.Granted = []string{"Mail.ReadBasic"} }

// sendsCanary is a relay that sends a canary to the mailbox that sends.
func sendsCanary() harness.Setting { return harness.With("top", "audit: {canary: "+harness.Sender+"}") }

// canaryIs waits until the canary is at a stage.
func canaryIs(t *testing.T, r *harness.Relay, stage string) (c state.Canary) {
	t.Helper()
	harness.Until(t, 3*patience, "the canary is "+stage, func() bool {
		var s struct{ Canary state.Canary }
		ok := r.Status(&s)
		c = s.Canary
		return ok && c.Stage == stage
	})
	return c
}

// A canary goes the way of all mail, arrives, and is measured; neither a restart nor a reload sends another.
func TestACanaryArrives(t *testing.T) {
	t.Parallel()
	d := harness.StartDouble(t, mayReadHeaders)
	r := harness.StartRelay(t, d, harness.Watched(), sendsCanary())
	first := canaryIs(t, r, "arrived")
	restart(t, r)
	reload(t, r)
	if c := canaryIs(t, r, "arrived"); c.ID != first.ID || d.Count() != 1 {
		t.Errorf("after a restart: %+v, and %d were sent", c, d.Count())
	}
	sent := d.Messages()[0]
	raw, err := d.Raw(sent.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Auto-Submitted: auto-generated\r\n", "It can be deleted at any time"} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("it lacks %q:\n%s", want, raw)
		}
	}
	page := r.Page("/metrics")
	for _, want := range []string{"graphrelay_canary_missing 0\n", "graphrelay_canary_travel_seconds ",
		"graphrelay_canary_arrival_timestamp_seconds "} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	said := regexp.MustCompile(`(?m)^canary: ` + harness.Sender + ` arrived \S+ ago, \d+\.\d s on its way$`)
	if out, err := r.Run("status"); err != nil || !said.MatchString(out) {
		t.Errorf("status: %v\n%s", err, out)
	}
	if out, err := r.Run("trace", sent.MessageID); err != nil || !strings.Contains(out, first.ID) {
		t.Errorf("it is not in the trace: %v\n%s", err, out)
	}
	for endpoint := range d.Stats().Answers {
		if endpoint != "token" && endpoint != "discovery" && endpoint != "sendMail" && endpoint != "search" {
			t.Errorf("a request to %s, which could change a mailbox", endpoint)
		}
	}
}

// A canary that does not arrive is an alert with cause and remedy, which a restart does not end and the
// canary does, late as it is.
func TestACanaryThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	hook, heard := notices(t)
	d := harness.StartDouble(t, mayReadHeaders)
	d.SetLost(true)
	r := harness.NewRelay(t, d, harness.Watched(), sendsCanary(),
		harness.With("top", "alerts: {webhook_url_file: hook.url}"))
	harness.WriteFile(t, r.Dir+"/hook.url", hook+"\n")
	r.Start()
	canaryIs(t, r, "sent")
	if err := r.Stop(patience); err != nil {
		t.Fatal(err)
	}
	inStore(t, r.Store, "UPDATE message SET finished = finished - 7200 * 1000000000") // two hours pass
	r.Start()
	expect(t, r, heard, "canary firing")
	canaryIs(t, r, "missing")
	problem := func() bool {
		out, err := r.Run("status")
		const missing = "PROBLEM: Canary has not arrived an hour after Microsoft accepted it"
		return err == nil && strings.HasPrefix(out, missing) &&
			strings.Contains(out, "what to do: find it with a message trace in the Exchange admin center")
	}
	if !problem() || !strings.Contains(r.Page("/metrics"), "graphrelay_canary_missing 1\n") {
		t.Errorf("neither status nor the metrics say so: %s", r.Tail())
	}
	restart(t, r)
	expect(t, r, heard, "canary firing") // as after each restart
	harness.Until(t, patience, "the problem after a restart", problem)
	raw, err := d.Delivered(d.Messages()[0].ID)
	if err != nil || d.Count() != 1 {
		t.Fatal(d.Count(), err)
	}
	d.Receive(harness.Sender, raw, time.Time{})
	expect(t, r, heard, "canary resolved")
	if c := canaryIs(t, r, "arrived"); c.Travel <= 0 || problem() {
		t.Errorf("it arrived late: %+v", c)
	}
}

// A canary in Junk Email is an alert soon, which ends where the key is removed.
func TestACanaryInJunkEmail(t *testing.T) {
	t.Parallel()
	d := harness.StartDouble(t, mayReadHeaders)
	d.SetLost(true)
	r := harness.StartRelay(t, d, sendsCanary())
	canaryIs(t, r, "sent")
	raw, err := d.Delivered(d.Messages()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	d.Junk(harness.Sender, raw)
	problem := func() bool {
		out, err := r.Run("status")
		return err == nil && strings.HasPrefix(out, "PROBLEM: Canary was moved to Junk Email, as other mail of the "+
			"relay may be")
	}
	harness.Until(t, 2*patience, "the problem", problem)
	edit(t, r, "audit: {canary: "+harness.Sender+"}", "audit: {every: 24h}")
	reload(t, r)
	harness.Until(t, patience, "no canary", func() bool {
		out, err := r.Run("status")
		return err == nil && !problem() && !strings.Contains(out, "canary:")
	})
}

// A canary whose mailbox may not be read is a warning that says what to grant.
func TestACanaryThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, sendsCanary())
	harness.Until(t, patience, "the warning", func() bool {
		out, _ := r.Run("status")
		return strings.Contains(out, "WARNING: App may not read the mailbox of audit.canary") &&
			strings.Contains(out, `grant it "Application Mail.ReadBasic" for this mailbox`)
	})
	d.SetGranted("Mail.ReadBasic")
	canaryIs(t, r, "arrived")
}
