package graph

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/entra"
	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// imitated is a config for a sandbox, without a credential.
func imitated(t *testing.T, o sandbox.Options) (*sandbox.Double, Config) {
	t.Helper()
	d, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Start(""); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, d.CAPEM())
	u, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	identity := entra.Identity{TenantID: d.TenantID(), ClientID: d.ClientID()}
	return d, Config{Name: "test", Identity: identity, CAFile: ca, Login: u, Graph: u}
}

func delivers(t *testing.T, c *Client) {
	t.Helper()
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"),
		mail("From: relay@contoso.com\r\nTo: a@example.com\r\n\r\nx\r\n")); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
}

// What goes through the proxy is CONNECT and TLS, never a token or a secret;
// and the password of the proxy itself is in no answer and no log.
func TestProxyOfTheConfiguration(t *testing.T) {
	d, cfg := imitated(t, sandbox.Options{})
	cfg.SecretFile = filepath.Join(t.TempDir(), "secret")
	writeFile(t, cfg.SecretFile, []byte(d.Secret()))
	p := sandbox.NewProxy("relay", "hunter2+pass")
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	cfg.ProxyFile = filepath.Join(t.TempDir(), "proxy")
	with := func(password string) { // in the URL's escaping
		writeFile(t, cfg.ProxyFile, []byte(strings.Replace(p.URL(), "http://", "http://relay:"+password+"@", 1)+"\n"))
	}
	with("hunter2%2Bold")
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	changed := make(chan struct{}, 1)
	cfg.OnCredentialChange = func() { changed <- struct{}{} }
	c := mustNew(t, cfg)
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity || !strings.Contains(a.Advice, "proxy_file") {
		t.Errorf("%+v", a)
	}
	if s := a.Text + a.Advice + log.String(); strings.Contains(s, "hunter2") {
		t.Errorf("the password of the proxy is in %s", s)
	}
	with("hunter2%2Bpass")
	c.login.CheckFiles()
	<-changed
	delivers(t, c)
	for _, r := range p.Seen() {
		if r.Method != "CONNECT" || "https://"+r.Target != d.URL() || r.Header.Get("Authorization") != "" ||
			r.Status == 200 && len(r.Up) > 0 && r.Up[0] != 0x16 {
			t.Errorf("the proxy saw %s %s %v: %.20q", r.Method, r.Target, r.Header, r.Up)
		}
	}
	for _, word := range []string{"Bearer", "eyJ", d.Secret(), "sendMail"} {
		if p.Saw(word) {
			t.Errorf("the proxy saw %q", word)
		}
	}
	if n := len(p.Seen()); n < 2 {
		t.Errorf("the proxy saw %d requests", n)
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	d, cfg := imitated(t, sandbox.Options{})
	cfg.SecretFile = filepath.Join(t.TempDir(), "secret")
	writeFile(t, cfg.SecretFile, []byte(d.Secret()))
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	t.Setenv("NO_PROXY", "graph.microsoft.us")
	for host, want := range map[string]string{"https://login.microsoftonline.com": "proxy.example:3128",
		"https://graph.microsoft.us": ""} {
		u, _ := url.Parse(host)
		got, err := mustNew(t, cfg).network.proxy.environment(u)
		if err != nil || (got == nil) != (want == "") || got != nil && got.Host != want {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	t.Setenv("HTTPS_PROXY", "http://relay:hunter2@proxy example")
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "HTTPS_PROXY") ||
		strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// proxy is an HTTP proxy that knows CONNECT only, and records what it receives.
func connectProxy(t *testing.T, refuse bool) (*url.URL, chan string) {
	seen := make(chan string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Method + " " + r.Header.Get("Authorization")
		if r.Method != http.MethodConnect || refuse {
			w.WriteHeader(407)
			return
		}
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		in, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, rw); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}))
	t.Cleanup(srv.Close)
	u, _ := url.Parse(srv.URL)
	return u, seen
}

func TestProxyGetsCONNECTAndNoToken(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	u, seen := connectProxy(t, false)
	c.network.Transport.Proxy = http.ProxyURL(u)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
	if len(seen) == 0 {
		t.Error("the proxy was not used")
	}
	for len(seen) > 0 {
		if s := <-seen; s != "CONNECT " {
			t.Errorf("the proxy saw %q", s)
		}
	}
	refusing, _ := connectProxy(t, true)
	c = d.client()
	c.network.Transport.Proxy = http.ProxyURL(refusing)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Retry ||
		!strings.Contains(a.Advice, "CONNECT") {
		t.Errorf("%+v", a)
	}
}
