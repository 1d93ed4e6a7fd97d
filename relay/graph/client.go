package graph

import (
	"context"
	"strings"
	"sync"

	"graphrelay/relay/entra"

	"github.com/microsoft/kiota-abstractions-go/authentication"
	sdk "github.com/microsoftgraph/msgraph-sdk-go-core/authentication"
)

// Client makes the requests of one identity. It is safe for concurrent use.
type Client struct {
	cfg      Config
	network  *network
	login    *entra.Login
	provider authentication.AuthenticationProvider
	base     string     // of every Graph URL: https://host/v1.0
	buffers  *sync.Pool // *[]byte of rawBuffer
}

// New checks cfg and reads the credential and CA files. It does not use the
// network. Every error ends with what to do.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(cfg)
	if err != nil {
		return nil, err
	}
	login, err := entra.New(entra.Config{
		Identity: cfg.Identity, Endpoints: cfg.endpoints(), Now: cfg.Now, Log: cfg.Log,
		Route: n, OnChange: cfg.OnCredentialChange, OnToken: cfg.OnToken,
	})
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg:     cfg,
		network: n,
		login:   login,
		base:    strings.TrimRight(cfg.Graph.String(), "/") + "/v1.0",
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
	c.network.CloseIdleConnections()
}

// Token logs in if there is no valid token, and returns what the token says. An
// error is a *entra.LoginError, or the context's.
func (c *Client) Token(ctx context.Context) (entra.TokenInfo, error) { return c.login.Token(ctx) }

// Login is the login of the identity.
func (c *Client) Login() *entra.Login { return c.login }

// Microsoft reports whether both endpoints are those of a Microsoft cloud.
func (c *Client) Microsoft() bool { return c.cfg.endpoints().Microsoft() }

// Credential describes what the identity logs in with at present.
func (c *Client) Credential() entra.CredentialInfo { return c.login.Credential() }

// Config is what the client works with, the defaults filled in.
func (c *Client) Config() Config { return c.cfg }
