package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/e2e/harness"
)

// notices is a webhook that remembers.
func notices(t *testing.T) (address string, heard chan string) {
	t.Helper()
	heard = make(chan string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n struct{ Key, Status, Text string }
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Errorf("the webhook got %v", err)
		}
		heard <- n.Key + " " + n.Status
	}))
	t.Cleanup(srv.Close)
	return srv.URL, heard
}

func expect(t *testing.T, r *harness.Relay, heard chan string, want string) {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		select {
		case got := <-heard:
			if got == want {
				return
			}
		case <-limit:
			t.Fatalf("the webhook did not hear %q\n%s", want, r.Tail())
		}
	}
}

// A mailbox that Graph refuses raises an alert, shows in metrics and readiness,
// and is over when it is mended.
func TestAHoldIsToldAndResolved(t *testing.T) {
	hook, heard := notices(t)
	d := harness.StartDouble(t)
	d.SetAllowed([]string{"else@contoso.com"})
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2 and more"), 10)
	if err != nil {
		t.Fatal(err)
	}
	consoleAt := harness.FreeAddr(t)
	r := harness.NewRelay(t, d, harness.Watched(), harness.With("top", "alerts: {webhook_url_file: hook.url}",
		fmt.Sprintf("console: {address: %s, password_hash: %q}", consoleAt, hash)))
	harness.WriteFile(t, filepath.Join(r.Dir, "hook.url"), hook+"/secret-path\n")
	r.Start()
	if out, err := r.Run("send", "--server", r.Addr, "--to", "a@example.org"); err != nil {
		t.Fatalf("send: %v: %s", err, out)
	}
	key := "hold:mailbox:" + harness.Sender
	expect(t, r, heard, key+" firing")
	for path, want := range map[string]string{
		"/metrics": `graphrelay_holds{scope="mailbox"} 1`, "/readyz": `"key":"hold:mailbox"`,
		"/healthz": `"degraded"`,
	} {
		harness.Until(t, time.Minute, path+" to hold "+want,
			func() bool { return strings.Contains(r.Page(path), want) })
	}
	d.SetAllowed([]string{harness.Sender})
	retryInConsole(t, "http://"+consoleAt, r.Queue()[0].QueueID) // so that nobody waits for the next probe
	d.WaitFor(t, 1, time.Minute)
	expect(t, r, heard, key+" resolved")
	for _, want := range []string{`graphrelay_alert_notifications_total{result="delivered"}`, `outcome="sent"} 1`,
		`graphrelay_mailbox_recipients_last_day{mailbox="` + harness.Sender + `"} 1`} {
		harness.Until(t, time.Minute, "/metrics to hold "+want,
			func() bool { return strings.Contains(r.Page("/metrics"), want) })
	}
	if strings.Contains(r.Output(), "secret-path") {
		t.Error("the log shows the webhook's URL")
	}
}

// retryInConsole logs in and presses the button.
func retryInConsole(t *testing.T, console, id string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	post := func(path string, form url.Values) string {
		res, err := browser.PostForm(console+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s = %s, %v: %s", path, res.Status, err, b)
		}
		return string(b)
	}
	overview := post("/login", url.Values{"password": {"hunter2 and more"}})
	token := regexp.MustCompile(`name="token" value="([A-Z2-7]+)"`).FindStringSubmatch(overview)
	if token == nil {
		t.Fatalf("the overview has no token: %s", overview)
	}
	post("/messages/"+id+"/retry", url.Values{"token": {token[1]}})
}

// A file that holds no usable URL stops the start, and is not shown.
func TestAWebhookThatIsNotHTTPS(t *testing.T) {
	d := harness.StartDouble(t)
	r := harness.NewRelay(t, d, harness.With("top", "alerts: {webhook_url_file: hook.url}"))
	harness.WriteFile(t, filepath.Join(r.Dir, "hook.url"), "http://hooks.example.org/secret-path\n")
	r.Launch()
	if err := r.Wait(time.Minute); err == nil || !strings.Contains(r.Output(), "is not https") ||
		strings.Contains(r.Output(), "secret-path") {
		t.Errorf("%v: %s", err, r.Output())
	}
}
