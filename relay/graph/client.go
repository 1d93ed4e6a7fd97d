package graph

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/outcome"

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
	metadata  *http.Transport // to the metadata service of the machine
	proxy     *proxy
	adapter   abs.RequestAdapter
	base      string // of every Graph URL: https://host/v1.0
	tokens    *tokens
	buffers   *sync.Pool // *[]byte of rawBuffer
	uploads   chan struct{}
	left      *leftovers

	loaded        []string      // the fingerprints of the files that New read
	every         time.Duration // watchInterval
	metadataRetry time.Duration // a second; doubled

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
	cfg.Log = cfg.Log.With("identity", cfg.Name)
	c := &Client{
		cfg:           cfg,
		microsoft:     isMicrosoft(cfg.Login, cfg.Graph),
		base:          strings.TrimRight(cfg.Graph.String(), "/") + "/v1.0",
		metadata:      newMetadataTransport(),
		every:         watchInterval,
		metadataRetry: time.Second,
		buffers:       &sync.Pool{New: func() any { b := make([]byte, rawBuffer); return &b }},
		uploads:       make(chan struct{}, maxUploads),
		left:          newLeftovers(),
	}
	c.loaded = c.fingerprint() // before reading, so that no change is missed
	if c.credential, err = loadCredential(cfg); err != nil {
		return nil, err
	}
	pool, p, err := cfg.way()
	if err != nil {
		return nil, err
	}
	c.proxy = p
	c.transport = newTransport(pool, cfg.MaxConcurrent, c.proxy, cfg.Dial)
	c.tokens = &tokens{login: c.login, now: cfg.Now, log: cfg.Log}
	if c.adapter, err = c.newAdapter(); err != nil {
		return nil, err
	}
	if w := c.credential.warning(cfg.Now()); w != "" {
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

// Run keeps a token ready, takes changed credential files over and deletes drafts
// that Upload had to leave, until ctx ends. Without it tokens are fetched when
// they are first needed, and renewed when they are next used, from the files as
// they are then.
func (c *Client) Run(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { c.watch(ctx) })
	watching.Go(func() { c.runLeftovers(ctx) })
	c.tokens.run(ctx)
	watching.Wait()
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
func (c *Client) Credential() CredentialInfo { return c.current().info() }

// login fetches a token with a new azidentity credential. Only tokens calls it.
func (c *Client) login(ctx context.Context, claims string) (token, error) {
	at, err := c.fetch(ctx, claims)
	if err == nil && at.Token == "" {
		err = errors.New("the answer holds no token")
	}
	if err != nil {
		return token{}, c.loginError(err)
	}
	return newToken(at.Token, c.cfg.Now(), at.ExpiresOn, at.RefreshOn), nil
}

func (c *Client) fetch(ctx context.Context, claims string) (azcore.AccessToken, error) {
	if c.cfg.ManagedIdentity != nil {
		return c.managedToken(ctx)
	}
	if err := c.loadAgain(); err != nil {
		c.cfg.Log.Warn("credential file cannot be read, the earlier credential is used", "error", err)
	}
	azure, err := c.current().azure(c.cfg, c.loginOptions(), !c.microsoft)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return azure.GetToken(ctx, policy.TokenRequestOptions{
		Scopes:    []string{scopeFor(c.cfg.Graph)},
		EnableCAE: true,
		Claims:    claims,
	})
}

func (c *Client) loginOptions() policy.ClientOptions {
	return policy.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.cfg.Login.String()},
		Transport: loginClient{c.transport},
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
}

func (c *Client) loginError(err error) error {
	var refused *LoginError
	if !errors.As(err, &refused) {
		refused = &LoginError{classifyToken(err, c.cfg.Now())}
	}
	refused.Answer = c.redacted(refused.Answer)
	return refused
}

// redacted is a without what must not be shown, should a service or a proxy
// have echoed it.
func (c *Client) redacted(a outcome.Answer) outcome.Answer {
	if a.Outcome == outcome.Delivered {
		return a
	}
	cred := c.current()
	a.Text = redact(a.Text, append(c.proxy.secrets(c.cfg.Graph), cred.secret, cred.assertion)...)
	return a
}

// current is the credential in use.
func (c *Client) current() credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.credential
}

// loadAgain reads the files again, so that a renewed secret or certificate is
// used from the next login on; if they cannot be read now, the one that worked
// is kept.
func (c *Client) loadAgain() error {
	cred, err := loadCredential(c.cfg)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credential = cred
	return nil
}
