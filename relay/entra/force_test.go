package entra

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/outcome"
)

// logins is a login that fails as long as it is told to, and when each began.
type logins struct {
	fail       bool
	retryAfter time.Duration
	roles      string // in the token, as JSON
	takes      time.Duration
	at         []time.Duration
	start      time.Time
	frozen     atomic.Bool // for the tokens of bubble no time passes
}

func (e *logins) now() time.Time {
	if e.frozen.Load() {
		return e.start
	}
	return time.Now()
}

func (e *logins) login(ctx context.Context, _ string) (token, error) {
	e.at = append(e.at, time.Since(e.start).Truncate(time.Second))
	fail := e.fail // as it was when the login began
	time.Sleep(e.takes)
	if fail {
		a := outcome.Answer{Outcome: outcome.Hold, Text: "refused"}
		if e.retryAfter > 0 {
			a = outcome.Answer{Outcome: outcome.Retry, Text: "throttled", RetryAfter: e.retryAfter}
		}
		return token{}, &LoginError{a}
	}
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"roles":[%s],"n":%d}`, e.roles, len(e.at)))
	return newToken("x."+claims+".x", time.Now(), time.Now().Add(time.Hour), time.Time{}), nil
}

// bubble runs f with tokens that are kept ready.
func bubble(t *testing.T, e *logins, f func(*testing.T, *tokens)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e.start = time.Now()
		ts := &tokens{login: e.login, now: e.now, log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1)}
		ctx, stop := context.WithCancel(t.Context())
		go ts.run(ctx)
		synctest.Wait()
		f(t, ts)
		stop()
		synctest.Wait()
	})
}

func wantLogins(t *testing.T, e *logins, want string) {
	t.Helper()
	synctest.Wait()
	if got := fmt.Sprint(e.at); got != want {
		t.Errorf("logins at %s, want %s", got, want)
	}
}

// A cause that is mended within the pause after a failure is found out at once.
func TestAForcedLoginDoesNotAskTheLastFailure(t *testing.T) {
	e := &logins{fail: true}
	bubble(t, e, func(t *testing.T, ts *tokens) {
		time.Sleep(time.Second)
		e.fail = false
		ts.force(freshToken)
		if _, err := ts.get(t.Context()); err != nil {
			t.Error(err)
		}
		wantLogins(t, e, "[0s 1s]")
	})
}

// Who asks for a token when a forced login is due gets one, not the last failure.
func TestAForcedLoginThatIsDueAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &logins{start: time.Now()}
		ts := &tokens{login: e.login, now: time.Now, log: slog.New(slog.DiscardHandler)} // and no run
		ts.memory = memory{failure: errors.New("the last one"), failedAt: time.Now(), forced: freshToken}
		if _, err := ts.get(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// However often a login is forced, one begins each five seconds, and the last
// wish is not forgotten.
func TestForcedLoginsKeepTheirDistance(t *testing.T) {
	e := &logins{}
	bubble(t, e, func(t *testing.T, ts *tokens) {
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			ts.force(freshToken)
			ts.force(newCredential)
		}
		time.Sleep(30 * time.Second)
		wantLogins(t, e, "[0s 0s 5s 11s]") // run looks once a second at most
	})
}

// Nothing forces a login before the time that Entra asked for has passed; whoever
// asks meanwhile is told how long that is.
func TestForcedLoginsRespectRetryAfter(t *testing.T) {
	e := &logins{fail: true, retryAfter: 90 * time.Second}
	bubble(t, e, func(t *testing.T, ts *tokens) {
		e.fail = false
		for range 8 {
			time.Sleep(10 * time.Second)
			ts.force(newCredential)
			var refused *LoginError
			if _, err := ts.get(t.Context()); !errors.As(err, &refused) {
				t.Fatalf("%v", err)
			}
			if rest := 90*time.Second - time.Since(e.start); refused.Answer.RetryAfter != rest {
				t.Errorf("asked to wait for %v, want %v", refused.Answer.RetryAfter, rest)
			}
		}
		time.Sleep(time.Minute)
		wantLogins(t, e, "[0s 1m30s]")
	})
}

// A login that began before the credential changed says nothing about the new
// one, even if it succeeded; one that succeeded is enough for who only asked.
func TestForcedDuringALogin(t *testing.T) {
	for why, want := range map[forced]string{freshToken: "[0s]", newCredential: "[0s 3s]"} {
		e := &logins{takes: 3 * time.Second}
		bubble(t, e, func(t *testing.T, ts *tokens) {
			time.Sleep(time.Second)
			ts.force(why)
			time.Sleep(20 * time.Second)
			wantLogins(t, e, want)
		})
	}
}

// A new token says whether logins had failed before it, and whether it has roles
// that the last one lacked.
func TestATokenSaysWhatItMayEnd(t *testing.T) {
	e := &logins{roles: `"Mail.Send"`}
	bubble(t, e, func(t *testing.T, ts *tokens) {
		var got []string
		l := &Login{cfg: Config{OnToken: func(again, roles bool) { got = append(got, fmt.Sprint(again, roles)) }}}
		ts.gained = l.gained
		for _, step := range []struct {
			fail  bool
			roles string
		}{{false, `"Mail.Send"`}, {true, ""}, {false, `"Mail.Send"`}, {false, `"Mail.Read","Mail.Send"`}, {false, ""}} {
			time.Sleep(6 * time.Second)
			e.fail, e.roles = step.fail, step.roles
			ts.force(freshToken)
			synctest.Wait()
		}
		if want := "[true false false true]"; fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
	})
}

// A reload keeps the token, and logs in where the last login failed; neither it
// nor another credential of the same app ends what holds logins back.
func TestContinue(t *testing.T) {
	for name, c := range map[string]struct {
		fail       bool
		retryAfter time.Duration
		secret     string // of the new configuration
		want       string
	}{
		"the same credential, which works":  {want: "[0s]"},
		"the same credential, which failed": {fail: true, want: "[0s 1s]"},
		"another credential":                {secret: "other", want: "[0s 1s]"},
		"Retry-After":                       {fail: true, retryAfter: 60 * time.Second, want: "[0s 1m0s]"},
		"Retry-After, another credential": {
			fail: true, retryAfter: 60 * time.Second, secret: "other", want: "[0s 1m0s]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := &logins{fail: c.fail, retryAfter: c.retryAfter}
			bubble(t, e, func(t *testing.T, ts *tokens) {
				id := Identity{TenantID: "t", ClientID: "c"}
				old := &Login{cfg: Config{Identity: id}, tokens: ts}
				next := &Login{cfg: Config{Identity: id}, secrets: &secrets{now: time.Now}, tokens: &tokens{
					login: e.login, now: time.Now, log: ts.log, wake: make(chan struct{}, 1),
				}}
				next.credential.secret = c.secret
				time.Sleep(time.Second)
				synctest.Wait()
				e.fail = false
				next.Continue(old)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				e.frozen.Store(true) // the old one does nothing more
				go next.tokens.run(ctx)
				time.Sleep(3 * time.Minute)
				wantLogins(t, e, c.want)
				if _, err := next.tokens.get(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
