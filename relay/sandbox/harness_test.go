package sandbox_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"graphrelay/relay/sandbox"
)

const (
	mailbox = "relay@contoso.com"
	scope   = "https://graph.microsoft.com/.default"
	simple  = "From: relay@contoso.com\r\nTo: a@example.com\r\nSubject: hello\r\nMessage-ID: " +
		"<1@contoso.com>\r\n\r\nHi\r\n"
)

// start runs a double that the test's end closes.
func start(t testing.TB, o sandbox.Options) *sandbox.Double {
	t.Helper()
	d, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// azure are the options with which azidentity finds the double.
func azure(d *sandbox.Double) azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: d.URL() + "/"},
		Transport: d.HTTPClient(),
		Retry:     policy.RetryOptions{MaxRetries: -1},
	}
}

// tokenFor signs in with the secret.
func tokenFor(t testing.TB, d *sandbox.Double) string {
	t.Helper()
	a := postToken(t, d, d.TenantID(), url.Values{
		"grant_type": {"client_credentials"}, "client_id": {d.ClientID()},
		"client_secret": {d.Secret()}, "scope": {scope},
	})
	return accessToken(t, a)
}

func accessToken(t testing.TB, a got) string {
	t.Helper()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil || body.AccessToken == "" {
		t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return body.AccessToken
}

// got is an answer, read to its end.
type got struct {
	status int
	header http.Header
	body   []byte
}

// code is error.code of a Graph error.
func (g got) code() string {
	var body struct {
		Error struct{ Code string }
	}
	_ = json.Unmarshal(g.body, &body)
	return body.Error.Code
}

func postToken(t testing.TB, d *sandbox.Double, tenant string, form url.Values) got {
	t.Helper()
	r, err := d.HTTPClient().PostForm(d.URL()+"/"+tenant+"/oauth2/v2.0/token", form)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, r)
}

func read(t testing.TB, r *http.Response) got {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got{r.StatusCode, r.Header, body}
}

// client is a signed-in sender.
type client struct {
	t     testing.TB
	d     *sandbox.Double
	http  *http.Client
	token string
}

func signIn(t testing.TB, d *sandbox.Double) *client {
	return &client{t, d, d.HTTPClient(), tokenFor(t, d)}
}

// request makes a sendMail request for a mailbox.
func (c *client) request(mailbox, contentType string, body []byte) *http.Request {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	c.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.d.URL()+"/v1.0/users/"+url.PathEscape(mailbox)+
		"/sendMail", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", contentType)
	return r
}

func (c *client) do(r *http.Request) got {
	c.t.Helper()
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return read(c.t, response)
}

// send sends MIME in unwrapped base64.
func (c *client) send(mailbox, message string) got {
	c.t.Helper()
	return c.do(c.request(mailbox, "text/plain", encode(message)))
}

func encode(message string) []byte {
	return []byte(base64.StdEncoding.EncodeToString([]byte(message)))
}

// header makes a message of header lines.
func header(lines ...string) string {
	return strings.Join(lines, "\r\n") + "\r\n\r\nbody\r\n"
}
