package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/text"
)

const (
	loginTimeout  = 30 * time.Second // for one login, discovery included
	failurePause  = 5 * time.Second  // a failed login answers for so long, or as long as Entra asked for
	forcedPause   = 5 * time.Second  // at least, between two forced logins
	refreshPause  = 30 * time.Second // doubled after each failed refresh
	longestPause  = 5 * time.Minute
	longestMargin = time.Minute // a token is not used in the last part of its life
)

// token is an access token with the times that govern it.
type token struct {
	value   string
	expires time.Time // not used from margin before
	refresh time.Time // to be replaced from here on
	margin  time.Duration
	claims  string // the challenge it answers; mostly empty
	by      string // the thumbprint of the certificate that it was got with; "" without
}

// newToken sets the times: a token is renewed when the service asks for it or after
// three quarters of its life, and not used shortly before it expires.
func newToken(value string, now, expires, refreshOn time.Time) token {
	life := max(expires.Sub(now), 0)
	t := token{value: value, expires: expires, refresh: now.Add(life * 3 / 4), margin: min(longestMargin, life/4)}
	if refreshOn.After(now) && refreshOn.Before(t.refresh) {
		t.refresh = refreshOn
	}
	return t
}

func (t token) usable(now time.Time) bool {
	return t.value != "" && now.Before(t.expires.Add(-t.margin))
}

// tokens is the one place where tokens are fetched: one login at a time, in
// its own goroutine under its own time limit, while everyone who has to wait
// does so no longer than their own context.
type tokens struct {
	login func(ctx context.Context, claims string) (token, error)
	now   func() time.Time
	log   *slog.Logger

	// gained is called, beside everything else, for each token. It replaces old,
	// if that is one; again means that logins before had failed. nil is nothing.
	gained func(old, tok token, again bool)
	wake   chan struct{} // for run: a forced login is wanted

	mu     sync.Mutex
	flight *flight // the login under way, if any
	memory
}

// memory is what logins have left behind.
type memory struct {
	current  token
	failure  error // of the last login
	failedAt time.Time
	failures int // in a row

	forced     forced // a login is wanted whatever the last one said
	lastForced time.Time
}

// forced says why a login must be made.
type forced int

const (
	notForced     forced = iota
	freshToken           // a login that began before will do, if it succeeds
	newCredential        // a login that began before says nothing
)

type flight struct {
	claims string
	done   chan struct{}
	err    error // set before done is closed
}

// get returns a token that is valid now. It blocks only if there is none.
func (t *tokens) get(ctx context.Context) (token, error) {
	t.mu.Lock()
	if now := t.now(); t.current.usable(now) {
		defer t.mu.Unlock()
		t.refreshLocked(now)
		return t.current, nil
	}
	f, err := t.joinLocked("")
	t.mu.Unlock()
	if err != nil {
		return token{}, err
	}
	if err := f.wait(ctx); err != nil {
		return token{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current, nil
}

// renew replaces the token used, which Graph has refused, by the answer to
// claims (JSON, or empty). It does nothing if someone else already did.
func (t *tokens) renew(ctx context.Context, used, claims string) error {
	for {
		t.mu.Lock()
		if c := t.current; c.value != used && (claims == "" || c.claims == claims) && c.usable(t.now()) {
			t.mu.Unlock()
			return nil
		}
		f, err := t.joinLocked(claims)
		t.mu.Unlock()
		if err != nil {
			return err
		}
		if err := f.wait(ctx); err != nil || f.claims == claims {
			return err
		}
	}
}

// force logs in again as soon as that may be, whatever the last login said. A
// token that is valid is used meanwhile.
func (t *tokens) force(why forced) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forced = max(t.forced, why)
	t.forceLocked(t.now())
	select {
	case t.wake <- struct{}{}: // it may have to wait
	default:
	}
}

// forceLocked starts the forced login that is wanted, if any, once it may begin.
// It returns when that is; zero if there is nothing to wait for.
func (t *tokens) forceLocked(now time.Time) time.Time {
	if t.forced == notForced || t.flight != nil {
		return time.Time{}
	}
	if at := t.mayForce(now); at.After(now) {
		return at
	}
	t.beginLocked("", now)
	return time.Time{}
}

// mayForce is when a login may be forced: not soon after another one, and not
// before the time that Entra asked for.
func (t *tokens) mayForce(now time.Time) time.Time {
	at := now
	if within(now.Sub(t.lastForced), forcedPause) {
		at = t.lastForced.Add(forcedPause)
	}
	if rest := t.leftAlone(now); rest > 0 {
		at = pacing.Later(at, now.Add(rest))
	}
	return at
}

// leftAlone is how much longer Entra wants no login: after its Retry-After.
func (t *tokens) leftAlone(now time.Time) time.Duration {
	var e *LoginError
	since := now.Sub(t.failedAt)
	if errors.As(t.failure, &e) && within(since, e.Answer.RetryAfter) {
		return e.Answer.RetryAfter - since
	}
	return 0
}

// remembered is the failure of the last login while it answers for the next
// ones, so that senders do not hammer Entra; nil if a login may begin.
func (t *tokens) remembered(now time.Time) error {
	rest := t.leftAlone(now)
	recent := rest > 0 || within(now.Sub(t.failedAt), failurePause)
	if t.failure == nil || !recent || t.forced != notForced && !t.mayForce(now).After(now) {
		return nil
	}
	var e *LoginError
	if rest > 0 && errors.As(t.failure, &e) {
		a := e.Answer
		a.RetryAfter = rest
		return &LoginError{a}
	}
	return t.failure
}

// joinLocked returns the login under way, or starts one, unless the failure of
// the last one still answers.
func (t *tokens) joinLocked(claims string) (*flight, error) {
	if t.flight != nil {
		return t.flight, nil
	}
	now := t.now()
	if err := t.remembered(now); err != nil {
		return nil, err
	}
	return t.beginLocked(claims, now), nil
}

func (t *tokens) beginLocked(claims string, now time.Time) *flight {
	if t.forced != notForced {
		t.forced, t.lastForced = notForced, now
	}
	t.flight = &flight{claims: claims, done: make(chan struct{})}
	go t.fly(t.flight)
	return t.flight
}

// fly completes one login even if its callers have given up.
func (t *tokens) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	tok, err := t.login(ctx, f.claims)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flight, f.err = nil, err
	if err != nil {
		t.failure, t.failedAt = err, t.now()
		t.failures++
		t.log.Warn("login failed", "attempt", t.failures, "error", err)
	} else {
		tok.claims = f.claims
		t.keepLocked(tok)
	}
	close(f.done)
	t.forceLocked(t.now())
}

// keepLocked puts a new token in use.
func (t *tokens) keepLocked(tok token) {
	old, again := t.current, t.failures > 0
	if again {
		t.log.Info("login succeeded again", "failed_attempts", t.failures)
	}
	t.current, t.failure, t.failures = tok, nil, 0
	if t.forced == freshToken {
		t.forced = notForced
	}
	if t.gained != nil {
		go t.gained(old, tok, again)
	}
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for a token: %w", context.Cause(ctx))
	}
}

// refreshLocked starts a login in the background where one is due or forced, and
// returns when to look again.
func (t *tokens) refreshLocked(now time.Time) time.Time {
	due := t.current.refresh
	if t.failures > 0 {
		due = t.failedAt.Add(min(refreshPause<<min(t.failures-1, 10), longestPause))
	}
	if rest := t.leftAlone(now); rest > 0 {
		due = pacing.Later(due, now.Add(rest))
	}
	if t.flight == nil && !now.Before(due) {
		_, _ = t.joinLocked("")
	}
	return pacing.Earlier(due, t.forceLocked(now))
}

// run keeps a token ready until ctx ends. It looks at the clock at least once
// a minute, for wall clocks jump and machines sleep.
func (t *tokens) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-t.wake:
		}
		t.mu.Lock()
		now := t.now()
		wait := t.refreshLocked(now).Sub(now)
		t.mu.Unlock()
		timer.Reset(min(max(wait, time.Second), time.Minute))
	}
}

// within reports whether d is in [0, limit): a clock that was set back ends a pause.
func within(d, limit time.Duration) bool { return d >= 0 && d < limit }

// TokenInfo is what the current token says about itself, for diagnosis. Only
// Expires is certain: to us a token is opaque, and what cannot be read is empty.
// It was not verified; Graph does that.
type TokenInfo struct {
	Tenant   string   // tid
	App      string   // appid: the client ID
	AppName  string   // app_displayname
	Audience string   // aud
	Roles    []string // application permissions consented in Entra; none under RBAC for Applications alone
	Expires  time.Time
}

// readToken reads the claims of a JWT without verifying it.
func readToken(t token) TokenInfo {
	info := TokenInfo{Expires: t.expires}
	parts := strings.Split(t.value, ".")
	if len(parts) != 3 {
		return info
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return info
	}
	var claims struct {
		Tid     string   `json:"tid"`
		AppID   string   `json:"appid"`
		AppName string   `json:"app_displayname"`
		Aud     string   `json:"aud"`
		Roles   []string `json:"roles"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return info
	}
	word := func(s string) string { return text.Foreign(s, outcome.MaxWord) }
	info.Tenant, info.App = word(claims.Tid), word(claims.AppID)
	info.AppName, info.Audience = word(claims.AppName), word(claims.Aud)
	for _, r := range claims.Roles {
		info.Roles = append(info.Roles, word(r))
	}
	return info
}
