package e2e_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// A queue whose file is deleted while the service runs takes no more mail and says so
// everywhere.
func TestQueueDeletedUnderTheService(t *testing.T) {
	r, d := start(t, harness.Watched())
	if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Status: 503}); err != nil {
		t.Fatal(err)
	}
	c := harness.Hello(t, r.Addr)
	c.Want(c.Send(harness.Sender, []string{anyone}, plain("before")), 250)
	refusedWithout(t, r, r.Store)
	const headline = "A file of the queue was deleted or replaced while the service runs"
	harness.Until(t, patience, "an alarm in the log", func() bool { return strings.Contains(r.Output(), headline) })
	if out, _ := r.Run("status"); !strings.Contains(out, headline) || !strings.Contains(out, "run: mv -f "+r.Store) {
		t.Errorf("status: %s", out)
	}
	res, err := http.Get("http://" + r.Watch + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(page), `"key":"store"`) {
		t.Errorf("/readyz: %s %s", res.Status, page)
	}
}

// A service whose lock was deleted takes no more mail, and keeps a second one away.
func TestLockDeletedUnderTheService(t *testing.T) {
	r, _ := start(t)
	refusedWithout(t, r, r.Store+".lock")
	const remedy = "whose lock file was deleted; stop that process"
	if out, err := r.Run("serve"); err == nil || !strings.Contains(out, remedy) {
		t.Errorf("a second service: %v: %s", err, out)
	}
}

// refusedWithout deletes a file and waits until mail is refused for now.
func refusedWithout(t *testing.T, r *harness.Relay, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !holdsSlowly(func() bool {
		c := harness.Hello(t, r.Addr)
		defer c.Close()
		return c.Say("MAIL FROM:<"+harness.Sender+">").Code == 451
	}) {
		t.Fatalf("mail is accepted without %s\n%s", file, r.Tail())
	}
}

// Mail that waits for a time that a clock planned before it was set back is sent at once.
func TestClockSetBackWhileTheServiceWasStopped(t *testing.T) {
	r, d := start(t)
	if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Status: 503}); err != nil {
		t.Fatal(err)
	}
	c := harness.Hello(t, r.Addr)
	c.Want(c.Send(harness.Sender, []string{anyone}, plain("early")), 250)
	harness.Until(t, patience, "a deferred message", func() bool {
		list := r.Queue()
		return len(list) == 1 && list[0].State == "deferred"
	})
	if err := r.Stop(patience); err != nil {
		t.Fatal(err)
	}
	d.ClearFaults()
	inStore(t, r.Store, "UPDATE message SET next = next + 2400000000000, last = last + 2400000000000")
	r.Start()
	d.WaitFor(t, 1, patience)
}
