package graph

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	abs "github.com/microsoft/kiota-abstractions-go"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// The time limit of one request: a fixed part, which is also what the SDKs
// allow, and a part for the body on a slow line.
const (
	baseTimeout  = 100 * time.Second
	slowestBytes = 64 << 10 // octets a second
)

// Send makes one attempt to send m as mailbox and says what became of it. It
// needs no earlier call; it returns at the latest when ctx or the request's
// own time limit (100 s and a second for every 64 KiB) ends. An attempt that
// ctx ends after octets have left is Unknown. m.Open is not called, and what
// it returned not read, after Send has returned.
func (c *Client) Send(ctx context.Context, mailbox envelope.Address, m Mail) outcome.Answer {
	if m.Size <= 0 || m.Open == nil {
		return outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMessage, Status: reply.Enhanced{4, 3, 0},
			Text: "the message has no octets, so its record is damaged", Advice: "check the disk and the queue's store; delete the message"}
	}
	a, x := c.attempt(ctx, mailbox, m)
	if x.dead && ctx.Err() == nil {
		a, x = c.attempt(ctx, mailbox, m)
	}
	if a.HTTPStatus != http.StatusUnauthorized || x.token == "" {
		return a
	}
	if err := c.tokens.renew(ctx, x.token, challengeClaims(x.header["Www-Authenticate"])); err != nil {
		return unauthorized(a, err)
	}
	again, _ := c.attempt(ctx, mailbox, m)
	again.Duration += a.Duration
	return again
}

// unauthorized is the answer where Graph refused the token and no other one
// could be had. What the login said is the better clue.
func unauthorized(a outcome.Answer, err error) outcome.Answer {
	b := noToken(err)
	b.Text = "Graph refused the token (401), and a new login failed: " + b.Text
	b.Duration = a.Duration
	return b
}

// exchange is what of an attempt matters for the next.
type exchange struct {
	token  string
	header http.Header
	dead   bool // the connection had died before the request: nothing left
}

func (c *Client) attempt(ctx context.Context, mailbox envelope.Address, m Mail) (outcome.Answer, exchange) {
	size := encodedLen(m.Size)
	ctx, cancel := context.WithTimeout(ctx, baseTimeout+time.Duration(size/slowestBytes)*time.Second)
	defer cancel()

	id := requestID()
	req, err := c.newRequest(ctx, mailbox, id)
	if err != nil {
		return c.redacted(noToken(err)), exchange{}
	}
	b := &bodies{mail: m, pool: c.buffers}
	if err := b.attach(req, size); err != nil {
		return classifyLoss(err, false, err), exchange{}
	}
	start := time.Now()
	a, x := c.roundTrip(ctx, req, b)
	a = c.redacted(a)
	a.Duration = time.Since(start)
	if a.RequestID == "" {
		a.RequestID = id
	}
	x.token = strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	return a, x
}

// roundTrip sends req and reads the answer to it, if one comes.
func (c *Client) roundTrip(ctx context.Context, req *http.Request, b *bodies) (outcome.Answer, exchange) {
	var w wire
	resp, err := c.transport.RoundTrip(req.WithContext(w.trace(ctx)))
	if err != nil {
		left, unreadable := b.stop()
		dead := w.wasDead(err)
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return classifyLoss(err, left && !dead, unreadable), exchange{dead: dead}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // the status says enough if this fails
	_, _ = b.stop()
	return classify(resp.StatusCode, resp.Header, text, c.cfg.Now()), exchange{header: resp.Header}
}

// newRequest lets the SDK build the request and put the token into it, and
// checks that it did: its provider leaves the token out, without an error,
// where it does not like the host.
func (c *Client) newRequest(ctx context.Context, mailbox envelope.Address, id string) (*http.Request, error) {
	ri := abs.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(abs.POST, "{+baseurl}/users/{user%2Did}/sendMail",
		map[string]string{"baseurl": c.base, "user%2Did": mailbox.String()})
	ri.Headers.Add("Accept", "application/json")
	ri.Headers.Add("Content-Type", "text/plain")
	ri.Headers.Add("User-Agent", c.cfg.UserAgent)
	ri.Headers.Add("client-request-id", id)
	native, err := c.adapter.ConvertToNativeRequest(ctx, ri)
	if err != nil {
		return nil, err
	}
	req, ok := native.(*http.Request)
	if !ok {
		return nil, fmt.Errorf("the SDK made a %T in place of a request", native)
	}
	return req, c.mayLeave(req)
}

// mayLeave is the last look at a request: only to Graph, over TLS, with a token.
func (c *Client) mayLeave(req *http.Request) error {
	token, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	switch {
	case req.URL.Scheme != "https" || req.URL.Host != c.cfg.Graph.Host || req.URL.User != nil:
		return fmt.Errorf("a request to %q is not one to Graph and was not sent", req.URL.Redacted())
	case !bearer || strings.TrimSpace(token) == "":
		return errors.New("a request without a token was not sent")
	}
	return nil
}

// attach makes m the body of req, of known length and ready to be replayed.
func (b *bodies) attach(req *http.Request, size int64) error {
	body, err := b.open()
	if err != nil {
		return err
	}
	req.Body, req.GetBody, req.ContentLength = body, b.open, size
	return nil
}

// noToken says what it means that a request could not be made ready.
func noToken(err error) outcome.Answer {
	var refused *LoginError
	switch {
	case errors.As(err, &refused):
		return refused.Answer
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMessage, Status: reply.Enhanced{4, 4, 1}, Text: "stopped before anything was sent: " + line(err.Error(), maxText)}
	}
	return outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeIdentity, Status: reply.Enhanced{4, 3, 5}, Text: line(err.Error(), maxText), Advice: adviceBug}
}

// requestID makes a client-request-id, a random UUID, by which Microsoft can
// find a request even if its answer was lost.
func requestID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails since Go 1.24
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
