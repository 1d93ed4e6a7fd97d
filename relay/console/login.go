package console

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/socket"
)

func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	if s := c.sessions.of(r); s != nil && s.hash == c.PasswordHash() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	c.show(w, r, nil, http.StatusOK, "login", page{Title: "Log in"})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	hash := c.PasswordHash()
	browser := knownBrowser(r, hash)
	from := source{browser: browser}
	if browser == "" {
		from.network, from.user = envelope.NetworkOf(clientAddr(r)), c.userOf(r)
	}
	refuse := func(code int, text string) {
		c.show(w, r, nil, code, "login", page{Title: "Log in", Error: text})
	}
	ok, wait := c.throttle.check(from, hash, r.PostFormValue("password"))
	switch {
	case ok:
		c.Log.Info("logged in", "component", "console", "client_addr", clientAddr(r).String())
		setCookie(w, r, &http.Cookie{Name: cookieName, Value: c.sessions.open(hash)})
		setCookie(w, r, &http.Cookie{
			Name: browserCookie, Value: browserValue(cmp.Or(browser, rand.Text()), hash),
			MaxAge: int(browserLife.Seconds()),
		})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case wait > 0:
		refuse(http.StatusTooManyRequests, "Too many wrong passwords. Wait "+lasting(wait)+" and try again. "+
			"Other people's failures do not delay a browser that has logged in here before.")
	default:
		c.Log.Warn("wrong password", "component", "console", "client_addr", clientAddr(r).String())
		refuse(http.StatusUnauthorized, "Wrong password. Use the one whose hash is in console.password_hash; "+
			"graphrelay passwd creates a new hash.")
	}
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request, _ *session) {
	c.sessions.close(r)
	setCookie(w, r, &http.Cookie{Name: cookieName, MaxAge: -1})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// setCookie sets a cookie that no script and no foreign page can use.
func setCookie(w http.ResponseWriter, r *http.Request, c *http.Cookie) {
	c.Path, c.HttpOnly, c.SameSite = "/", true, http.SameSiteStrictMode
	c.Secure = r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	http.SetCookie(w, c)
}

// A browser that has logged in keeps a cookie that says so, which distinguishes
// it from others at the same address that guess. The cookie grants no access: the
// password is still required.
const (
	browserCookie = "graphrelay_browser"
	browserLife   = 90 * 24 * time.Hour // since the last login
)

// browserValue is the cookie of a browser: its ID, and a MAC whose key is the
// hash of the password, so that nobody can forge one, it outlives a restart, and
// a new password makes it worthless.
func browserValue(id, hash string) string {
	mac := hmac.New(sha256.New, []byte(hash))
	_, _ = mac.Write([]byte("browser " + id))
	return id + "." + hex.EncodeToString(mac.Sum(nil))
}

// knownBrowser is the ID of a browser that has logged in before, else "".
func knownBrowser(r *http.Request, hash string) string {
	c, err := r.Cookie(browserCookie)
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(c.Value, ".")
	if id == "" || !hmac.Equal([]byte(c.Value), []byte(browserValue(id, hash))) {
		return ""
	}
	return id
}

// clientAddr is the address of the client: the other end of the connection, or the
// address that a proxy on this host names. Other hosts are not believed.
func clientAddr(r *http.Request) netip.Addr {
	peer := remoteAddr(r)
	if !peer.IsLoopback() {
		return peer
	}
	// The last address is what the proxy itself saw; those before it are claims.
	all := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	last, err := netip.ParseAddr(strings.TrimSpace(all[strings.LastIndex(all, ",")+1:]))
	if err != nil {
		return peer
	}
	return last.Unmap().WithZone("")
}

// userAt is the user of this host who made the connection of a request; "" if it
// comes from elsewhere. Without it anyone here could fail in the name of others by
// X-Forwarded-For, as the proxy does.
func userAt(r *http.Request) string {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if !ok || err != nil {
		return ""
	}
	return socket.UserAt(remote, local.AddrPort())
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap().WithZone("")
}

// Limits of sessions.
const (
	cookieName  = "graphrelay_session"
	sessionLife = 12 * time.Hour
	sessionIdle = time.Hour
	maxSessions = 50
)

// session is one browser that knew the password.
type session struct {
	token      string // of its forms
	hash       string // of the password that opened it; a new password ends it
	made, used time.Time
}

func (s *session) hasToken(t string) bool {
	return subtle.ConstantTimeCompare([]byte(t), []byte(s.token)) == 1
}

// sessions are stored by the hash of their cookie.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[32]byte]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: map[[32]byte]*session{}}
}

// open makes a session of the password with this hash and returns the value of its
// cookie. It replaces the session that has been idle for the longest time.
func (s *sessions) open(hash string) string {
	value, now := rand.Text(), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if len(s.all) >= maxSessions {
		delete(s.all, slices.MinFunc(slices.Collect(maps.Keys(s.all)), func(a, b [32]byte) int {
			return s.all[a].used.Compare(s.all[b].used)
		}))
	}
	s.all[sha256.Sum256([]byte(value))] = &session{token: rand.Text(), hash: hash, made: now, used: now}
	return value
}

func (s *sessions) sweep(now time.Time) {
	maps.DeleteFunc(s.all, func(_ [32]byte, v *session) bool {
		return now.Sub(v.made) > sessionLife || now.Sub(v.used) > sessionIdle
	})
}

// of is the session of a request; nil if it has none.
func (s *sessions) of(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.sweep(now)
	found := s.all[sha256.Sum256([]byte(c.Value))]
	if found != nil {
		found.used = now
	}
	return found
}

func (s *sessions) close(r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, sha256.Sum256([]byte(c.Value)))
	}
}
