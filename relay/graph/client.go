package graph

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	abs "github.com/microsoft/kiota-abstractions-go"
	core "github.com/microsoftgraph/msgraph-sdk-go-core"
	"github.com/microsoftgraph/msgraph-sdk-go-core/authentication"
)

// Client sends for one identity. It is safe for concurrent use.
type Client struct {
	cfg       Config
	microsoft bool
	transport *http.Transport
	adapter   abs.RequestAdapter
	base      string // of every Graph URL: https://host/v1.0
	tokens    *tokens
	buffers   *sync.Pool // *[]byte of rawBuffer
	uploads   chan struct{}

	mu         sync.Mutex
	credential credential
}

// New checks cfg and reads the credential and CA files. It does not use the
// network. Every error ends with what to do.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	cred, err := loadCredential(cfg)
	if err != nil {
		return nil, err
	}
	pool, err := roots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	cfg.Log = cfg.Log.With("identity", cfg.Name)
	c := &Client{
		cfg:        cfg,
		microsoft:  isMicrosoft(cfg.Login, cfg.Graph),
		transport:  newTransport(pool, cfg.MaxConcurrent),
		base:       strings.TrimRight(cfg.Graph.String(), "/") + "/v1.0",
		credential: cred,
		uploads:    make(chan struct{}, maxUploads),
		buffers:    &sync.Pool{New: func() any { b := make([]byte, rawBuffer); return &b }},
	}
	c.tokens = &tokens{login: c.login, now: cfg.Now, log: cfg.Log}
	if c.adapter, err = c.newAdapter(); err != nil {
		return nil, err
	}
	if w := cred.warning(cfg.Now()); w != "" {
		cfg.Log.Warn("credential will be refused", "reason", w)
	}
	return c, nil
}

// newAdapter joins the SDK's pieces: its authentication provider hands our
// token out for the one Graph host only.
func (c *Client) newAdapter() (abs.RequestAdapter, error) {
	provider, err := authentication.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(
		tokenSource{c.tokens}, []string{scopeFor(c.cfg.Graph)}, []string{c.cfg.Graph.Hostname()})
	if err != nil {
		return nil, err
	}
	hc := &http.Client{Transport: c.transport}
	return core.NewGraphRequestAdapterBaseWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(provider, core.GraphClientOptions{}, nil, nil, hc)
}

// tokenSource is the credential that the SDK sees: our one token.
type tokenSource struct{ tokens *tokens }

func (s tokenSource) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := s.tokens.get(ctx)
	return azcore.AccessToken{Token: t.value, ExpiresOn: t.expires}, err
}

// Run keeps a token ready until ctx ends. Without it tokens are fetched when
// they are first needed, and renewed when they are next used.
func (c *Client) Run(ctx context.Context) {
	c.tokens.run(ctx)
	c.transport.CloseIdleConnections()
}

// Token logs in if there is no valid token, and tells what the token says. An
// error is a *LoginError, or the context's.
func (c *Client) Token(ctx context.Context) (TokenInfo, error) {
	t, err := c.tokens.get(ctx)
	if err != nil {
		return TokenInfo{}, err
	}
	return readToken(t), nil
}

// Microsoft tells whether both endpoints are those of a Microsoft cloud.
func (c *Client) Microsoft() bool { return c.microsoft }

// Credential describes what the identity logs in with at present.
func (c *Client) Credential() CredentialInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.credential.info()
}

// login fetches a token with a new azidentity credential. Only tokens calls it.
func (c *Client) login(ctx context.Context, claims string) (token, error) {
	cred := c.currentCredential()
	azure, err := cred.azure(c.cfg, c.loginOptions(), !c.microsoft)
	if err != nil {
		return token{}, c.loginError(err, cred)
	}
	at, err := azure.GetToken(ctx, policy.TokenRequestOptions{
		Scopes:    []string{scopeFor(c.cfg.Graph)},
		EnableCAE: true,
		Claims:    claims,
	})
	if err == nil && at.Token == "" {
		err = errors.New("the answer holds no token")
	}
	if err != nil {
		return token{}, c.loginError(err, cred)
	}
	return newToken(at.Token, c.cfg.Now(), at.ExpiresOn, at.RefreshOn), nil
}

func (c *Client) loginOptions() policy.ClientOptions {
	return policy.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.cfg.Login.String()},
		Transport: loginClient{c.transport},
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
}

func (c *Client) loginError(err error, cred credential) error {
	a := classifyToken(err, c.cfg.Now())
	a.Text = cred.redact(a.Text)
	return &LoginError{a}
}

// currentCredential reads the files again, so that a renewed secret or
// certificate is used from the next login on; if they cannot be read now, the
// one that worked is kept.
func (c *Client) currentCredential() credential {
	cred, err := loadCredential(c.cfg)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.cfg.Log.Warn("credential file cannot be read, the earlier credential is used", "error", err)
		return c.credential
	}
	c.credential = cred
	return cred
}
