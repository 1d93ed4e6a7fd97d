package console

import (
	"net/http"

	"graphrelay/relay/hostheader"
)

// maxForm bounds what a form may send, in bytes.
const maxForm = 64 << 10

// policy is the content security policy of every answer.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guarded sets the headers of every answer and refuses what a foreign page could
// cause: requests to another Host, and changes from another origin.
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
		if !hostheader.Own(r, c.Hostname()) {
			http.Error(w, "The console does not answer to this name. Use the address it listens on, localhost, "+
				"or the configured hostname.", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		own.ServeHTTP(w, r)
	})
}

// within admits requests with a session and sends others to the login page. A
// change also needs the session's token.
func (c *Console) within(f func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := c.sessions.of(r)
		if s == nil || s.hash != c.PasswordHash() {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		if r.Method == http.MethodPost && !s.hasToken(r.PostFormValue("token")) {
			c.fail(w, r, s, http.StatusForbidden,
				"This form belongs to another session. Go back, reload the page, and try again.")
			return
		}
		f(w, r, s)
	}
}
