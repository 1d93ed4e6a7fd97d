package console

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxForm bounds what a form may send, in octets.
const maxForm = 64 << 10

// policy is the content security policy of every answer.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guarded sets the headers of every answer and refuses what a foreign page
// could cause: a foreign Host, and changes from elsewhere.
func (c *Console) guarded(next http.Handler) http.Handler {
	own := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // with less, a browser sends Origin: null from our own forms
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		if !c.knownHost(r) {
			http.Error(w, "The console does not answer to this name. Use the address it listens on, localhost, or the name in hostname of the configuration.", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		own.ServeHTTP(w, r)
	})
}

// knownHost tells whether the Host header is a name of ours: a page elsewhere
// can make its own name lead here, but cannot make the browser send ours.
func (c *Console) knownHost(r *http.Request) bool {
	name := hostOf(r.Host)
	if strings.EqualFold(name, "localhost") || strings.EqualFold(name, c.Hostname()) {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip == localAddr(r)
}

func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// localAddr is the address that was connected to.
func localAddr(r *http.Request) netip.Addr {
	a, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if a == nil {
		return netip.Addr{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap()
}

// within lets requests with a session pass, and others to the login page. A
// change needs the session's token too.
func (c *Console) within(f func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := c.sessions.of(r)
		if s == nil || s.hash != c.PasswordHash() {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		if r.Method == http.MethodPost && !s.hasToken(r.PostFormValue("token")) {
			c.fail(w, r, s, http.StatusForbidden, "This form is not from the session that you are in. Go back, load the page again, and repeat.")
			return
		}
		f(w, r, s)
	}
}
