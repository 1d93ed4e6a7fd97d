package console

import (
	"cmp"
	"crypto/rand"
	"net/http"

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
		c.show(w, r, nil, http.StatusTooManyRequests, "login", page{Title: "Log in",
			Error: "Too many wrong passwords. Wait " + lasting(wait) + " and try again. " +
				"Other people's failures do not delay a browser that has logged in here before."})
	default:
		c.Log.Warn("wrong password", "component", "console", "client_addr", clientAddr(r).String())
		c.show(w, r, nil, http.StatusUnauthorized, "login", page{Title: "Log in",
			Error: "Wrong password. Use the one whose hash is in console.password_hash; " +
				"graphrelay passwd creates a new hash."})
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
