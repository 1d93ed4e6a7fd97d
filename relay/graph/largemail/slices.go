package largemail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
)

const (
	sliceSize   = 3 << 20 // bytes of one PUT; Graph takes at most 4 MB
	maxSessions = 3       // for one file
	sessionTail = time.Minute
	sessionLife = 24 * time.Hour // at most, for what must not be shown meanwhile
)

// attachmentItem opens an upload session.
type attachmentItem struct {
	Item struct {
		Type        string `json:"attachmentType"`
		Name        string `json:"name"`
		Size        int64  `json:"size"`
		ContentType string `json:"contentType"`
		IsInline    bool   `json:"isInline,omitempty"`
		ContentID   string `json:"contentId,omitempty"`
	} `json:"AttachmentItem"`
}

// session is an upload session.
type session struct {
	url     *url.URL // a secret: who has it may write
	expires time.Time
}

// errSessionOver means that only a new session helps.
var errSessionOver = errors.New("the upload session is over")

// uploadFile sends a large file, with a new session where one expires. A session
// that ended before the last byte has left nothing in the draft.
func (u *upload) uploadFile(ctx context.Context, f File) (a outcome.Answer) {
	for range maxSessions {
		var s session
		if s, a = u.openSession(ctx, f); a.Outcome != outcome.Delivered {
			return a
		}
		forget := u.c.cfg.Secrets.Add(s.url.RawQuery, path.Base(s.url.Path))
		time.AfterFunc(min(max(s.expires.Sub(u.c.cfg.Now()), sessionTail), sessionLife), forget)
		var err error
		a, err = u.fill(ctx, s, f)
		if !errors.Is(err, errSessionOver) || ctx.Err() != nil {
			return a
		}
	}
	return a
}

func (u *upload) openSession(ctx context.Context, f File) (session, outcome.Answer) {
	var item attachmentItem
	item.Item.Type, item.Item.Name, item.Item.Size, item.Item.ContentType = "file", f.Name, f.Content.Size, f.Type
	item.Item.IsInline, item.Item.ContentID = f.Inline, f.ContentID
	body, err := json.Marshal(item)
	if err != nil {
		return session{}, sessionStep.Unreadable(err)
	}
	answer, a := u.patiently(ctx, graph.Request{
		Step: sessionStep, Method: http.MethodPost, Path: u.below("attachments", "createUploadSession"),
		Body: inMemory("application/json", body),
	})
	if a.Outcome != outcome.Delivered {
		return session{}, a
	}
	var made struct {
		URL     string `json:"uploadUrl"`
		Expires string `json:"expirationDateTime"`
	}
	if err := json.Unmarshal(answer, &made); err != nil {
		return session{}, sessionStep.Lost(errors.New("the answer is not an upload session"), true)
	}
	s := session{}
	if s.url, err = u.c.uploadURL(made.URL); err != nil {
		wrong := outcome.On("", "", "").
			Hold(outcome.ScopeMessage, "4.3.5", sessionStep.Name+": "+err.Error(), graph.AdviceProxy).Answer()
		wrong.HTTPStatus, wrong.RequestID = a.HTTPStatus, a.RequestID
		return s, wrong
	}
	s.expires, _ = time.Parse(time.RFC3339Nano, made.Expires) // without it the service refuses in time
	return s, a
}

// fill puts the file into a session, slice by slice, in order. errSessionOver
// means that the answer would be another with a new session.
func (u *upload) fill(ctx context.Context, s session, f File) (outcome.Answer, error) {
	select {
	case u.c.uploads <- struct{}{}:
		defer func() { <-u.c.uploads }()
	case <-ctx.Done():
		return sliceStep.Lost(context.Cause(ctx), false), ctx.Err()
	}
	src, slice := rewinder{open: f.Content.Open}, make([]byte, sliceSize)
	have := int64(-1) // the place in the file of what is in slice
	for at, tries := int64(0), 0; ; {
		if at > 0 && !s.expires.IsZero() && !u.c.cfg.Now().Add(sessionTail).Before(s.expires) {
			return sliceStep.Lost(errSessionOver, true), errSessionOver
		}
		part := slice[:min(sliceSize, f.Content.Size-at)]
		if at != have {
			if err := src.readAt(part, at); err != nil {
				return sliceStep.Unreadable(graph.NotRead(err)), err
			}
			have = at
		}
		next, a, err := u.put(ctx, s, part, at, f.Content.Size)
		if sent := at + int64(len(part)); a.Outcome == outcome.Delivered && next > sent {
			// It would continue behind bytes that it does not have.
			lost := fmt.Errorf("the service expects byte %d, and was sent %d", next, sent)
			return sliceStep.Lost(lost, true), errSessionOver
		}
		switch {
		case err != nil || a.Outcome == outcome.Hold || a.Outcome == outcome.Bounce:
			return a, err
		case a.Outcome == outcome.Delivered && next == f.Content.Size:
			return a, nil
		case a.Outcome == outcome.Delivered && next > at:
			at, tries = next, 0
			continue
		}
		if a.Outcome == outcome.Delivered {
			a = sliceStep.Lost(fmt.Errorf("the service expects byte %d again", next), true)
		}
		if a.RetryAfter > longestWait || !pause(ctx, tries, a.RetryAfter) {
			return a, nil
		}
		tries++
	}
}

// put sends one slice and returns the byte that comes next. Where no answer
// came, the session is asked. Only a lost last slice leaves a doubt: the
// attachment may be there, so the whole draft must be made again.
func (u *upload) put(
	ctx context.Context, s session, part []byte, at, size int64,
) (next int64, a outcome.Answer, err error) {
	end := at + int64(len(part))
	body, a := u.call(ctx, http.MethodPut, s, part, fmt.Sprintf("bytes %d-%d/%d", at, end-1, size))
	switch {
	case a.HTTPStatus == http.StatusCreated:
		if end == size {
			return size, a, nil
		}
		return at, sliceStep.Lost(errors.New("the service took a part for the whole"), true), nil
	case a.Outcome == outcome.Delivered:
		return nextExpected(body, at), a, nil
	case isOver(a.HTTPStatus):
		again := sliceStep.Lost(fmt.Errorf("%w (Graph answered %d)", errSessionOver, a.HTTPStatus), true)
		again.HTTPStatus, again.RequestID = a.HTTPStatus, a.RequestID
		return at, again, errSessionOver
	case a.HTTPStatus == http.StatusTooManyRequests, a.Outcome == outcome.Hold, a.Outcome == outcome.Bounce,
		ctx.Err() != nil:
		return at, a, nil
	}
	state, b := u.call(ctx, http.MethodGet, s, nil, "")
	switch {
	case b.Outcome == outcome.Delivered && b.HTTPStatus == http.StatusOK:
		next = nextExpected(state, at)
		if next > at { // the session knows better than the lost answer
			a.Outcome = outcome.Delivered
		}
		return next, a, nil
	case isOver(b.HTTPStatus) && end < size:
		return at, a, errSessionOver
	case isOver(b.HTTPStatus):
		return at, a, errors.New("the end of the upload got no answer")
	}
	return at, a, nil
}

// isOver recognises the answers that mean a session cannot continue: it expired,
// is unknown, refuses its own token, or has lost count.
func isOver(httpStatus int) bool {
	return slices.Contains([]int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusGone, http.StatusConflict, http.StatusRequestedRangeNotSatisfiable,
	}, httpStatus)
}

// call makes a request of the upload URL: without our token, which is not meant for it.
func (u *upload) call(
	ctx context.Context, method string, s session, part []byte, contentRange string,
) ([]byte, outcome.Answer) {
	q := graph.Request{Step: sliceStep, Method: method, URL: s.url, Header: map[string]string{}}
	if part != nil {
		q.Header["Content-Range"] = contentRange
		q.Body = inMemory("application/octet-stream", part)
	}
	return u.do(ctx, q)
}

// inMemory is a body that is small enough to lie in memory.
func inMemory(kind string, b []byte) *graph.Body {
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	return &graph.Body{Type: kind, Size: int64(len(b)), Open: open}
}

// nextExpected reads nextExpectedRanges, which has one number, with a dash in
// the description and without one in the document. instead is for an answer
// that does not say it.
func nextExpected(body []byte, instead int64) int64 {
	var state struct {
		Ranges []string `json:"nextExpectedRanges"`
	}
	if json.Unmarshal(body, &state) != nil || len(state.Ranges) == 0 {
		return instead
	}
	first, _, _ := strings.Cut(state.Ranges[0], "-")
	n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	if err != nil || n < 0 {
		return instead
	}
	return n
}

// rewinder reads a content at rising offsets, and again from the start where an
// offset is behind.
type rewinder struct {
	open func() io.Reader
	r    io.Reader
	at   int64
}

func (w *rewinder) readAt(p []byte, at int64) error {
	if w.r == nil || at < w.at {
		w.r, w.at = w.open(), 0
	}
	if _, err := io.CopyN(io.Discard, w.r, at-w.at); err != nil {
		return err
	}
	_, err := io.ReadFull(w.r, p)
	w.at = at + int64(len(p))
	if err != nil {
		w.r = nil
	}
	return err
}
