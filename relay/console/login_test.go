package console

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// try logs in with a password from an address; change makes it another request.
func (b *bench) try(password, from string, change ...func(*http.Request)) int {
	at := func(r *http.Request) { r.RemoteAddr = from }
	return b.do(http.MethodPost, "/login", url.Values{"password": {password}}, append(change, at)...).Code
}

func with(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }

func forwardedFor(v string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add("X-Forwarded-For", v) }
}

// guess fails until the address is locked.
func (b *bench) guess(from string, change ...func(*http.Request)) {
	b.t.Helper()
	for range freeFailures + 1 {
		if code := b.try("wrong", from, change...); code != http.StatusUnauthorized {
			b.t.Fatalf("a wrong password = %d", code)
		}
	}
	if code := b.try(password, from, change...); code != http.StatusTooManyRequests {
		b.t.Fatalf("at once after too many failures the right one = %d", code)
	}
}

func TestWrongPasswordsAreSlowed(t *testing.T) {
	b := newBench(t)
	b.guess("192.0.2.1:1")
	if code := b.try(password, "192.0.2.2:1"); code != http.StatusSeeOther {
		t.Errorf("from another address = %d", code)
	}
	b.now = b.now.Add(firstLock)
	if code := b.try("wrong", "192.0.2.1:3"); code != http.StatusUnauthorized {
		t.Errorf("after the pause = %d", code)
	}
	b.now = b.now.Add(firstLock)
	if code := b.try(password, "192.0.2.1:3"); code != http.StatusTooManyRequests {
		t.Errorf("the second pause is not longer: %d", code)
	}
	b.now = b.now.Add(firstLock)
	if code := b.try(password, "192.0.2.1:3"); code != http.StatusSeeOther {
		t.Errorf("after the longer pause = %d", code)
	}
	for i := range 40 { // an IPv6 network is one attacker
		b.try("wrong", netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), 1).String())
	}
	if code := b.try(password, "[2001::ff]:1"); code != http.StatusTooManyRequests {
		t.Errorf("from the same /64 = %d", code)
	}
	if code := b.try(strings.Repeat("x", 100)+password, "192.0.2.9:1"); code != http.StatusUnauthorized {
		t.Errorf("a password that bcrypt would cut = %d", code)
	}
}

// Behind a proxy everybody has its address. Who guesses there locks out neither
// a browser that has logged in before nor, where the proxy is on this host and
// tells for whom it asks, anybody else.
func TestAGuesserBehindTheProxyLocksOutNobodyElse(t *testing.T) {
	const proxy = "192.0.2.1:1"
	b := newBench(t).logIn()
	operator := b.browser
	b.cookie = nil
	b.guess(proxy)
	if code := b.try(password, proxy, with(operator)); code != http.StatusSeeOther {
		t.Errorf("a browser that has logged in before = %d", code)
	}
	if code := b.try(password, proxy); code != http.StatusTooManyRequests {
		t.Errorf("its success opened the lock of the others: %d", code)
	}
	for name, value := range map[string]string{"none": "", "forged": strings.ToUpper(operator.Value),
		"no MAC": strings.Split(operator.Value, ".")[0]} {
		if code := b.try(password, proxy, with(&http.Cookie{Name: browserCookie,
			Value: value})); code != http.StatusTooManyRequests {
			t.Errorf("a cookie that is %s = %d", name, code)
		}
	}
	b.guess(proxy, with(operator)) // who stole the cookie has the same lock
	b.now = b.now.Add(longestLock)
	hash, err := bcrypt.GenerateFromPassword([]byte("another"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	b.hash = string(hash)
	for range freeFailures + 2 {
		b.try("wrong", proxy)
	}
	if code := b.try("another", proxy, with(operator)); code != http.StatusTooManyRequests {
		t.Errorf("a browser that knew the password before = %d", code)
	}
}

func TestForWhomAProxyAsks(t *testing.T) {
	b := newBench(t)
	b.guess("127.0.0.1:1", forwardedFor("198.51.100.9, 192.0.2.1"))
	for name, c := range map[string]struct {
		from, forwarded string
		want            int
	}{
		"another one":                     {"127.0.0.1:1", "192.0.2.2", http.StatusSeeOther},
		"another one by [::1]":            {"[::1]:1", "198.51.100.9, 192.0.2.3", http.StatusSeeOther},
		"what a client wrote before":      {"127.0.0.1:1", "192.0.2.7, 192.0.2.1", http.StatusTooManyRequests},
		"the same one in an IPv6 address": {"127.0.0.1:1", "::ffff:192.0.2.1", http.StatusTooManyRequests},
	} {
		if code := b.try(password, c.from, forwardedFor(c.forwarded)); code != c.want {
			t.Errorf("%s = %d, want %d", name, code, c.want)
		}
	}
	b.guess("192.0.2.4:1", forwardedFor("192.0.2.5"))
	if code := b.try(password, "192.0.2.4:1", forwardedFor("192.0.2.6")); code != http.StatusTooManyRequests {
		t.Errorf("another host names somebody else = %d", code)
	}
	if code := b.try(password, "192.0.2.5:1"); code != http.StatusSeeOther {
		t.Errorf("the one that it named before = %d", code)
	}
}

// A user of this host who forges the header of the proxy fails for himself alone:
// neither those whom the proxy names nor all strangers together wait for him.
func TestAForgedHeaderLocksOutNobody(t *testing.T) {
	b := newBench(t)
	as := func(user string) func(*http.Request) {
		b.console.userOf = func(*http.Request) string { return user }
		return func(*http.Request) {}
	}
	const proxy, victim = "127.0.0.1:1", "192.0.2.1"
	b.guess(proxy, as("1000"), forwardedFor(victim))
	if code := b.try(password, proxy, as("33"), forwardedFor(victim)); code != http.StatusSeeOther {
		t.Errorf("the one whom a user of this host named = %d", code)
	}
	for i := range 2 * failuresOfStrangers.Count {
		b.try("wrong", proxy, as("1000"), forwardedFor(fmt.Sprintf("198.51.100.%d", i)))
	}
	if code := b.try(password, proxy, as("1000"), forwardedFor("203.0.113.1")); code != http.StatusTooManyRequests {
		t.Errorf("the guesser with yet another name = %d", code)
	}
	for user, from := range map[string]string{"33": proxy, "": "203.0.113.2:1"} {
		if code := b.try(password, from, as(user)); code != http.StatusSeeOther {
			t.Errorf("a stranger through user %q = %d", user, code)
		}
	}
}

// However many addresses guess, few guesses are checked, and none of them keeps
// a browser out that has logged in before.
func TestGuessesFromEverywhereAreFew(t *testing.T) {
	b := newBench(t).logIn()
	checked := 0
	for i := range 200 {
		if b.try("wrong", fmt.Sprintf("198.51.100.%d:1", i)) == http.StatusUnauthorized {
			checked++
		}
	}
	if checked != failuresOfStrangers.Count {
		t.Errorf("%d were checked", checked)
	}
	b.cookie = nil
	if code := b.try(password, "203.0.113.1:1"); code != http.StatusTooManyRequests {
		t.Errorf("a stranger = %d", code)
	}
	if code := b.try(password, "203.0.113.1:1", with(b.browser)); code != http.StatusSeeOther {
		t.Errorf("a browser that has logged in before = %d", code)
	}
	b.now = b.now.Add(2 * time.Second)
	if code := b.try(password, "203.0.113.1:1"); code != http.StatusSeeOther {
		t.Errorf("a stranger, a little later = %d", code)
	}
}

// bcrypt ignores what follows the 72nd byte: a longer password is not the right one.
func TestAPasswordBeyondBcryptsLength(t *testing.T) {
	b := newBench(t)
	longest := strings.Repeat("x", maxPassword)
	hash, err := bcrypt.GenerateFromPassword([]byte(longest), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	b.hash = string(hash)
	if code := b.try(longest+"y", "192.0.2.1:1"); code != http.StatusUnauthorized {
		t.Errorf("a byte more = %d", code)
	}
	if code := b.try(longest, "192.0.2.1:1"); code != http.StatusSeeOther {
		t.Errorf("the password itself = %d", code)
	}
}

func TestTheCookie(t *testing.T) {
	b := newBench(t).logIn()
	if c := b.cookie; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure ||
		len(c.Value) < 26 || c.Domain != "" {
		t.Errorf("cookie = %+v", c)
	}
	w := b.do(http.MethodPost, "/login", url.Values{"password": {password}},
		func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") })
	if c := w.Result().Cookies()[0]; !c.Secure || c.Value == b.cookie.Value {
		t.Errorf("behind TLS: cookie = %+v", c)
	}
}

func TestSessionsEnd(t *testing.T) {
	b := newBench(t).logIn()
	b.now = b.now.Add(sessionIdle - time.Second)
	if w := b.get("/setup"); w.Code != http.StatusOK {
		t.Fatalf("after almost an hour: %d", w.Code)
	}
	for range 11 { // in use all the time
		b.now = b.now.Add(59 * time.Minute)
		b.get("/setup")
	}
	if w := b.get("/setup"); w.Code != http.StatusOK {
		t.Errorf("a session in use ended: %d", w.Code)
	}
	b.now = b.now.Add(59 * time.Minute)
	if w := b.get("/setup"); w.Code != http.StatusSeeOther {
		t.Errorf("after twelve hours: %d", w.Code)
	}
	b.logIn()
	b.now = b.now.Add(sessionIdle + time.Second)
	if w := b.get("/setup"); w.Code != http.StatusSeeOther {
		t.Errorf("after an idle hour: %d", w.Code)
	}
	old := b.logIn().cookie
	if w := b.do(http.MethodPost, "/logout", url.Values{"token": {b.token()}}); w.Code != http.StatusSeeOther {
		t.Fatalf("logout = %d", w.Code)
	}
	b.cookie = old
	if w := b.get("/setup"); w.Code != http.StatusSeeOther {
		t.Errorf("after the logout the old cookie works: %d", w.Code)
	}
	b.logIn()
	hash := b.hash
	b.hash = "another, after a reload"
	if w := b.get("/setup"); w.Code != http.StatusSeeOther {
		t.Errorf("after the password changed: %d", w.Code)
	}
	b.hash = hash
	for range 2 * maxSessions {
		b.logIn()
	}
	if n := len(b.console.sessions.all); n > maxSessions {
		t.Errorf("%d sessions", n)
	}
}
