// Package graph makes requests of Microsoft Graph for one identity, that is, one
// app registration in one tenant, and says what happened to each message.
//
// Send posts a message as MIME to /users/{mailbox}/sendMail: one line of standard
// base64, streamed with its exact length and never compressed. Lookup searches a
// mailbox for a message whose fate is unknown. Package largemail builds on Do,
// the one way of every request.
//
// What it promises:
//
//   - Every attempt ends in one Answer, whatever the service, a proxy or the
//     network did; nothing is left to an SDK's error text, and nothing panics.
//   - Only a 202 after the whole body is Delivered. Unknown means that bytes of the body may have left
//     and no answer settled it; everything else is certainly not sent.
//   - One call of Send is one attempt. Nothing is repeated here but what certainly
//     was not processed: a connection that had died (net/http repeats the request
//     through GetBody, or Do), and a 401, once, with a new token. Redirects are
//     answers, not followed.
//   - No request leaves without a token, and the token only goes to the configured
//     Graph host over verified TLS 1.2 or later. Upload URLs get none.
//   - A proxy is used by CONNECT alone and sees no token.
//   - No secret and no token is shown in an Answer, an error or a log line. What
//     the service says is bounded and shown with control characters escaped.
//
// What the answers mean is in one table, catalogue.go. The package must not know the
// queue or SMTP reply codes; its caller decides what to do about an Answer. It follows
// the documents of Microsoft Graph (user: sendMail, error responses, throttling), RFC
// 9110 for Retry-After and WWW-Authenticate, and RFC 3463 for enhanced status codes.
package graph

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/microsoft/kiota-abstractions-go/authentication"
	sdk "github.com/microsoftgraph/msgraph-sdk-go-core/authentication"

	"graphrelay/relay/entra"
	"graphrelay/relay/text"
)

// Config describes one identity. The zero value of an optional field means its default.
type Config struct {
	Name string // for logs
	entra.Identity

	// Cloud is public (the default), usgov, usgov-dod, china, bleu, delos or govsg. Login and Graph
	// replace it, both or neither, and must be https.
	Cloud        string
	Login, Graph *url.URL

	CAFile string // PEM roots, added to those of the system

	// Proxy is the HTTP proxy for both endpoints, without a password; ProxyFile holds
	// its URL where there is one. Without either HTTPS_PROXY and NO_PROXY are followed.
	Proxy     *url.URL
	ProxyFile string

	MaxConcurrent int              // expected concurrent sends, sizes the pool of connections; 0 is 64
	Now           func() time.Time // nil is time.Now
	Log           *slog.Logger     // nil is silence
	UserAgent     string           // product and version; empty is "graphrelay"

	// Dial opens the connections to both endpoints and to the proxy, in place of
	// TCP; TLS is spoken over them all the same. nil is TCP. It is what lets a
	// whole relay run without a network, under a clock that is not real.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Secrets gets to know every secret for as long as it may be used: see
	// entra.Config. nil is one that nobody else asks.
	Secrets *text.Redactor

	// OnCredentialChange is called by Run after a changed credential file was
	// loaded: what Graph or Entra refused may pass now. It must not block.
	OnCredentialChange func()

	// OnToken is called for a new token that may end a refusal: see entra.Config.
	// It may be nil, and must not block.
	OnToken func(again, roles bool)
}

// withDefaults fills in the optional fields and checks the rest. It reads no file.
func (cfg Config) withDefaults() (Config, error) {
	if err := cfg.Check(); err != nil {
		return cfg, err
	}
	e, err := cfg.endpoints().Resolve(cfg.Cloud)
	if err != nil {
		return cfg, err
	}
	cfg.Login, cfg.Graph = e.Login, e.Graph
	if err := cfg.checkProxy(); err != nil {
		return cfg, err
	}
	cfg.MaxConcurrent = cmp.Or(cfg.MaxConcurrent, 64)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	if cfg.OnCredentialChange == nil {
		cfg.OnCredentialChange = func() {}
	}
	cfg.Secrets = cmp.Or(cfg.Secrets, text.NewRedactor())
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "graphrelay")
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)).With("identity", cfg.Name)
	return cfg, nil
}

func (cfg Config) endpoints() entra.Endpoints {
	return entra.Endpoints{Login: cfg.Login, Graph: cfg.Graph}
}

// Client makes the requests of one identity. It is safe for concurrent use.
type Client struct {
	cfg      Config
	network  *network
	logins   entra.Config // of login, and of others with the same credential
	login    *entra.Login
	provider authentication.AuthenticationProvider
	base     string     // of every Graph URL: https://host/v1.0
	buffers  *sync.Pool // *[]byte of rawBuffer
}

// New checks cfg and reads the credential and CA files. It does not use the
// network. Every error ends with what to do.
func New(cfg Config) (*Client, error) {
	n, err := newNetwork(cfg)
	if err != nil {
		return nil, err
	}
	cfg = n.cfg
	logins := entra.Config{
		Identity: cfg.Identity, Endpoints: cfg.endpoints(), Now: cfg.Now, Log: cfg.Log,
		Route: n, OnChange: cfg.OnCredentialChange, OnToken: cfg.OnToken, Secrets: cfg.Secrets,
	}
	login, err := entra.New(logins)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, network: n, logins: logins, login: login, base: strings.TrimRight(cfg.Graph.String(), "/") + "/v1.0",
		buffers: &sync.Pool{New: func() any { b := make([]byte, rawBuffer); return &b }},
	}
	c.provider, err = c.newProvider()
	return c, err
}

// newProvider makes the SDK's authentication provider, which hands our token out
// for the one Graph host only.
func (c *Client) newProvider() (authentication.AuthenticationProvider, error) {
	return sdk.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(
		c.login, []string{c.cfg.endpoints().Scope()}, []string{c.cfg.Graph.Hostname()})
}

// Run keeps a token ready and loads changed credential files, until ctx ends.
// Without it tokens are fetched when they are first needed, and renewed when they
// are next used, from the files as they are then.
func (c *Client) Run(ctx context.Context) {
	c.login.Run(ctx)
	c.Close()
}

// Close closes the connections of a client that did not run.
func (c *Client) Close() { c.network.CloseIdleConnections() }

// Token logs in if there is no valid token, and returns what the token says. An
// error is a *entra.LoginError, or the context's.
func (c *Client) Token(ctx context.Context) (entra.TokenInfo, error) { return c.login.Token(ctx) }

// Login is the login of the identity.
func (c *Client) Login() *entra.Login { return c.login }

// Outlook makes a login of the identity for Exchange Online itself, with the credential
// and the way of Login.
func (c *Client) Outlook() (*entra.Login, error) {
	cfg := c.logins
	cfg.Scope, cfg.OnToken = cfg.Endpoints.OutlookScope(), nil
	return entra.New(cfg)
}

// Roots are the certificates that the client trusts beside nothing else; nil for the
// system's.
func (c *Client) Roots() *x509.CertPool { return c.network.TLSClientConfig.RootCAs }

// Microsoft reports whether both endpoints are those of a Microsoft cloud.
func (c *Client) Microsoft() bool { return c.cfg.endpoints().Microsoft() }

// Credential describes what the identity logs in with at present.
func (c *Client) Credential() entra.CredentialInfo { return c.login.Credential() }

// Config is what the client works with, the defaults filled in.
func (c *Client) Config() Config { return c.cfg }
