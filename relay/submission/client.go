// Package submission sends a message whole to the submission server of Exchange
// Online, where one request of Graph cannot carry it: by SMTP with STARTTLS and a
// token of Entra (SASL XOAUTH2), under the right Application SMTP.SendAsApp.
//
// What it promises:
//
//   - One call of Submit is one attempt and ends in one Answer. Before the end of the
//     message nothing was sent; from then on only a reply says so, and without one the
//     outcome is Unknown.
//   - The envelope is the caller's, and so is every byte of the message. Memory is
//     bounded whatever its size.
//   - No token and no mail leaves but over TLS 1.2 or later, with a certificate that was
//     verified for the configured host. There is no other way, and no proxy.
//   - At most 3 connections and 30 messages a minute for each mailbox, as Exchange allows.
//     After a reply that asks for time the mailbox submits nothing until that is over.
//   - Every step has a time limit, and the end of the context ends them all.
//   - No token is shown in an Answer. What the server says is bounded, with control
//     characters escaped.
//
// An Answer is Apart: it shows nothing of the way that other mail takes. What replies
// mean is in one table, catalogue.go. The package must not know the queue. It follows
// RFC 5321, 3207 (STARTTLS), 4954 (AUTH), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8)
// and Microsoft's XOAUTH2.
package submission

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
)

// What Exchange allows one mailbox.
const (
	maxConnections = 3
	maxMessages    = 30 // a minute
)

// Login hands out the tokens; *entra.Login is one.
type Login interface {
	GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error)
	Redact(a outcome.Answer) outcome.Answer
	Run(ctx context.Context)
}

// Config describes the submission server of one identity.
type Config struct {
	Address string           // host:port
	Login   Login            // nil connects only
	Roots   *x509.CertPool   // nil for the system's
	Now     func() time.Time // nil is time.Now

	// Dial opens the connection in place of TCP; nil is TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Step bounds the connection, each command and each write; 0 is two minutes. Final
	// bounds the reply to the end of the message; 0 is ten minutes.
	Step, Final time.Duration
}

// Longest is how long an attempt with a message of size bytes may take at most once it has a
// connection.
func (c Config) Longest(size int64) time.Duration {
	return c.Final + 5*c.Step + time.Duration(size/(64<<10))*time.Second
}

// Mail is a message to submit. Size is exact; Open is called at most once.
type Mail struct {
	From envelope.Address // the reverse-path; zero for the null one
	To   []envelope.Address
	Size int64
	Open func() (io.ReadCloser, error)
}

// Client submits the mail of one identity. It is safe for concurrent use.
type Client struct {
	cfg   Config
	mu    sync.Mutex
	boxes map[string]*mailbox
}

// mailbox is what one mailbox has used of its limits.
type mailbox struct {
	connections chan struct{}
	messages    *pacing.Bucket
	resume      time.Time // the server asked for time until then
}

// New makes a Client. It does not use the network.
func New(cfg Config) *Client {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Step == 0 {
		cfg.Step = 2 * time.Minute
	}
	if cfg.Final == 0 {
		cfg.Final = 10 * time.Minute
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	return &Client{cfg: cfg, boxes: map[string]*mailbox{}}
}

// Run keeps a token ready until ctx ends.
func (c *Client) Run(ctx context.Context) { c.cfg.Login.Run(ctx) }

// Config is what the client works with, the defaults filled in.
func (c *Client) Config() Config { return c.cfg }

// Submit makes one attempt to submit m as mailbox. It returns soon after ctx ends,
// with what is then known; what m.Open returned is not read after that.
func (c *Client) Submit(ctx context.Context, as envelope.Address, m Mail) outcome.Answer {
	began := c.cfg.Now()
	b := c.box(as)
	a, ok := c.admit(ctx, b)
	if ok {
		defer func() { <-b.connections }()
		bounded, cancel := context.WithTimeout(ctx, c.cfg.Longest(m.Size))
		defer cancel()
		a = (&attempt{c: c, ctx: bounded, as: as, mail: &m}).run()
		c.note(b, a)
	}
	a.Duration = c.cfg.Now().Sub(began)
	return a
}

// TryLogin connects and logs in as mailbox, and sends nothing: Delivered means that the
// app may. Without a mailbox it only connects and negotiates TLS.
func (c *Client) TryLogin(ctx context.Context, as envelope.Address) outcome.Answer {
	ctx, cancel := context.WithTimeout(ctx, 2*c.cfg.Step)
	defer cancel()
	return (&attempt{c: c, ctx: ctx, as: as}).run()
}

func (c *Client) box(as envelope.Address) *mailbox {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.boxes[as.Key()]
	if b == nil {
		b = &mailbox{
			connections: make(chan struct{}, maxConnections),
			messages:    pacing.NewBucket(pacing.Rate{Count: maxMessages, Per: time.Minute}),
		}
		c.boxes[as.Key()] = b
	}
	return b
}

// admit waits for a connection and for the rate. Not ok is an answer in place of an
// attempt: the server has asked for time, or ctx is over.
func (c *Client) admit(ctx context.Context, b *mailbox) (a outcome.Answer, ok bool) {
	select {
	case b.connections <- struct{}{}:
	case <-ctx.Done():
		return c.lost(lostStopped, nil), false
	}
	c.mu.Lock()
	rest := b.resume.Sub(c.cfg.Now())
	c.mu.Unlock()
	if rest > 0 {
		<-b.connections
		a, _ := outcome.Find(catalogue(), outcome.Seen{HTTP: 432})
		waits := apart(a.Answer())
		waits.RetryAfter = rest
		return waits, false
	}
	for {
		wait, taken := b.messages.Take(c.cfg.Now())
		if taken {
			return outcome.Answer{}, true
		}
		if pacing.Sleep(ctx, wait) != nil {
			<-b.connections
			return c.lost(lostStopped, nil), false
		}
	}
}

// note remembers that the server asked for time.
func (c *Client) note(b *mailbox, a outcome.Answer) {
	if a.Outcome == outcome.Retry && a.Scope == large && a.RetryAfter > 0 {
		c.mu.Lock()
		b.resume = pacing.Later(b.resume, c.cfg.Now().Add(a.RetryAfter))
		c.mu.Unlock()
	}
}
