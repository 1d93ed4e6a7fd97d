package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	abs "github.com/microsoft/kiota-abstractions-go"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// request is one call of the API of a mailbox other than sendMail.
type request struct {
	step   step
	method abs.HttpMethod
	path   string            // below /users/{mailbox}, a URI template such as /messages/{id}
	params map[string]string // of path
	query  url.Values
	header map[string]string
	body   *content // nil for none
	limit  int64    // octets of the answer that are read; 0 means maxBody
}

// content is the body of a request. open is called once for each try of the
// transport; size is exact.
type content struct {
	kind string // Content-Type
	size int64
	open func() (io.ReadCloser, error)
}

// jsonContent is a body that is small enough to lie in memory.
func jsonContent(b []byte) *content {
	return &content{kind: "application/json", size: int64(len(b)),
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// response is what came back. Its body is bounded.
type response struct {
	header http.Header
	body   []byte
}

// do makes a request, once more with a new token after a 401, and says what
// came of it: Delivered where the step succeeded.
func (c *Client) do(ctx context.Context, mailbox envelope.Address, q request) (response, outcome.Answer) {
	r, token, a := c.once(ctx, mailbox, q)
	if a.HTTPStatus != http.StatusUnauthorized || token == "" {
		return r, a
	}
	if err := c.tokens.renew(ctx, token, challengeClaims(r.header["Www-Authenticate"])); err != nil {
		return r, unauthorized(a, err)
	}
	r, _, again := c.once(ctx, mailbox, q)
	again.Duration += a.Duration
	return r, again
}

func (c *Client) once(ctx context.Context, mailbox envelope.Address, q request) (response, string, outcome.Answer) {
	id := requestID()
	req, err := c.build(ctx, mailbox, q, id)
	if err != nil {
		return response{}, "", c.redacted(noToken(err))
	}
	start := time.Now()
	r, a := c.exchange(ctx, req, q.step, q.body, q.limit)
	a.Duration = time.Since(start)
	if a.RequestID == "" {
		a.RequestID = id
	}
	return r, strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "), a
}

// build lets the SDK make the request and put the token into it, and checks
// that it did.
func (c *Client) build(ctx context.Context, mailbox envelope.Address, q request, id string) (*http.Request, error) {
	params := map[string]string{"baseurl": c.base, "user%2Did": mailbox.String()}
	for name, value := range q.params {
		params[name] = value
	}
	ri := abs.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(q.method, "{+baseurl}/users/{user%2Did}"+q.path, params)
	ri.Headers.Add("Accept", "application/json")
	ri.Headers.Add("User-Agent", c.cfg.UserAgent)
	ri.Headers.Add("client-request-id", id)
	for name, value := range q.header {
		ri.Headers.Add(name, value)
	}
	if q.body != nil {
		ri.Headers.Add("Content-Type", q.body.kind)
	}
	native, err := c.adapter.ConvertToNativeRequest(ctx, ri)
	if err != nil {
		return nil, err
	}
	req, ok := native.(*http.Request)
	if !ok {
		return nil, fmt.Errorf("the SDK made a %T in place of a request", native)
	}
	req.URL.RawQuery = odataQuery(q.query)
	return req, c.mayLeave(req)
}

// odataQuery writes blanks as %20, for an OData parser need not know the + of
// HTML forms.
func odataQuery(v url.Values) string { return strings.ReplaceAll(v.Encode(), "+", "%20") }

// quoteOData makes a string literal of OData: apostrophes are doubled.
func quoteOData(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// exchange sends req, whose URL and header are complete, and reads the answer.
// Nothing of the content is read after it has returned.
func (c *Client) exchange(ctx context.Context, req *http.Request, s step, body *content, limit int64) (response, outcome.Answer) {
	ctx, cancel := context.WithTimeout(ctx, requestTime(body))
	defer cancel()
	var streams streams
	if err := streams.attach(req, body); err != nil {
		return response{}, c.redacted(s.lost(err, false, err))
	}
	var began atomic.Bool // a connection was there, so octets of the request may have left
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { began.Store(true) }})
	var w wire
	resp, err := c.transport.RoundTrip(req.WithContext(w.trace(traced)))
	if err != nil {
		unreadable := streams.stop()
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return response{}, c.redacted(s.lost(err, began.Load() && !w.wasDead(err), unreadable))
	}
	defer resp.Body.Close()
	if limit == 0 {
		limit = maxBody
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	_ = streams.stop()
	a := s.judge(resp.StatusCode, resp.Header, text[:min(len(text), maxBody)], c.cfg.Now())
	if a.Outcome == outcome.Delivered && (err != nil || int64(len(text)) > limit) && !s.mayDepart {
		a = s.lost(fmt.Errorf("the answer could not be read whole: %w", firstError(err, errors.New("it is too long"))), true, nil)
	}
	return response{resp.Header, text}, c.redacted(a)
}

func requestTime(body *content) time.Duration {
	if body == nil {
		return baseTimeout
	}
	return baseTimeout + time.Duration(body.size/slowestBytes)*time.Second
}

// streams opens the content for each try of the transport, and ends all
// reading of it.
type streams struct {
	mu   sync.Mutex
	last *stream
}

func (s *streams) attach(req *http.Request, body *content) error {
	if body == nil {
		return nil
	}
	open := func() (io.ReadCloser, error) {
		src, err := body.open()
		if err != nil {
			return nil, &spoolError{err}
		}
		one := &stream{src: src}
		s.mu.Lock()
		s.last = one
		s.mu.Unlock()
		return one, nil
	}
	first, err := open()
	if err != nil {
		return err
	}
	req.Body, req.GetBody, req.ContentLength = first, open, body.size
	return nil
}

// stop ends all reading, and tells whether the content could not be read.
func (s *streams) stop() error {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == nil {
		return nil
	}
	_ = last.Close()
	last.mu.Lock()
	defer last.mu.Unlock()
	return last.err
}

// stream is a content that can be closed while it is read.
type stream struct {
	mu     sync.Mutex
	src    io.ReadCloser
	err    error // of src
	closed bool
}

func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, errBodyClosed
	case s.err != nil:
		return 0, s.err
	}
	n, err := s.src.Read(p)
	if err != nil && err != io.EOF {
		s.err = &spoolError{err}
		err = s.err
	}
	return n, err
}

func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.src.Close()
}
