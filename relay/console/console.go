// Package console is the web console: what is being sent, what is waiting and why,
// who connects, and the few things an operator can do about it.
//
// It is rendered here, from embedded templates; one small script refreshes the
// page. It needs nothing from elsewhere and no build tools.
//
// # Promises
//
// Without a session only the login page is shown, and GET changes nothing. A
// session needs the password (a bcrypt hash in the configuration); attempts are
// checked one at a time, and each failure from an address makes its next attempt
// slower. Whoever guesses cannot lock out a browser that has logged in before,
// from any address, nor the clients that a proxy on this host tells apart
// (X-Forwarded-For, believed from loopback only, and counted for the user of this
// host who writes it); and however many addresses guess, they fail at most once
// every two seconds. The cookie is HttpOnly and
// SameSite=Strict; each change needs the session's token in its form and a
// request from the console's own pages (Sec-Fetch-Site, Origin). The Host header
// must be a name of this relay (hostheader.Own), so that no foreign page reaches
// the console by a name of its own (DNS rebinding). The content security policy
// allows own files only, no frames, no inline script.
//
// Whatever came with a mail or from a client is of type untrusted: it is escaped
// by html/template, and control, bidirectional and invisible characters in it are
// shown as escapes. The body of a message is never shown.
//
// It speaks HTTP without TLS: it is meant for loopback, an SSH tunnel, or a proxy
// with TLS in front of it that keeps the Host header.
//
// # On failure
//
// Sessions are kept in memory and expire with the service, after twelve hours, or
// after an hour without a request. A store that does not answer is a page that
// says so.
//
// The package knows neither SMTP nor delivery: Config.Operator acts.
package console

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/hostheader"
	"graphrelay/relay/operator"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Operator does what an operator asks for: an operator.Operator. Errors are for
// people.
type Operator interface {
	Do(ctx context.Context, a operator.Action, id envelope.QueueID, by string) error
	Count(ctx context.Context, c operator.Change) (operator.Counted, error)
	Change(ctx context.Context, c operator.Change, report func(operator.Progress) error) error
	Probe(key string, mailbox envelope.Address) []string
	TryAll() []state.Wait // makes all mail that waits, and every hold, try now
	Refusals(ctx context.Context, f spool.RefusalFilter) ([]spool.Refusal, error)
	TestMail(ctx context.Context, from, to envelope.Address) (envelope.QueueID, error)
}

// byConsole is who acts, for the history: the console has one password and no
// users.
const byConsole = "console"

// Seen is what was counted recently.
type Seen interface {
	Minutes(n int) []state.Minute
	Hours(n int) []state.Minute
	Clients() []state.Client
}

// Setup is what rarely changes while the service runs.
type Setup struct {
	Version   string
	Started   time.Time
	Listeners []string
	Warnings  []string           // e.g. endpoints that are not Microsoft's
	Senders   []envelope.Address // exact ones, for test mail
}

// Config is what a Console works with; every field is required.
type Config struct {
	Hostname     func() string // of the relay, for the Host header
	PasswordHash func() string
	Store        spool.Reader // of a message no more than its header block is read
	Operator     Operator
	Seen         Seen
	Snapshot     func(context.Context) (state.Snapshot, error)
	Setup        func() Setup
	Audit        func(identity string)       // begins an audit
	Reload       func(context.Context) error // reads the configuration again
	Now          func() time.Time
	Log          *slog.Logger
}

// Console serves the pages. Make one with New.
type Console struct {
	Config
	pages    pages
	sessions *sessions
	throttle *loginThrottle
	userOf   func(*http.Request) string
}

// New makes a Console.
func New(cfg Config) *Console {
	return &Console{cfg, parsePages(cfg.Now), newSessions(cfg.Now), newLoginThrottle(cfg.Now), userAt}
}

// Handler serves the console.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{name}", static)
	mux.HandleFunc("GET /login", c.loginPage)
	mux.HandleFunc("POST /login", c.login)
	page := func(pattern string, f func(http.ResponseWriter, *http.Request, *session)) {
		mux.HandleFunc(pattern, c.within(f))
	}
	page("GET /{$}", c.overview)
	page("GET /messages", c.messages)
	page("GET /messages/all/{action}", c.confirmAll)
	page("POST /messages/all/{action}", c.actAll)
	page("GET /messages/{id}", c.message)
	page("GET /messages/{id}/{action}", c.confirm)
	page("POST /messages/{id}/{action}", c.act)
	page("GET /refusals", c.refusals)
	page("GET /clients", c.clients)
	page("GET /clients/{name}", c.client)
	page("POST /holds/try", c.tryHold)
	page("POST /try", c.tryAll)
	page("GET /setup", c.setup)
	page("POST /setup/audit", c.audit)
	page("POST /setup/reload", c.reload)
	page("GET /test", c.testPage)
	page("POST /test", c.sendTest)
	page("POST /logout", c.logout)
	page("GET /", c.notFound)
	return c.guarded(mux)
}

// Serve answers on l until ctx ends; then it closes l.
func (c *Console) Serve(ctx context.Context, l net.Listener) error {
	return socket.Serve(ctx, l, &http.Server{
		Handler: c.Handler(), ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	})
}

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
