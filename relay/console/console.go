package console

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Operator does what an operator asks for: an operator.Operator. Errors are for
// people.
type Operator interface {
	Do(ctx context.Context, a operator.Action, id envelope.QueueID, by string) error
	TestMail(ctx context.Context, from, to envelope.Address) (envelope.QueueID, error)
}

// byConsole is who acts, for the history: the console has one password and no
// users.
const byConsole = "console"

// Seen is what was counted recently.
type Seen interface {
	Minutes(n int) []state.Minute
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
	Now          func() time.Time
	Log          *slog.Logger
}

// Console serves the pages. Make one with New.
type Console struct {
	Config
	pages    pages
	sessions *sessions
	throttle *loginThrottle
}

// New makes a Console.
func New(cfg Config) *Console {
	return &Console{cfg, parsePages(cfg.Now), newSessions(cfg.Now), newLoginThrottle(cfg.Now)}
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
	page("GET /messages/{id}", c.message)
	page("GET /messages/{id}/{action}", c.confirm)
	page("POST /messages/{id}/{action}", c.act)
	page("GET /clients", c.clients)
	page("GET /setup", c.setup)
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
