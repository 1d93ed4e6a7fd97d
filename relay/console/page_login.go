package console

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"graphrelay/relay/envelope"
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
		from.network = envelope.NetworkOf(clientAddr(r))
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

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap().WithZone("")
}
