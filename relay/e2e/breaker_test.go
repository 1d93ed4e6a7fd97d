package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// The tests of this file hand messages to the real program over SMTP, and do what an
// administrator does, while the double gives the answers of public reports.

// handIn sends a message with a subject, which is in its Message-ID, too.
func handIn(t *testing.T, c *harness.Conn, subject, text string) {
	t.Helper()
	c.Send(harness.Sender, []string{"someone@example.org"}, "From: "+harness.Sender+"\r\nTo: someone@example.org\r\n"+
		"Subject: "+subject+"\r\nMessage-ID: "+subjectID(subject)+"\r\n\r\n"+text+"\r\n")
}

func subjectID(subject string) string {
	return "<" + strings.ReplaceAll(subject, " ", ".") + "@client.example.org>"
}

// waitFor waits for the one message in the queue to be as fits says.
func waitFor(t *testing.T, r *harness.Relay, what string, fits func(harness.Entry) bool) harness.Entry {
	t.Helper()
	var last []harness.Entry
	if !harness.Holds(time.Minute, func() bool {
		last = r.Queue()
		return len(last) == 1 && fits(last[0])
	}) {
		t.Fatalf("%s: the queue is %+v\n%s", what, last, r.Tail())
	}
	return last[0]
}

// waitForHold waits until a hold is in force and so many messages wait, all of them
// for its end.
func waitForHold(t *testing.T, r *harness.Relay, key string, n int) {
	t.Helper()
	if !harness.Holds(time.Minute, func() bool {
		out, _ := r.Run("status")
		queue := r.Queue()
		return strings.Contains(out, key) && len(queue) == n && !slices.ContainsFunc(queue,
			func(e harness.Entry) bool { return e.State == "sending" })
	}) {
		t.Fatalf("no hold %s of %d messages: %+v\n%s", key, n, r.Queue(), r.Tail())
	}
}

func mustRun(t *testing.T, r *harness.Relay, want string, args ...string) {
	t.Helper()
	if out, err := r.Run(args...); err != nil || !strings.Contains(out, want) {
		t.Errorf("%s: %v, %q, want %q", strings.Join(args, " "), err, out, want)
	}
}

// A transient error is retried whatever its status, and holds nobody.
func TestTransientAnswersAreRetriedByTheProgram(t *testing.T) {
	const wascl = "Cannot send this mail due to a transient error. Please try again later (0x00004000)., WASCL " +
		"UserAction verdict is not None. Actual verdict is TransientError."
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d)
	c := harness.Hello(t, r.Addr)
	for i, fault := range []sandbox.Fault{
		{Status: 403, Code: "ErrorAccessDenied", Message: wascl},
		{Status: 400, Code: "ErrorMessageSubmissionBlocked", Message: wascl},
		{Status: 400, Code: "ErrorMailboxStoreUnavailable", Message: "The mailbox database is temporarily unavailable"},
		{Status: 403, Code: "ErrorADUnavailable", Message: "Active Directory is unavailable. Try again later."},
		{Status: 500, Code: "ErrorTooManyObjectsOpened", Message: "Too many concurrent connections opened."},
	} {
		subject := fmt.Sprintf("transient %d", i)
		fault.Endpoint, fault.MessageID, fault.Count = "sendMail", subjectID(subject), 1
		if err := d.Inject(fault); err != nil {
			t.Fatal(err)
		}
		handIn(t, c, subject, "x")
		e := waitFor(t, r, fault.Code, func(e harness.Entry) bool { return e.Attempts == 1 && e.State != "sending" })
		if e.State != "deferred" || e.Unknown {
			t.Errorf("%s: %+v", fault.Code, e)
		}
		mustRun(t, r, "1 message", "queue", "retry", e.QueueID)
		r.WaitEmpty(time.Minute)
		if got := d.Ledger()[subjectID(subject)]; got != 1 {
			t.Errorf("%s: sent %d times", fault.Code, got)
		}
	}
}

// An answer that can follow a delivered message: nobody gets it twice unless an
// administrator says so, who is told.
func TestDoubtfulAnswersInTheProgram(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 25000) // more than the double takes before it reads
	for _, c := range []struct {
		name, mode, text string
		fault            sandbox.Fault
		state            string
		retry            string // what the program says of a retry
		sent             int    // how often, after the retry
	}{
		{"500 UnknownError and hold", "hold", "x",
			sandbox.Fault{Status: 500, Code: "UnknownError", Stored: true}, "held",
			"may have been sent already and may arrive twice", 2},
		{"500 UnknownError and retry", "retry", "x", sandbox.Fault{Status: 500, Code: "UnknownError", Stored: true},
			"deferred", "1 message", 2},
		{"500 ErrorInternalServerError and lookup", "lookup", "x",
			sandbox.Fault{Status: 500, Code: "ErrorInternalServerError", Stored: true}, "deferred", "1 message", 1},
		{"early 202 and hold", "hold", long, sandbox.Fault{Status: 202, Early: true}, "held",
			"may have been sent already and may arrive twice", 1},
		{"503 and hold", "hold", "x", sandbox.Fault{Status: 503, Code: "ErrorServerBusy"}, "deferred", "1 message", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := harness.StartDouble(t, func(o *sandbox.Options) { o.Granted = []string{"Mail.Read"} })
			c.fault.Endpoint, c.fault.Count = "sendMail", 1
			if err := d.Inject(c.fault); err != nil {
				t.Fatal(err)
			}
			r := harness.StartRelay(t, d, harness.With("delivery", "unknown_outcome: "+c.mode))
			handIn(t, harness.Hello(t, r.Addr), "doubt", c.text)
			e := waitFor(t, r, c.name, func(e harness.Entry) bool { return e.Attempts == 1 && e.State != "sending" })
			if doubtful := c.mode != "retry" && c.fault.Status != 503; e.State != c.state || e.Unknown != doubtful {
				t.Errorf("%+v, want %s, doubtful %v", e, c.state, doubtful)
			}
			mustRun(t, r, c.retry, "queue", "retry", e.QueueID)
			r.WaitEmpty(time.Minute)
			if got := d.Ledger()[subjectID("doubt")]; got != c.sent {
				t.Errorf("sent %d times, want %d", got, c.sent)
			}
		})
	}
}

// `queue release` forces a new login at once, whatever the last one met.
func TestReleaseLogsInAgain(t *testing.T) {
	d := harness.StartDouble(t)
	expired := sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: 7000222}
	if err := d.Inject(expired); err != nil {
		t.Fatal(err)
	}
	r := harness.StartRelay(t, d)
	handIn(t, harness.Hello(t, r.Addr), "login", "x")
	waitForHold(t, r, "identity:default", 1)
	d.ClearFaults()
	mustRun(t, r, "probing hold", "queue", "release", "--hold", "identity:default")
	r.WaitEmpty(time.Minute)
	if got := d.Ledger()[subjectID("login")]; got != 1 {
		t.Errorf("sent %d times", got)
	}
}

// Three messages of one client meet a code that nobody has heard of: its mail is
// held, that of the others passes, and nothing is lost.
func TestOneClientIsHeldOverSMTP(t *testing.T) {
	d := harness.StartDouble(t)
	for i := range 4 { // and not the reports about them
		if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", MessageID: subjectID(fmt.Sprintf("odd %d", i)),
			Status: 400, Code: "ErrorOfTomorrow", Message: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	r := harness.StartRelay(t, d, harness.With("top", "clients:",
		"  - {name: erp, networks: [127.0.0.2/32]}", "  - {name: rest, networks: [127.0.0.0/8]}"))
	erp, rest := harness.HelloFrom(t, "127.0.0.2", r.Addr), harness.Hello(t, r.Addr)
	for i := range 4 {
		handIn(t, erp, fmt.Sprintf("odd %d", i), "x")
	}
	const key = "client:" + harness.Sender + " of erp"
	waitForHold(t, r, key, 4) // two failed before it was known
	handIn(t, rest, "sound", "x")
	if !harness.Holds(time.Minute, func() bool { return d.Ledger()[subjectID("sound")] == 1 }) {
		t.Errorf("another client waits, too\n%s", r.Tail())
	}
	d.ClearFaults()
	mustRun(t, r, "probing hold", "queue", "release", "--hold", key)
	r.WaitEmpty(time.Minute)
	mustRun(t, r, "", "queue", "retry", "--state", "failed")
	if !harness.Holds(time.Minute, func() bool {
		sent := d.Ledger()
		return sent[subjectID("odd 0")]+sent[subjectID("odd 1")]+sent[subjectID("odd 2")]+sent[subjectID("odd 3")] == 4
	}) {
		t.Errorf("%v\n%s", d.Ledger(), r.Tail())
	}
}
