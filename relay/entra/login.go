// Package entra logs one identity in to Microsoft Entra and keeps its access token:
// with a client secret, a certificate, a managed or a workload identity (azidentity).
//
// What it promises:
//
//   - Tokens are fetched ahead of need and by one login at a time. A caller with
//     a valid token never waits for a login, and one without it never longer than
//     its context allows.
//   - A failed login ends in a LoginError, whose Answer says what that means for
//     a message and what to do. A credential file that cannot be read again is
//     logged, and the credential that worked is kept.
//   - Run loads what changes in the credential files. CredentialInfo.Expiry warns
//     when 30, 14, 7, 3 and 1 days are left until a credential expires.
//   - No secret and no token is shown in an Answer, an error or a log line. What
//     Entra says is bounded and shown with control characters escaped.
//   - Redirects are answers, not followed. Only the metadata service of an Azure
//     machine is asked in clear text, and never through a proxy.
//
// What the answers mean is in one table, catalogue.go. The package must not know
// what the token is used for, nor how Entra is reached: its Config brings a
// Route. It follows RFC 6749 for token errors and RFC 7292 and 8018 for files.
package entra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
	"graphrelay/relay/watchfile"
)

// watchInterval is how often the files are looked at.
const watchInterval = 5 * time.Second

// Config describes the login of one identity.
type Config struct {
	Identity
	Endpoints Endpoints
	Scope     string // what the tokens are for; empty is Graph
	Now       func() time.Time
	Log       *slog.Logger

	// Route is how Entra is reached; the login does not know what it goes through.
	Route Route

	// Secrets gets to know every secret and token for as long as it may be used.
	// nil is one that nobody else asks.
	Secrets *text.Redactor

	// OnChange is called by Run after a changed file was loaded: what Graph or
	// Entra refused may pass now. OnToken is called for a new token that may end a
	// refusal: again means that logins before had failed, roles that it has some
	// that the last one lacked. Neither may block; OnToken may be nil.
	OnChange func()
	OnToken  func(again, roles bool)
}

// Route is the way to Entra and what belongs to it.
type Route interface {
	http.RoundTripper
	Files() []string                   // to watch with those of the credential
	Load() (changed bool, err error)   // reads them again
	Secrets() []string                 // to be kept out of every text
	NoAnswer(err error) outcome.Answer // what it means that Entra did not answer
}

// Login logs one identity in and keeps its token. It is safe for concurrent use.
type Login struct {
	cfg      Config
	metadata *http.Transport // to the metadata service of the machine
	tokens   *tokens
	secrets  *secrets
	files    *watchfile.Files // as they were when New read them

	every         time.Duration // watchInterval
	metadataRetry time.Duration // a second; doubled

	mu         sync.Mutex
	credential credential
	announced  credential // what the files held when OnChange was last called, or New
	sent       string     // the thumbprint with which a message was sent last
	unread     error      // why the files cannot be read now
}

// New reads the credential. It does not use the network. Every error ends with what to do.
func New(cfg Config) (*Login, error) {
	cfg.Secrets = cmp.Or(cfg.Secrets, text.NewRedactor())
	cfg.Scope = cmp.Or(cfg.Scope, cfg.Endpoints.Scope())
	l := &Login{
		secrets:       &secrets{redactor: cfg.Secrets, now: cfg.Now},
		cfg:           cfg,
		metadata:      newMetadataTransport(),
		files:         watchfile.New(append(cfg.files(), cfg.Route.Files()...)...), // before they are read
		every:         watchInterval,
		metadataRetry: time.Second,
	}
	l.tokens = &tokens{login: l.login, gained: l.gained, now: cfg.Now, log: cfg.Log, wake: make(chan struct{}, 1)}
	if err := l.load(); err != nil {
		return nil, err
	}
	if _, err := cfg.Route.Load(); err != nil { // again, so that no change is missed
		return nil, err
	}
	l.hide()
	l.announced = l.current()
	if w := l.announced.warning(cfg.Now()); w != "" {
		cfg.Log.Warn("credential will be refused", "error", w)
	}
	return l, nil
}

// Run keeps a token ready and loads changed files, until ctx ends. Without it
// tokens are fetched when they are first needed, and renewed when they are next
// used, from the files as they are then.
func (l *Login) Run(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { l.watch(ctx) })
	l.tokens.run(ctx)
	watching.Wait()
	l.secrets.end()
}

// GetToken returns a token that is valid now; it is what the SDK asks. An error
// is a *LoginError, or the context's.
func (l *Login) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := l.tokens.get(ctx)
	return azcore.AccessToken{Token: t.value, ExpiresOn: t.expires}, err
}

// Renew replaces the token used, which was refused, by the answer to claims
// (JSON, or empty).
func (l *Login) Renew(ctx context.Context, used, claims string) error {
	return l.tokens.renew(ctx, used, claims)
}

// Force logs in again as soon as that may be, whatever the last login said:
// at once, but at most every 5 s, and not before a Retry-After of Entra. Run must
// be running for one that has to wait.
func (l *Login) Force() { l.tokens.force(freshToken) }

// Continue takes over from the login of an earlier configuration what still
// holds: its token where this one would get the same, and what keeps logins of
// the same app from following each other too fast. Call it before Run.
func (l *Login) Continue(old *Login) {
	if l.cfg.Scope != old.cfg.Scope || l.cfg.TenantID != old.cfg.TenantID || l.cfg.ClientID != old.cfg.ClientID ||
		!reflect.DeepEqual(l.cfg.Endpoints, old.cfg.Endpoints) {
		return
	}
	same := reflect.DeepEqual(l.cfg.Identity, old.cfg.Identity) && l.current().same(old.current())
	old.tokens.mu.Lock()
	kept := old.tokens.memory
	old.tokens.mu.Unlock()
	if !same {
		kept.current, kept.forced = token{}, newCredential
	} else if kept.failure != nil {
		kept.forced = freshToken
	}
	l.tokens.mu.Lock()
	defer l.tokens.mu.Unlock()
	l.tokens.memory = kept
	l.sent = old.lastSent()
	if kept.current.value != "" {
		l.secrets.until(kept.current.expires, kept.current.value)
	}
}

// gained says what a new token may end.
func (l *Login) gained(old, tok token, again bool) {
	known := readToken(old).Roles
	more := old.value != "" && slices.ContainsFunc(readToken(tok).Roles, func(role string) bool {
		return !slices.Contains(known, role)
	})
	if l.cfg.OnToken != nil && (again || more) {
		l.cfg.OnToken(again, more)
	}
}

// Token logs in if there is no valid token, and returns what the token says. An
// error is a *LoginError, or the context's.
func (l *Login) Token(ctx context.Context) (TokenInfo, error) {
	t, err := l.tokens.get(ctx)
	if err != nil {
		return TokenInfo{}, err
	}
	return readToken(t), nil
}

// Credential describes what the identity logs in with at present.
func (l *Login) Credential() CredentialInfo {
	info := l.current().info()
	l.mu.Lock()
	defer l.mu.Unlock()
	info.Unread, info.Sent = l.unread, l.sent != "" && l.sent == info.Thumbprint
	return info
}

// Sent notes that a message was sent with a token, and so with the certificate that
// it was got with.
func (l *Login) Sent(value string) {
	l.tokens.mu.Lock()
	t := l.tokens.current
	l.tokens.mu.Unlock()
	if t.value == value {
		l.mu.Lock()
		l.sent = t.by
		l.mu.Unlock()
	}
}

func (l *Login) lastSent() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// login fetches a token with a new azidentity credential. Only tokens calls it.
func (l *Login) login(ctx context.Context, claims string) (_ token, failed error) {
	defer func() { // what a library makes of an answer must not end the service, nor be shown
		if p := recover(); p != nil {
			l.cfg.Log.Error("login panicked", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			failed = &LoginError{l.cfg.Route.NoAnswer(errors.New("the answer cannot be read"))}
		}
	}()
	at, by, err := l.fetch(ctx, claims)
	if err == nil {
		err = l.unusable(at.Token)
	}
	if err == nil {
		l.secrets.until(at.ExpiresOn, at.Token)
		t := newToken(at.Token, l.cfg.Now(), at.ExpiresOn, at.RefreshOn)
		t.by = by
		return t, nil
	}
	var e *LoginError
	if !errors.As(err, &e) {
		e = &LoginError{refused(err, l.cfg.Now(), l.cfg.Route.NoAnswer)}
	}
	e.Answer = l.Redact(e.Answer)
	return token{}, e
}

// fetch returns a token, and the thumbprint of the certificate that it was got with.
// unusable says what is wrong with a token that no request can carry; nil if one can.
func (l *Login) unusable(token string) error {
	rows := Refusals()
	if l.cfg.ManagedIdentity != nil {
		rows = MetadataRefusals()
	}
	odd := strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
	switch {
	case token == "":
		return &LoginError{misread(rows, textNoToken, "")}
	case odd >= 0:
		return &LoginError{misread(rows,
			"Token in the answer to the login has a line end, or another character of no token",
			fmt.Sprintf("byte %d of its %d is 0x%02x", odd+1, len(token), token[odd]))}
	}
	return nil
}

func (l *Login) fetch(ctx context.Context, claims string) (_ azcore.AccessToken, by string, _ error) {
	if l.cfg.ManagedIdentity != nil {
		at, err := l.managedToken(ctx)
		return at, "", err
	}
	if err := l.load(); err != nil {
		l.cfg.Log.Warn("cannot read the credential file; using the earlier credential", "error", err)
	}
	options := policy.ClientOptions{
		Cloud:     azcloud.Configuration{ActiveDirectoryAuthorityHost: l.cfg.Endpoints.Login.String()},
		Transport: bounded{l.cfg.Route, l.secrets}, Retry: policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
	c := l.current()
	azure, err := c.azure(l.cfg.Identity, options, !l.cfg.Endpoints.Microsoft())
	if err != nil {
		return azcore.AccessToken{}, "", err
	}
	scopes := []string{l.cfg.Scope}
	at, err := azure.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes, EnableCAE: true, Claims: claims})
	return at, c.info().Thumbprint, err
}

// bounded is what azidentity speaks through: it follows no redirect, for the
// form carries the secret, and bounds every answer.
type bounded struct {
	transport http.RoundTripper
	secrets   *secrets
}

func (b bounded) Do(req *http.Request) (*http.Response, error) {
	b.secrets.noteAssertion(req)
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, 1<<20), resp.Body}
	return resp, nil
}

// Redact is a without the secrets in use, should a service or a proxy have echoed them.
func (l *Login) Redact(a outcome.Answer) outcome.Answer {
	for _, s := range []*string{&a.Detail, &a.Code, &a.RequestID} { // the text is our own
		*s = l.cfg.Secrets.Clean(*s)
	}
	return a
}

// hide makes the secrets of the credential in use known.
func (l *Login) hide() {
	c := l.current()
	l.secrets.use(append(l.cfg.Route.Secrets(), c.secret, c.assertion)...)
}

// current is the credential in use.
func (l *Login) current() credential {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.credential
}

// load reads the files again, so that a renewed secret or certificate is used from
// the next login on; if they cannot be read now, the one that worked is kept.
func (l *Login) load() error {
	c, err := loadCredential(l.cfg.Identity)
	l.mu.Lock()
	if l.unread = err; err == nil {
		l.credential = c
	}
	l.mu.Unlock()
	l.hide()
	return err
}

// watch loads changed files, until ctx ends.
func (l *Login) watch(ctx context.Context) {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.CheckFiles()
		}
	}
}

// CheckFiles loads the files if they have changed. Run calls it; it is not meant
// for several goroutines.
func (l *Login) CheckFiles() {
	if l.files.Changed() {
		l.reload()
	}
}

// reload loads what the files hold now, and logs in again if that is something
// else. A login reads the files, too, so the credential in use may be newer than
// the announced one. What cannot be read is left alone: a file may be in the
// middle of being written, and the end of that is another change.
func (l *Login) reload() {
	err := l.load()
	changed := false
	if err == nil {
		changed, err = l.cfg.Route.Load()
		l.hide()
	}
	if err != nil {
		l.cfg.Log.Warn("cannot load the changed credential file; keeping the previous credential", "error", err)
		return
	}
	now := l.current()
	if now.same(l.announced) && !changed {
		return
	}
	l.announced = now
	l.cfg.Log.Info("credential files have changed; logging in again")
	l.tokens.force(newCredential)
	l.cfg.OnChange()
}
