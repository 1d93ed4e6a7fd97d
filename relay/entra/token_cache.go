package entra

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	loginTimeout  = 30 * time.Second // for one login, discovery included
	failurePause  = 5 * time.Second  // a failed login answers for so long
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

	mu       sync.Mutex
	current  token
	flight   *flight // the login under way, if any
	stale    bool    // the credential changed during it: its failure says nothing
	failure  error   // of the last login
	failedAt time.Time
	failures int // in a row
}

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

// restart logs in again, with a credential that has changed: the result of the
// last login says nothing about it. A token that is valid is used meanwhile.
func (t *tokens) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failure = nil
	t.stale = t.flight != nil // it may have begun with the old credential
	_, _ = t.joinLocked("")
}

// joinLocked returns the login under way, or starts one; a login that has just
// failed answers for a moment, so that senders do not hammer Entra.
func (t *tokens) joinLocked(claims string) (*flight, error) {
	if t.flight != nil {
		return t.flight, nil
	}
	if t.failure != nil && within(t.now().Sub(t.failedAt), failurePause) {
		return nil, t.failure
	}
	f := &flight{claims: claims, done: make(chan struct{})}
	t.flight = f
	go t.fly(f)
	return f, nil
}

// fly completes one login even if its callers have given up.
func (t *tokens) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	tok, err := t.login(ctx, f.claims)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.flight = nil
	f.err = err
	again := t.stale
	t.stale = false
	if err != nil {
		t.failure, t.failedAt = err, t.now()
		t.failures++
		t.log.Warn("login failed", "attempt", t.failures, "error", err)
	} else {
		if t.failures > 0 {
			t.log.Info("login succeeded again", "failed_attempts", t.failures)
		}
		tok.claims = f.claims
		t.current, t.failure, t.failures = tok, nil, 0
	}
	close(f.done)
	if again {
		t.failure = nil
		_, _ = t.joinLocked("")
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

// refreshLocked starts a login in the background where one is due, and
// returns when to look again.
func (t *tokens) refreshLocked(now time.Time) time.Time {
	due := t.current.refresh
	if t.failures > 0 {
		due = t.failedAt.Add(min(refreshPause<<min(t.failures-1, 10), longestPause))
	}
	if t.flight == nil && !now.Before(due) {
		_, _ = t.joinLocked("")
	}
	return due
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
