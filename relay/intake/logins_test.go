package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/policy"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// hashOf is a cheap hash: these tests do not test its cost.
func hashOf(password string) string {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(h)
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	e := reply.Of(err)
	return fmt.Sprintf("%d %s", e.Code, e.Enhanced)
}

func from(addr string) place {
	return placeOf(smtpd.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)})
}

var here = from("10.0.0.1")

func TestLoginChecks(t *testing.T) {
	hash := hashOf("secret")
	l := newLogins(time.Now)
	for _, c := range []struct {
		name string
		a    attempt
		want string
	}{
		{"right", attempt{here, "scanner", "secret", hash, true}, ""},
		{"right again, from memory", attempt{here, "scanner", "secret", hash, true}, ""},
		{"wrong", attempt{here, "scanner", "Secret", hash, true}, "535 5.7.8"},
		{"empty", attempt{here, "scanner", "", hash, true}, "535 5.7.8"},
		{"unknown user with a password that fits the hash", attempt{here, "nobody", "secret", hash, false},
			"535 5.7.8"},
		{"remembered for another user", attempt{here, "other", "secret", hashOf("x"), true}, "535 5.7.8"},
		{"a new hash", attempt{here, "scanner", "secret", hashOf("new"), true}, "535 5.7.8"},
		{"no hash at all", attempt{here, "scanner", "secret", "", true}, "535 5.7.8"},
	} {
		if err := l.check(t.Context(), c.a); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		} else if err != nil && strings.Contains(reply.Of(err).Text, "scanner") {
			t.Errorf("%s: the client reads %q", c.name, reply.Of(err).Text)
		}
	}
}

// blocked runs f while the turn is taken, so that bcrypt would have to wait: a
// login that succeeds in f did not need it.
func (l *logins) blocked(t *testing.T, f func()) {
	t.Helper()
	if err := l.turn.enter(t.Context(), place{}); err != nil {
		t.Fatal(err)
	}
	f()
	l.turn.leave()
}

func TestLoginIsRememberedForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(time.Now)
		a := attempt{here, "scanner", "secret", hashOf("secret"), true}
		if err := l.check(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		l.blocked(t, func() {
			for range 4 { // each use does not make it last longer
				if err := l.check(t.Context(), a); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute + time.Second)
			}
			time.Sleep(time.Minute)
			if err := l.check(t.Context(), a); codeOf(err) != "454 4.7.0" {
				t.Errorf("after five minutes: %v", err)
			}
		})
		if err := l.check(t.Context(), a); err != nil {
			t.Error(err)
		}
	})
}

// A wrong guess neither uses nor spoils what is remembered.
func TestAWrongGuessDoesNotForgetTheRightPassword(t *testing.T) {
	l := newLogins(time.Now)
	hash := hashOf("secret")
	right, wrong := attempt{here, "scanner", "secret", hash, true}, attempt{here, "scanner", "guess", hash, true}
	if err := l.check(t.Context(), right); err != nil {
		t.Fatal(err)
	}
	if err := l.check(t.Context(), wrong); codeOf(err) != "535 5.7.8" {
		t.Error(err)
	}
	l.blocked(t, func() {
		if err := l.check(t.Context(), right); err != nil {
			t.Error(err)
		}
	})
}

// The lock applies to the pair: the same user elsewhere, and others from there,
// are served. It covers remembered passwords too, and expires by itself.
func TestLockOfAPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(time.Now)
		hash := hashOf("secret")
		at := func(addr, user, password string) string {
			return codeOf(l.check(t.Context(), attempt{from(addr), user, password, hash, true}))
		}
		if got := at("10.0.0.1", "scanner", "secret"); got != "" {
			t.Fatal(got)
		}
		for range lockAfter {
			if got := at("10.0.0.1", "scanner", "guess"); got != "535 5.7.8" {
				t.Fatal(got)
			}
		}
		for _, row := range []struct{ addr, user, password, want string }{
			{"10.0.0.1", "scanner", "secret", "454 4.7.0"},
			{"10.0.0.1", "scanner", "guess", "454 4.7.0"},
			{"10.0.0.2", "scanner", "secret", ""},
			{"10.0.0.1", "printer", "secret", ""},
		} {
			if got := at(row.addr, row.user, row.password); got != row.want {
				t.Errorf("%+v: %s", row, got)
			}
		}
		time.Sleep(lockFor - time.Second)
		if got := at("10.0.0.1", "scanner", "secret"); got != "454 4.7.0" {
			t.Errorf("before its end: %q", got)
		}
		time.Sleep(time.Second)
		if got := at("10.0.0.1", "scanner", "secret"); got != "" {
			t.Errorf("after its end: %q", got)
		}
		// A correct password resets the count of failures.
		for range 3 * lockAfter {
			at("10.0.0.1", "scanner", "guess")
			if got := at("10.0.0.1", "scanner", "secret"); got != "" {
				t.Fatal(got)
			}
		}
	})
}

// A host of IPv6 that guesses is locked at its address, and its neighbours are not. If
// it changes its address, its /64 network is locked too, but not for who presents the
// right, remembered password, from whatever address.
func TestLocksFallOnTheAddressThatGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(time.Now)
		hash := hashOf("secret")
		at := func(addr, password string) string {
			return codeOf(l.check(t.Context(), attempt{from(addr), "scanner", password, hash, true}))
		}
		for i := range lockAfter {
			at("2001:db8::bad", fmt.Sprint("guess ", i))
		}
		want := func(what, addr, password, code string) {
			t.Helper()
			if got := at(addr, password); got != code {
				t.Errorf("%s: %q, want %q", what, got, code)
			}
		}
		want("the guesser with the right password", "2001:db8::bad", "secret", "454 4.7.0")
		want("a neighbour that was never seen", "2001:db8::1", "secret", "")
		for i := range netLockAfter {
			at(fmt.Sprintf("2001:db8::bad:%x", i), fmt.Sprint("guess ", i))
		}
		want("another guess from a new address", "2001:db8::bad:ffff", "guess", "454 4.7.0")
		want("from another network", "2001:db8:1::1", "guess", "535 5.7.8")
		want("the remembered password", "2001:db8::1", "secret", "")
		want("the remembered password at a new address", "2001:db8::2", "secret", "")
		for i := range netTries {
			at(fmt.Sprintf("2001:db8::bad:%x", i), fmt.Sprint("memory ", i))
		}
		want("where somebody logged in", "2001:db8::1", "secret", "")
		want("where nobody did, after too many guesses", "2001:db8::3", "secret", "454 4.7.0")
		time.Sleep(lockFor)
		want("after the lock", "2001:db8::3", "secret", "")
	})
}

// Devices of one network that keep an old password make one guess together, so the
// first of them that gets the new one can log in.
func TestAnOldPasswordOfManyDevicesLocksOnlyThem(t *testing.T) {
	l := newLogins(time.Now)
	hash := hashOf("new")
	for i := range 2 * netLockAfter {
		addr := from(fmt.Sprintf("2001:db8::1:%x", i))
		if got := codeOf(l.check(t.Context(), attempt{addr, "scanner", "old", hash, true})); got != "535 5.7.8" {
			t.Fatalf("device %d: %s", i, got)
		}
	}
	if err := l.check(t.Context(), attempt{from("2001:db8::1"), "scanner", "new", hash, true}); err != nil {
		t.Errorf("the right password: %v", err)
	}
}

// However many guesses of one place wait, another place waits for one of them.
func TestChecksOfOnePlaceDoNotDelayAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(time.Now)
		turns := make(chan string, 11)
		wait := func(from place, name string) {
			go func() {
				if err := l.turn.enter(t.Context(), from); err != nil {
					t.Error(err)
				}
				turns <- name
				time.Sleep(time.Second)
				l.turn.leave()
			}()
			synctest.Wait()
		}
		for range 10 {
			wait(here, "guess")
		}
		wait(from("10.0.0.2"), "device")
		var order []string
		for range 11 {
			order = append(order, <-turns)
		}
		if !slices.Contains(order[:3], "device") {
			t.Errorf("the turns were %v", order)
		}
		time.Sleep(time.Second) // until the last has left
	})
}

// On a unix socket nobody has an address: the lock applies to the system's user.
func TestLockOnAUnixSocket(t *testing.T) {
	l := newLogins(time.Now)
	hash := hashOf("secret")
	as := func(user, password string) error {
		return l.check(t.Context(), attempt{placeOf(smtpd.Peer{Unix: true, User: user}), "scanner", password, hash,
			true})
	}
	for range lockAfter {
		if got := codeOf(as("1000", "guess")); got != "535 5.7.8" {
			t.Fatal(got)
		}
	}
	err := as("1000", "secret")
	if codeOf(err) != "454 4.7.0" ||
		!strings.Contains(reply.Of(err).Cause.Error(), "locked for user ID 1000 on the unix socket until") {
		t.Errorf("who failed: %v", err)
	}
	if err := as("1001", "secret"); err != nil {
		t.Errorf("another user of the system: %v", err)
	}
	if err := as("", "secret"); err != nil {
		t.Errorf("whom the kernel does not name: %v", err)
	}
}

func TestFailuresTakeBoundedMemory(t *testing.T) {
	l := newLogins(time.Now)
	for i := range 3 * maxPairs {
		l.fail(pair{from(fmt.Sprintf("2001:db8::%x", i)), fmt.Sprint(i)}, [32]byte{byte(i), byte(i >> 8)})
	}
	if len(l.failed) > maxPairs {
		t.Errorf("%d pairs", len(l.failed))
	}
	long := strings.Repeat("x", 1500)
	_ = l.check(t.Context(), attempt{here, long, "x", "", false})
	for who := range l.failed {
		if len(who.user) > maxUsername {
			t.Errorf("a key of %d bytes", len(who.user))
		}
	}
}

// bcrypt runs one at a time, whoever asks; a client that waits too long, or is
// gone, leaves the queue.
func TestOneVerificationAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(time.Now)
		if err := l.turn.enter(t.Context(), here); err != nil { // somebody is being checked
			t.Fatal(err)
		}
		var waiting sync.WaitGroup
		var mu sync.Mutex
		count := map[string]int{}
		for i := range 10 {
			waiting.Go(func() {
				err := l.check(t.Context(), attempt{here, fmt.Sprint(i), "x", "", false})
				mu.Lock()
				defer mu.Unlock()
				count[codeOf(err)]++
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.check(ctx, attempt{here, "gone", "x", "", false}); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that is gone: %v", err)
		}
		waiting.Wait()
		if count["454 4.7.0"] != 10 {
			t.Errorf("%v", count)
		}
		l.turn.leave()
		if len(l.failed) != 0 {
			t.Error("who was never checked has not failed")
		}
	})
}

// An unknown user takes as long as a known one with a wrong password.
func TestUnknownUsersCostTheSame(t *testing.T) {
	strong, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	p := policy.New(policy.Rules{Clients: []policy.ClientRule{{Name: "scanner", Username: "scanner",
		PasswordHash: string(strong)}}})
	c, err := p.Connect(policy.Peer{Addr: netip.MustParseAddrPort("10.0.0.1:1"), Auth: policy.AuthOptional})
	if err != nil {
		t.Fatal(err)
	}
	for user, known := range map[string]bool{"scanner": true, "nobody": false} {
		_, hash, ok := p.Login(c, user)
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || cost != bcrypt.DefaultCost || ok != known {
			t.Errorf("%s: cost %d, %v, known %v", user, cost, err, ok)
		}
		// Only a well-formed hash makes bcrypt do its work.
		err = bcrypt.CompareHashAndPassword([]byte(hash), []byte("x"))
		if !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// Guesses that had all begun before the first of them failed count too.
func TestALockStopsThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(time.Now)
		hash := hashOf("secret")
		results := make(chan string, 30)
		l.blocked(t, func() {
			for i := range 30 {
				go func() {
					err := l.check(t.Context(), attempt{here, "scanner", fmt.Sprint("guess ", i), hash, true})
					results <- codeOf(err)
				}()
			}
			synctest.Wait()
		})
		got := map[string]int{}
		for range 30 {
			got[<-results]++
		}
		if got["535 5.7.8"] != lockAfter || got["454 4.7.0"] != 30-lockAfter {
			t.Errorf("of 30 guesses at once: %v", got)
		}
	})
}
