package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/outcome"
)

// slowLogin is a login that takes a while and gives tokens of an hour.
type slowLogin struct {
	calls  atomic.Int64
	takes  time.Duration
	life   time.Duration
	fail   atomic.Bool
	mu     sync.Mutex
	claims []string
	at     []time.Time
}

func (e *slowLogin) login(ctx context.Context, claims string) (token, error) {
	n := e.calls.Add(1)
	e.mu.Lock()
	e.claims, e.at = append(e.claims, claims), append(e.at, time.Now())
	e.mu.Unlock()
	select {
	case <-time.After(e.takes):
	case <-ctx.Done():
		return token{}, ctx.Err()
	}
	if e.fail.Load() {
		return token{}, &LoginError{outcome.Answer{Outcome: outcome.Hold, Text: "refused"}}
	}
	return newToken(fmt.Sprintf("t%d", n), time.Now(), time.Now().Add(e.life), time.Time{}), nil
}

func newTokens(e *slowLogin) *tokens {
	if e.life == 0 {
		e.life = time.Hour
	}
	return &tokens{login: e.login, now: time.Now, log: slog.New(slog.DiscardHandler)}
}

func TestTokensSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowLogin{takes: time.Second}
		ts := newTokens(e)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if tok, err := ts.get(t.Context()); err != nil || tok.value != "t1" {
					t.Errorf("%q, %v", tok.value, err)
				}
			})
		}
		wg.Wait()
		if e.calls.Load() != 1 {
			t.Errorf("%d logins", e.calls.Load())
		}
	})
}

// A login that hangs neither delays who has a token nor keeps anyone longer
// than their context allows.
func TestHangingLoginDelaysNobodyWithAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowLogin{}
		ts := newTokens(e)
		if _, err := ts.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.takes = time.Hour
		time.Sleep(50 * time.Minute) // due for renewal, still valid
		start := time.Now()
		for range 10 {
			if tok, err := ts.get(t.Context()); err != nil || tok.value != "t1" {
				t.Fatalf("%q, %v", tok.value, err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("senders waited %v", time.Since(start))
		}
		synctest.Wait()
		if e.calls.Load() != 2 {
			t.Errorf("%d logins", e.calls.Load())
		}
		time.Sleep(10 * time.Minute) // the token has expired
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start = time.Now()
		if _, err := ts.get(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		start = time.Now()
		if _, err := ts.get(t.Context()); err == nil || time.Since(start) > loginTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestRunRenewsAheadOfNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowLogin{takes: time.Second}
		ts := newTokens(e)
		ctx, cancel := context.WithCancel(t.Context())
		go ts.run(ctx)
		time.Sleep(10 * time.Second)
		for range 5 * 60 { // five hours
			start := time.Now()
			if _, err := ts.get(ctx); err != nil || time.Since(start) != 0 {
				t.Fatalf("%v after %v", err, time.Since(start))
			}
			time.Sleep(time.Minute)
		}
		if n := e.calls.Load(); n < 6 || n > 8 {
			t.Errorf("%d logins in five hours", n)
		}
		cancel()
	})
}

func TestFailingRefreshBacksOffAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowLogin{}
		ts := newTokens(e)
		ctx, cancel := context.WithCancel(t.Context())
		go ts.run(ctx)
		time.Sleep(time.Minute)
		e.fail.Store(true)
		time.Sleep(58 * time.Minute) // renewal was due at 45
		if tok, err := ts.get(ctx); err == nil {
			t.Errorf("got %q from a login that fails, with an expired token", tok.value)
		}
		e.mu.Lock()
		for i := 2; i < len(e.at)-1; i++ { // the last one is get's own
			if gap := e.at[i].Sub(e.at[i-1]); gap < refreshPause || gap > longestPause+time.Minute {
				t.Errorf("login %d after %v", i+1, gap)
			}
		}
		e.mu.Unlock()
		if n := e.calls.Load(); n < 4 || n > 10 {
			t.Errorf("%d logins", n)
		}
		e.fail.Store(false)
		time.Sleep(longestPause + time.Minute)
		if _, err := ts.get(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	})
}

func TestFailedLoginAnswersForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowLogin{}
		e.fail.Store(true)
		ts := newTokens(e)
		for range 50 {
			var refused *LoginError
			if _, err := ts.get(t.Context()); !errors.As(err, &refused) || refused.Answer.Outcome != outcome.Hold {
				t.Fatal(err)
			}
		}
		if e.calls.Load() != 1 {
			t.Errorf("%d logins at once", e.calls.Load())
		}
		e.fail.Store(false)
		time.Sleep(failurePause)
		if _, err := ts.get(t.Context()); err != nil || e.calls.Load() != 2 {
			t.Errorf("%v after %d logins", err, e.calls.Load())
		}
	})
}

func TestRenewPassesTheClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowLogin{takes: time.Second}
		ts := newTokens(e)
		if _, err := ts.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = ts.renew(t.Context(), "t1", "") }) // a plain 401 comes first
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if err := ts.renew(t.Context(), "t1", `{"a":1}`); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := fmt.Sprint(e.claims); got != `[  {"a":1}]` {
			t.Errorf("claims of the logins: %s", got)
		}
		if tok, _ := ts.get(t.Context()); tok.value != "t3" {
			t.Errorf("current token %q", tok.value)
		}
		if err := ts.renew(t.Context(), "t1", ""); err != nil || e.calls.Load() != 3 {
			t.Errorf("a token that someone else replaced was replaced again: %v, %d", err, e.calls.Load())
		}
	})
}

func TestShortLivedTokensAreUsable(t *testing.T) {
	for _, life := range []time.Duration{8 * time.Second, time.Minute, 5 * time.Minute, 24 * time.Hour} {
		tok := newToken("x", noon, noon.Add(life), time.Time{})
		if !tok.usable(noon) || !tok.usable(noon.Add(life/2)) || tok.usable(noon.Add(life)) ||
			!tok.usable(tok.refresh.Add(-time.Millisecond)) {
			t.Errorf("%v: %+v", life, tok)
		}
	}
	if tok := newToken("x", noon, noon.Add(-time.Hour), time.Time{}); tok.usable(noon) {
		t.Error("an expired token is usable")
	}
	if tok := newToken("x", noon, noon.Add(24*time.Hour),
		noon.Add(12*time.Hour)); !tok.refresh.Equal(noon.Add(12 * time.Hour)) {
		t.Errorf("refresh_in ignored: %v", tok.refresh)
	}
	if (token{}).usable(noon) {
		t.Error("no token is usable")
	}
}

// A login that began with the old credential says nothing about the new one.
func TestRestartDuringALogin(t *testing.T) {
	began, end := make(chan int, 10), make(chan struct{})
	n := 0
	tokens := &tokens{now: time.Now, log: slog.New(slog.DiscardHandler)}
	tokens.login = func(context.Context, string) (token, error) {
		n++
		began <- n
		if n == 1 {
			<-end
			return token{}, &LoginError{outcome.Answer{Outcome: outcome.Hold, Text: "old secret"}}
		}
		return newToken("new", time.Now(), time.Now().Add(time.Hour), time.Time{}), nil
	}
	go func() { _, _ = tokens.get(t.Context()) }()
	<-began
	tokens.force(newCredential)
	close(end)
	<-began
	if tok, err := tokens.get(within10s(t)); err != nil || tok.value != "new" {
		t.Errorf("%+v, %v", tok, err)
	}
}
