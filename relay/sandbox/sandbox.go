package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The identifiers a Double takes when Options name none.
const (
	DefaultTenantID = "11111111-1111-1111-1111-111111111111"
	DefaultClientID = "22222222-2222-2222-2222-222222222222"
)

// Options say what the imitated tenant looks like. The zero value is a tenant
// in which every address is a mailbox and the application may send as all.
type Options struct {
	TenantID     string              // = DefaultTenantID
	ClientID     string              // = DefaultClientID
	ObjectID     string              // of the application; = DefaultObjectID
	Secret       string              // the client secret; made up when there are no Certificates either
	Certificates []*x509.Certificate // registered for signed assertions

	Mailboxes []string            // the mailboxes that exist; empty: every address does
	Allowed   []string            // those the application may send as; empty: all that exist
	SendAs    map[string][]string // mailbox -> further addresses its From may say
	Roles     []string            // the roles claim; empty: no claim, as with RBAC for Applications
	// Granted are the permissions beside Mail.Send that RBAC for Applications
	// gives in every allowed mailbox: Mail.ReadBasic, Mail.Read, Mail.ReadWrite.
	// Those of the roles claim count too.
	Granted []string

	// MachineIdentities are the client IDs that the metadata service knows, ""
	// for the machine's own; nil: its own and ClientID.
	MachineIdentities []string

	TokenLifetime time.Duration // = 3599 s, whole seconds
	Latency       time.Duration // from the end of the request body to the answer of sendMail
	// MaxConcurrentPerMailbox is the number of requests in progress above which
	// a mailbox answers 429; 0 means Graph's 4, negative none.
	MaxConcurrentPerMailbox int
	// SilentAbove imitates a report that MIME above some size (about
	// 2240 KiB) is answered 200 and not sent; octets of MIME, 0 means never.
	SilentAbove int64

	SessionLifetime time.Duration // of upload sessions; = 1 h

	Keep      int           // newest messages to remember; 0 means 1000, negative only counts and the ledger
	KeepBytes int64         // octets of bodies to remember; = 64 MiB
	Dir       string        // where messages are also stored as .eml and .json; empty: nowhere
	OnMessage func(Message) // called for each message before its answer is written

	Log *slog.Logger     // one line for each message and each refusal; = none
	Now func() time.Time // the clock of tokens and records; = time.Now
}

// Double imitates one tenant with one application.
type Double struct {
	o       Options
	log     *slog.Logger
	tenant  *tenant
	tokens  *tokens
	faults  *faults
	gauges  *gauges
	drafts  *drafts
	inbox   inbox
	store   *store
	schema  *contract
	latency atomic.Int64
	late    atomic.Int64 // see SetSentItemsDelay
	lost    atomic.Bool  // see SetLost
	skew    *atomic.Int64
	hurry   atomic.Int64 // beside it, for what is on its way to Graph

	authority      *authority
	api            *server
	page           *server
	metadata       *server
	submission     *submissionServer
	metadataSecret string
	stopping       chan struct{}
	stopOnce       sync.Once
}

// New makes a Double and its certificate authority. It does not listen yet.
func New(o Options) (*Double, error) {
	o = withDefaults(o)
	skew, clock := new(atomic.Int64), o.Now
	o.Now = func() time.Time { return clock().Add(time.Duration(skew.Load())) }
	authority, err := newAuthority(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make the sandbox's certificate authority: %w", err)
	}
	tokens, err := newTokens(o)
	if err != nil {
		return nil, fmt.Errorf("make the sandbox's token key: %w", err)
	}
	store, err := newStore(o)
	if err != nil {
		return nil, fmt.Errorf("prepare the sandbox's message folder: %w", err)
	}
	d := &Double{
		o: o, log: o.Log, tenant: newTenant(o), tokens: tokens, faults: newFaults(),
		gauges: newGauges(), drafts: newDrafts(), store: store, schema: &contract{}, authority: authority,
		stopping: make(chan struct{}), skew: skew,
	}
	d.latency.Store(int64(o.Latency))
	d.api = &server{handler: d.Handler(), tls: authority.serverConfig(), refuse: d.faults.refuseConnection}
	d.page = &server{handler: d.PageHandler()}
	d.submission = &submissionServer{d: d, conns: map[net.Conn]bool{}}
	d.metadata, d.metadataSecret = &server{handler: d.MetadataHandler()}, rand.Text()
	return d, nil
}

// withDefaults fills what the caller left open.
func withDefaults(o Options) Options {
	o.TenantID = or(o.TenantID, DefaultTenantID)
	o.ClientID = or(o.ClientID, DefaultClientID)
	o.ObjectID = or(o.ObjectID, DefaultObjectID)
	if o.Secret == "" && len(o.Certificates) == 0 {
		o.Secret = rand.Text()
	}
	o.TokenLifetime = or(o.TokenLifetime, 3599*time.Second)
	o.MaxConcurrentPerMailbox = or(o.MaxConcurrentPerMailbox, 4)
	o.SessionLifetime = or(o.SessionLifetime, time.Hour)
	o.Keep = or(o.Keep, 1000)
	o.KeepBytes = or(o.KeepBytes, 64<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// or returns v, or instead where v is the zero value.
func or[T comparable](v, instead T) T {
	var zero T
	if v == zero {
		return instead
	}
	return v
}

// Start serves Entra and Graph over HTTPS at addr: "127.0.0.1:8443",
// ":8443" (loopback is meant) or "" for any free port. An address that is not
// loopback is an error.
func (d *Double) Start(addr string) error { return d.api.start(addr) }

// Serve is Start on a listener of the caller's, whose address must be one of
// loopback too and is what URL says; Close closes it. It may be in memory, so
// that a whole relay can run without a network, under a clock that is not real.
func (d *Double) Serve(l net.Listener) error {
	if _, err := loopback(l.Addr().String()); err != nil {
		return err
	}
	return d.api.listen(func() (net.Listener, error) { return l, nil })
}

// StartPage serves the page, the JSON and the controls over HTTP at addr, with
// the rules of Start.
func (d *Double) StartPage(addr string) error { return d.page.start(addr) }

// URL is where Entra and Graph answer, such as https://127.0.0.1:8443; empty
// before Start.
func (d *Double) URL() string { return d.api.url("https://") }

// PageURL is where the page is, such as http://127.0.0.1:8080; empty before
// StartPage.
func (d *Double) PageURL() string { return d.page.url("http://") }

// Connections is how many connections Entra and Graph have open. Without any,
// and with no request in progress (Stats), nothing that was sent here so far
// can still become a message.
func (d *Double) Connections() int { return int(d.api.open.Load()) }

// TenantID, ClientID and Secret are what a client needs to sign in.
func (d *Double) TenantID() string { return d.o.TenantID }

// ClientID is the application's identifier.
func (d *Double) ClientID() string { return d.o.ClientID }

// Secret is the client secret in force; empty where only certificates are.
func (d *Double) Secret() string { return d.tenant.currentSecret() }

// CAPEM is the certificate of the authority that signed the server's, in PEM.
func (d *Double) CAPEM() []byte { return d.authority.pem() }

// HTTPClient trusts the double's authority and uses no proxy.
func (d *Double) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: d.authority.pool(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
	}}
}

// SetLatency changes the time from the end of a request body to its answer.
func (d *Double) SetLatency(latency time.Duration) { d.latency.Store(int64(latency)) }

// Advance moves the double's clock, forward or back, beside that of Options.Now:
// time passes for tokens and propagation, or the clocks of the host and of the
// service differ.
func (d *Double) Advance(by time.Duration) { d.skew.Add(int64(by)) }

// SetSentItemsDelay makes a message appear in searches of the mailbox only that
// long after it was accepted, by the clock of Options.Now.
func (d *Double) SetSentItemsDelay(delay time.Duration) { d.late.Store(int64(delay)) }

// Close stops at once: listeners and connections are closed, messages whose
// latency has not passed are not recorded.
func (d *Double) Close() error {
	d.stopOnce.Do(func() { close(d.stopping) })
	return errors.Join(d.api.close(), d.page.close(), d.metadata.close(), d.submission.close())
}

// Shutdown lets requests in progress finish until ctx ends, then closes.
func (d *Double) Shutdown(ctx context.Context) error {
	return errors.Join(d.api.shutdown(ctx), d.page.shutdown(ctx), d.metadata.shutdown(ctx), d.Close())
}

// sleep waits for t, without regard to whether the client is still there; it
// reports false when the double was closed meanwhile.
func (d *Double) sleep(t time.Duration) bool {
	if t <= 0 {
		return true
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.stopping:
		return false
	}
}

// connKey is the context key under which a request finds its connection.
type connKey struct{}

// dropConnection ends the request without an answer and, where the request
// came over one of our listeners, the connection with it.
func dropConnection(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		if t, ok := conn.(*tls.Conn); ok {
			conn = t.NetConn() // no close_notify: the line goes dead
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
