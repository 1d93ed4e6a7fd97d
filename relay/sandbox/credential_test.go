package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"graphrelay/relay/sandbox"
)

func TestAzidentityAppService(t *testing.T) {
	d := start(t, sandbox.Options{})
	if err := d.StartMetadata(""); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IDENTITY_ENDPOINT", d.MetadataURL())
	t.Setenv("IDENTITY_HEADER", d.MetadataSecret())
	credential, err := azidentity.NewManagedIdentityCredential(
		&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(d.ClientID())})
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil || time.Until(token.ExpiresOn) < time.Minute {
		t.Fatalf("expires %v, %v", token.ExpiresOn, err)
	}
	c := signIn(t, d)
	c.token = token.Token
	if g := c.send(mailbox, simple); g.status != 202 {
		t.Errorf("%d %s", g.status, g.body)
	}
}

// The rules that keep a forged or forwarded request from getting a token.
func TestMetadataService(t *testing.T) {
	d := start(t, sandbox.Options{MachineIdentities: []string{""}})
	if err := d.StartMetadata(""); err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse(d.MetadataURL())
	const good = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com"
	for name, x := range map[string]struct {
		path   string
		header http.Header
		status int
	}{
		"good":             {good, http.Header{"Metadata": {"true"}}, 200},
		"no header":        {good, http.Header{}, 400},
		"forwarded":        {good, http.Header{"Metadata": {"true"}, "X-Forwarded-For": {"10.0.0.1"}}, 400},
		"another identity": {good + "&client_id=" + d.ClientID(), http.Header{"Metadata": {"true"}}, 400},
		"no resource": {"/metadata/identity/oauth2/token?api-version=2018-02-01",
			http.Header{"Metadata": {"true"}}, 400},
		"app service": {"/msi/token?api-version=2019-08-01&resource=https://graph.microsoft.com",
			http.Header{"X-Identity-Header": {d.MetadataSecret()}}, 200},
		"wrong secret": {"/msi/token?api-version=2019-08-01&resource=https://graph.microsoft.com",
			http.Header{"X-Identity-Header": {"x"}}, 400},
	} {
		req, _ := http.NewRequest(http.MethodGet, "http://"+base.Host+x.path, nil)
		req.Header = x.header
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]string
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != x.status ||
			(body["access_token"] != "") != (x.status == 200) {
			t.Errorf("%s: %d %v %v", name, resp.StatusCode, body, err)
		}
		_ = resp.Body.Close()
	}
}

func TestFederatedToken(t *testing.T) {
	d := start(t, sandbox.Options{})
	form := func(assertion string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {d.ClientID()}, "scope": {scope},
			"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
	}
	good, err := d.FederatedToken(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	expired, _ := d.FederatedToken(-time.Hour)
	other := start(t, sandbox.Options{})
	forged, _ := other.FederatedToken(time.Hour)
	checkTokenAnswer(t, postToken(t, d, d.TenantID(), form(good)), 200, "", 0)
	checkTokenAnswer(t, postToken(t, d, d.TenantID(), form(expired)), 401, "invalid_client", 700024)
	checkTokenAnswer(t, postToken(t, d, d.TenantID(), form(forged)), 401, "invalid_client", 700027)
}

func TestProxy(t *testing.T) {
	d := start(t, sandbox.Options{})
	p := sandbox.NewProxy("relay", "hunter2")
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	get := func(target, user string) (int, error) {
		u, _ := url.Parse(p.URL())
		u.User = url.UserPassword(user, "hunter2")
		client := d.HTTPClient()
		client.Transport.(*http.Transport).Proxy = http.ProxyURL(u)
		defer client.CloseIdleConnections()
		resp, err := client.Get(target)
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode, nil
	}
	path := "/" + d.TenantID() + "/v2.0/.well-known/openid-configuration"
	if status, err := get(d.URL()+path, "relay"); status != 200 {
		t.Errorf("through the proxy: %d, %v", status, err)
	}
	if _, err := get(d.URL()+path, "nobody"); err == nil {
		t.Error("the proxy admits a stranger")
	}
	if status, _ := get("http://127.0.0.1:1/in-the-clear", "relay"); status != 405 {
		t.Errorf("in the clear: %d", status)
	}
	if status, _ := get("https://192.0.2.1/", "relay"); status != 0 {
		t.Errorf("to the Internet: %d", status)
	}
	want := []int{200, 407, 405, 403}
	for i, r := range p.Seen() {
		if i >= len(want) || r.Status != want[i] {
			t.Errorf("request %d: %s %s was answered %d", i, r.Method, r.Target, r.Status)
		}
	}
	if !p.Saw("in-the-clear") || p.Saw("openid-configuration") || !p.Saw("\x16\x03\x01") {
		t.Error("the proxy does not remember what it saw, and only that")
	}
}
