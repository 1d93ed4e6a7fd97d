package graph

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	return d, Config{Name: "test", TenantID: d.TenantID(), ClientID: d.ClientID(), CAFile: ca, Login: u, Graph: u}
}

func delivers(t *testing.T, c *Client) {
	t.Helper()
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail("From: relay@contoso.com\r\nTo: a@example.com\r\n\r\nx\r\n")); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
}

// atMetadata makes the client find the sandbox at 169.254.169.254, and keeps a
// proxy of the environment out of its way.
func atMetadata(t *testing.T, d *sandbox.Double, c *Client) {
	t.Helper()
	if err := d.StartMetadata(""); err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(d.MetadataURL())
	c.metadata.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "169.254.169.254:80" {
			t.Errorf("a token is asked for at %s", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, u.Host)
	}
}

func TestManagedIdentity(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for name, x := range map[string]struct {
		asked    ManagedIdentity
		assigned []string
		works    bool
	}{
		"system-assigned":        {ManagedIdentity{}, nil, true},
		"user-assigned":          {ManagedIdentity{sandbox.DefaultClientID}, nil, true},
		"another user-assigned":  {ManagedIdentity{sandbox.DefaultClientID}, []string{""}, false},
		"no identity of its own": {ManagedIdentity{}, []string{sandbox.DefaultClientID}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, cfg := imitated(t, sandbox.Options{MachineIdentities: x.assigned})
			cfg.ManagedIdentity = &x.asked
			c := mustNew(t, cfg)
			atMetadata(t, d, c)
			if x.works {
				delivers(t, c)
				// The library's cache outlives the login; a refused token must not come back.
				d.ForgetTokens()
				delivers(t, c)
				if i := c.Credential(); i.Kind != KindManaged {
					t.Errorf("%+v", i)
				}
				return
			}
			a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
			if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || a.HTTPStatus != 400 || !strings.Contains(a.Text, "Identity not found") || !strings.Contains(a.Advice, "assign") {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestManagedIdentityWithoutAzure(t *testing.T) {
	_, cfg := imitated(t, sandbox.Options{})
	cfg.ManagedIdentity = &ManagedIdentity{}
	c := mustNew(t, cfg)
	c.metadata.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity || !strings.Contains(a.Advice, "169.254.169.254") || strings.Contains(a.Text, "aka.ms") {
		t.Errorf("%+v", a)
	}
}

func TestWorkloadIdentity(t *testing.T) {
	d, cfg := imitated(t, sandbox.Options{})
	path := filepath.Join(t.TempDir(), "token")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", path)
	federated := func(lifetime time.Duration) string {
		token, err := d.FederatedToken(lifetime)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, []byte(token+"\n"))
		return token
	}
	expired := federated(-time.Hour)
	cfg.WorkloadIdentity = true
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	c := mustNew(t, cfg)
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Hold || !strings.Contains(a.Text, "AADSTS700024") || !strings.Contains(log.String(), "expired") || strings.Contains(a.Text+log.String(), expired) {
		t.Errorf("%+v\n%s", a, &log)
	}
	federated(time.Hour) // renewed in its file by the kubelet: no restart, no reload
	now = now.Add(failurePause)
	delivers(t, c)
	if i := c.Credential(); i.Kind != KindWorkload || !i.NotAfter.IsZero() {
		t.Errorf("%+v", i)
	}
	writeFile(t, path, []byte("no token"))
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "holds no token") {
		t.Error(err)
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
	c.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.Run(ctx)
	with("hunter2%2Bpass")
	<-changed
	delivers(t, c)
	for _, r := range p.Seen() {
		if r.Method != "CONNECT" || "https://"+r.Target != d.URL() || r.Header.Get("Authorization") != "" || r.Status == 200 && len(r.Up) > 0 && r.Up[0] != 0x16 {
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
	for host, want := range map[string]string{"https://login.microsoftonline.com": "proxy.example:3128", "https://graph.microsoft.us": ""} {
		u, _ := url.Parse(host)
		got, err := mustNew(t, cfg).proxy.environment(u)
		if err != nil || (got == nil) != (want == "") || got != nil && got.Host != want {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	t.Setenv("HTTPS_PROXY", "http://relay:hunter2@proxy example")
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "HTTPS_PROXY") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
