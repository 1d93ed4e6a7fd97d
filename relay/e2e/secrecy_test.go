package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

const proxyPassword = "hunter2-of-the-proxy"

// startProxy starts a proxy that asks for a password, and writes the file that
// names it.
func startProxy(t *testing.T) (*sandbox.Proxy, string) {
	t.Helper()
	p := sandbox.NewProxy("relay", proxyPassword)
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	file := filepath.Join(t.TempDir(), "proxy.url")
	harness.WriteFile(t, file, strings.Replace(p.URL(), "http://", "http://relay:"+proxyPassword+"@", 1)+"\n")
	return p, file
}

// Mail leaves through the company's proxy, which sees CONNECT and TLS alone.
func TestThroughAProxy(t *testing.T) {
	p, file := startProxy(t)
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, harness.With("identity", "proxy_file: "+file))
	sendOne(t, r, "through the proxy")
	d.WaitFor(t, 1, time.Minute)
	if len(p.Seen()) == 0 {
		t.Fatal("the proxy was not used")
	}
	for _, seen := range p.Seen() {
		if seen.Method != "CONNECT" || "https://"+seen.Target != d.URL() || seen.Status != 200 ||
			seen.Header.Get("Authorization") != "" || len(seen.Up) > 0 && seen.Up[0] != 0x16 {
			t.Errorf("the proxy saw %s %s, answered %d: %.20q", seen.Method, seen.Target, seen.Status, seen.Up)
		}
	}
	for _, word := range []string{"eyJ", "Bearer", d.Secret(), "through the proxy", harness.Sender} {
		if p.Saw(word) {
			t.Errorf("the proxy saw %q", word)
		}
	}
}

// Nothing that fails tells a secret: neither the client secret, which a service
// echoes here, nor a token, an assertion or the password of the proxy stands in
// the log, in what commands print, or in the shown configuration.
func TestNoSecretInAFailingRun(t *testing.T) {
	_, file := startProxy(t)
	d := harness.StartDouble(t)
	for _, f := range []sandbox.Fault{
		{Endpoint: "token", Count: 1, Status: 401, Code: "invalid_client", AADSTS: 7000215, Message: "The secret " +
			d.Secret() + " is wrong; assertion eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl."},
		{Endpoint: "sendMail", Count: 1, Status: 403, Code: "ErrorAccessDenied",
			Message: "Bearer eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl; " + d.Secret() + "; " + proxyPassword},
		{Endpoint: "sendMail", Count: 1, Drop: sandbox.DropBody},
	} {
		if err := d.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	r := harness.NewRelay(t, d, harness.With("identity", "proxy_file: "+file), harness.With("log", "level: debug"))
	r.Start()
	sendOne(t, r, "fails at first")
	var said strings.Builder
	ran := func(args ...string) {
		out, _ := r.Run(args...)
		said.WriteString(out)
	}
	// The hold of the identity is probed after a minute; a restart probes at once.
	for _, what := range []string{"7000215", "ErrorAccessDenied", "lost during sending"} {
		if !harness.Holds(time.Minute, func() bool { return strings.Contains(r.Output(), what) }) {
			t.Fatalf("%s has not happened:\n%s", what, r.Output())
		}
		ran("status")
		ran("queue", "list", "--json")
		said.WriteString(r.Output())
		_ = r.Stop(time.Minute)
		r.Start()
	}
	// A proxy that asks for another password, and files that hold nonsense.
	harness.WriteFile(t, file, strings.Replace(readFile(t, file), proxyPassword, proxyPassword+"-wrong", 1))
	_ = r.Stop(time.Minute)
	r.Start()
	harness.Holds(time.Minute, func() bool { return strings.Contains(r.Output(), "refuses CONNECT") })
	said.WriteString(r.Output())
	ran("check", "--show")
	harness.WriteFile(t, file, "relay:"+proxyPassword+"@not a url")
	ran("check")
	all := said.String()
	for _, word := range []string{d.Secret(), proxyPassword, "eyJ", "Bearer ey"} {
		if i := strings.Index(all, word); i >= 0 {
			t.Errorf("%q is shown: ...%s", word, all[max(0, i-300):min(len(all), i+300)])
		}
	}
	for _, word := range []string{"[secret]", "[token]", "refuses CONNECT", "holds no URL of a proxy",
		"proxy_file: " + file} {
		if !strings.Contains(all, word) {
			t.Errorf("%q did not come up", word)
		}
	}
}

func sendOne(t *testing.T, r *harness.Relay, subject string) {
	t.Helper()
	c := harness.Hello(t, r.Addr)
	defer c.Close()
	c.Want(c.Send(harness.Sender, []string{"someone@example.org"}, "From: "+harness.Sender+
		"\r\nTo: someone@example.org\r\nSubject: "+subject+"\r\n\r\nx\r\n"), 250)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
