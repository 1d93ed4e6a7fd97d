package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	abs "github.com/microsoft/kiota-abstractions-go"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// The time limit of one request: a fixed part, which is also what the SDKs
// allow, and a part for the body on a slow line.
const (
	baseTimeout  = 100 * time.Second
	slowestBytes = 64 << 10 // bytes a second
)

// RequestTime is how long a request with a body of so many bytes may take.
func RequestTime(bytes int64) time.Duration {
	return baseTimeout + time.Duration(bytes/slowestBytes)*time.Second
}

// Request is one call of Graph.
type Request struct {
	Step   Step
	Method string
	Path   []string // the segments below /users/{mailbox}, or below v1.0 without a mailbox
	URL    *url.URL // of an upload session, in place of mailbox and path: it gets no token
	Query  url.Values
	Header map[string]string
	Body   *Body // nil for none
	Limit  int64 // bytes of the answer that are read; 0 means outcome.MaxBody
	Begin  bool  // an answer that is longer succeeds, cut

	MayBegin func() error // asked directly before each try: with an error none is made; nil: it may
}

// Body is the body of a request. Open is called once for each try of the
// transport; Size is exact.
type Body struct {
	Type string // Content-Type
	Size int64
	Open func() (io.ReadCloser, error)
}

func (q Request) mayBegin() error {
	if q.MayBegin == nil {
		return nil
	}
	return q.MayBegin()
}

// exchange is what of a request matters for the next one.
type exchange struct {
	answer outcome.Answer
	body   []byte
	header http.Header
	token  string
	dead   bool // the connection had died before the request: nothing left
}

// Do makes a request and says what came of it: Delivered where the step
// succeeded, with the body of the answer. It is repeated only where it certainly
// was not processed: at once on a connection that had died before, and with a new
// token after a 401. Nothing of its body is read after Do has returned.
func (c *Client) Do(ctx context.Context, mailbox envelope.Address, q Request) ([]byte, outcome.Answer) {
	x := c.once(ctx, mailbox, q)
	if x.dead && ctx.Err() == nil {
		x = c.once(ctx, mailbox, q)
	}
	if x.answer.HTTPStatus != http.StatusUnauthorized || x.token == "" {
		return c.noted(q, x)
	}
	if err := c.login.Renew(ctx, x.token, challengeClaims(x.header["Www-Authenticate"])); err != nil {
		// What the login said is the better clue.
		a := c.login.Redact(noToken(err))
		a.Detail = "Graph refused the token (401), and a new login failed: " + a.Detail
		a.Duration = x.answer.Duration
		return nil, a
	}
	again := c.once(ctx, mailbox, q)
	again.answer.Duration += x.answer.Duration
	return c.noted(q, again)
}

// noted lets the login know that its token has sent a message.
func (c *Client) noted(q Request, x exchange) ([]byte, outcome.Answer) {
	if q.Step.MayDepart && x.answer.Outcome == outcome.Delivered {
		c.login.Sent(x.token)
	}
	return x.body, x.answer
}

func (c *Client) once(ctx context.Context, mailbox envelope.Address, q Request) exchange {
	req, id, err := c.newRequest(ctx, mailbox, q)
	if err != nil {
		return exchange{answer: c.login.Redact(noToken(err))}
	}
	start := time.Now()
	x := c.exchange(ctx, req, q)
	x.answer = c.login.Redact(x.answer)
	x.answer.Duration = time.Since(start)
	x.answer.RequestID = cmp.Or(x.answer.RequestID, id)
	x.token = strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	return x
}

// newRequest makes a request ready but for its body. id is the client-request-id,
// by which Microsoft can find a request even if its answer was lost.
func (c *Client) newRequest(
	ctx context.Context, mailbox envelope.Address, q Request,
) (_ *http.Request, id string, _ error) {
	u := c.base
	if !mailbox.IsZero() {
		u += "/users/" + escape(mailbox.String())
	}
	for _, segment := range q.Path {
		u += "/" + escape(segment)
	}
	if len(q.Query) > 0 {
		u += "?" + strings.ReplaceAll(q.Query.Encode(), "+", "%20") // an OData parser need not know the + of HTML forms
	}
	if q.URL != nil {
		u = q.URL.String()
	}
	req, err := http.NewRequestWithContext(ctx, q.Method, u, nil)
	if err != nil {
		return nil, "", errors.New("the URL of the request cannot be used")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	for name, value := range q.Header {
		req.Header.Set(name, value)
	}
	if q.Body != nil {
		req.Header.Set("Content-Type", q.Body.Type)
	}
	if q.URL != nil {
		return req, "", nil
	}
	id = uuid.NewString()
	req.Header.Set("client-request-id", id)
	return req, id, c.authorize(ctx, req)
}

// escape makes one segment of a path: whatever has a meaning in a URL is quoted. A dollar has
// none, and Graph writes it in $value.
func escape(s string) string { return segment.Replace(url.QueryEscape(s)) }

var segment = strings.NewReplacer("+", "%20", "%24", "$")

// QuoteOData makes a string literal of OData: apostrophes are doubled.
func QuoteOData(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// authorize lets the SDK's provider put the token into a request, and checks that
// it did: it leaves the token out, without an error, where it does not like the
// host. No request leaves but to Graph, over TLS, with a token.
func (c *Client) authorize(ctx context.Context, req *http.Request) error {
	info := abs.NewRequestInformation()
	info.SetUri(*req.URL)
	if err := c.provider.AuthenticateRequest(ctx, info, nil); err != nil {
		return err
	}
	for _, value := range info.Headers.Get("Authorization") {
		req.Header.Set("Authorization", value)
	}
	token, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	switch {
	case req.URL.Scheme != "https" || req.URL.Host != c.cfg.Graph.Host || req.URL.User != nil:
		return fmt.Errorf("a request to %q is not one to Graph and was not sent", req.URL.Redacted())
	case !bearer || strings.TrimSpace(token) == "":
		return errors.New("a request without a token was not sent")
	}
	return nil
}

// noToken says what it means that a request could not be made ready.
func noToken(err error) outcome.Answer {
	var refused *entra.LoginError
	words := text.Foreign(err.Error(), outcome.MaxText)
	switch {
	case errors.As(err, &refused):
		return refused.Answer
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return detailed(lossCatalogue()[lostStopped], words)
	}
	return detailed(outcome.On("", "", "").Hold(identity, "4.3.5", "Request to Graph cannot be made", adviceBug), words)
}

// detailed is the answer of a row with what an error says.
func detailed(r outcome.Row, words string) outcome.Answer {
	a := r.Answer()
	a.Detail = words
	return a
}

// exchange sends a request, whose URL and header are complete, and reads the
// answer, if one comes.
func (c *Client) exchange(ctx context.Context, req *http.Request, q Request) exchange {
	s := streams{body: q.Body}
	ctx, cancel := context.WithTimeout(ctx, RequestTime(s.size()))
	defer cancel()
	if err := q.mayBegin(); err != nil {
		return exchange{answer: q.Step.Unreadable(err)}
	}
	if err := s.attach(req); err != nil {
		return exchange{answer: q.Step.Unreadable(err)}
	}
	w := wire{bodiless: q.Body == nil}
	resp, err := c.network.RoundTrip(req.WithContext(w.trace(ctx)))
	if err != nil {
		given, unreadable := s.stop()
		left, dead := w.reached(), w.wasDead(err)
		if q.Step.MayDepart && q.Body != nil {
			left = given > 0
		}
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return exchange{answer: q.Step.lost(err, left && !dead, unreadable), dead: dead}
	}
	defer resp.Body.Close()
	limit := max(q.Limit, outcome.MaxBody)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	given, _ := s.stop()
	a := q.Step.Judge(resp.StatusCode, resp.Header, body[:min(len(body), outcome.MaxBody)], c.cfg.Now())
	switch {
	case int64(len(body)) > limit && q.Begin:
		body = body[:limit]
	case int64(len(body)) > limit:
		err = errors.New("it is too long")
	}
	if a.Outcome == outcome.Delivered && err != nil && !q.Step.MayDepart {
		a = q.Step.Lost(fmt.Errorf("the answer could not be read whole: %w", err), true)
	}
	if a.Outcome == outcome.Delivered && q.Step.MayDepart && given < s.size() {
		a = early(a)
	}
	return exchange{answer: a, body: body, header: resp.Header}
}
