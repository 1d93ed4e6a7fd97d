package console

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// How attempts to log in are slowed: after the first failures from an address
// (an IPv6 /64) each further one must wait, for longer and longer.
const (
	freeFailures = 3
	firstLock    = 2 * time.Second
	longestLock  = 5 * time.Minute
	forgetAfter  = time.Hour
	maxFailing   = 1000 // addresses that are remembered
	maxWaiting   = 8    // attempts at one time; each costs a bcrypt
)

// gate checks passwords one at a time, so that guessing costs mail no processor.
type gate struct {
	now     func() time.Time
	one     sync.Mutex // held while a password is checked
	waiting chan struct{}

	mu      sync.Mutex
	failing map[netip.Prefix]*failures
}

type failures struct {
	count int
	last  time.Time
}

func newGate(now func() time.Time) *gate {
	return &gate{now: now, waiting: make(chan struct{}, maxWaiting), failing: map[netip.Prefix]*failures{}}
}

// lock is how long an address must still wait.
func (f *failures) lock(now time.Time) time.Duration {
	if f == nil || f.count <= freeFailures {
		return 0
	}
	pause := min(longestLock, firstLock<<min(f.count-freeFailures-1, 20))
	return max(0, f.last.Add(pause).Sub(now))
}

// check tells whether the password is right, or how long to wait before trying.
func (g *gate) check(from netip.Addr, hash, password string) (ok bool, wait time.Duration) {
	key := networkOf(from)
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return false, time.Second
	}
	g.one.Lock()
	defer g.one.Unlock()
	now := g.now()
	g.mu.Lock()
	wait = g.failing[key].lock(now)
	g.mu.Unlock()
	if wait > 0 {
		return false, wait
	}
	ok = len(password) <= 72 && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	g.record(key, ok, now)
	return ok, 0
}

func (g *gate) record(key netip.Prefix, ok bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok {
		delete(g.failing, key)
		return
	}
	for k, f := range g.failing {
		if now.Sub(f.last) > forgetAfter {
			delete(g.failing, k)
		}
	}
	f := g.failing[key]
	if f == nil {
		for k := range g.failing {
			if len(g.failing) < maxFailing {
				break
			}
			delete(g.failing, k)
		}
		f = &failures{}
		g.failing[key] = f
	}
	f.count, f.last = f.count+1, now
}

func networkOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap().WithZone("")
}

func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	if s := c.sessions.of(r); s != nil && s.hash == c.PasswordHash() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	c.show(w, r, nil, http.StatusOK, "login", page{Title: "Log in"})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	from := remoteAddr(r)
	hash := c.PasswordHash()
	ok, wait := c.gate.check(from, hash, r.PostFormValue("password"))
	switch {
	case ok:
		c.Log.Info("console: logged in", "client_addr", from.String())
		cookie := &http.Cookie{Name: cookieName, Value: c.sessions.open(hash), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
			Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"}
		http.SetCookie(w, cookie)
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case wait > 0:
		c.show(w, r, nil, http.StatusTooManyRequests, "login", page{Title: "Log in",
			Error: "Too many attempts. Wait " + lasting(wait) + " and try again."})
	default:
		c.Log.Warn("console: wrong password", "client_addr", from.String())
		c.show(w, r, nil, http.StatusUnauthorized, "login", page{Title: "Log in",
			Error: "Wrong password. It is the one whose hash stands in console.password_hash; graphrelay passwd makes a new one."})
	}
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request, _ *session) {
	c.sessions.close(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
