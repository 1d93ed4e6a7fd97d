package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	abs "github.com/microsoft/kiota-abstractions-go"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

const (
	maxUploads   = 4       // files at once for one identity: each holds a slice in memory
	maxDraftBody = 8 << 20 // octets of the answer to a new draft, which repeats it
	discardTime  = 4 * time.Second
	longestWait  = 10 * time.Second // within one attempt; what takes longer ends it
	createPath   = "/messages"
	attachPath   = "/messages/{id}/attachments"
	maxFiles     = 1000 // of a draft, asked for at once
)

// The steps of the way, each with what the documents name as its success.
var (
	createStep  = step{name: "creating the draft", want: []int{http.StatusCreated}, needs: roleReadWrite}
	discardStep = step{name: "deleting the draft", want: []int{http.StatusNoContent, http.StatusNotFound}, needs: roleReadWrite, aside: true}
	attachStep  = step{name: "attaching a file", want: []int{http.StatusCreated}, needs: roleReadWrite}
	countStep   = step{name: "counting the files of the draft", want: []int{http.StatusOK}, needs: roleReadWrite, aside: true}
	sessionStep = step{name: "opening an upload session", want: []int{http.StatusCreated, http.StatusOK}, needs: roleReadWrite}
	sliceStep   = step{name: "uploading a file", want: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}, needs: roleReadWrite}
	sendStep    = step{name: "sending the draft", want: []int{http.StatusAccepted}, needs: roleSend, mayDepart: true}
)

// Upload sends a message that is too large for sendMail: as a draft of its
// parts, its files by upload sessions where they are large, and then send. It
// makes one attempt, like Send; before the request that sends the draft nothing
// can have been sent, so that only a lost answer to that one is Unknown. A draft
// that is given up is deleted: within seconds where that can be, else by Run
// within about two hours, and one that an earlier attempt left is deleted first.
// Nothing of d is read after
// Upload has returned. It needs Application Mail.ReadWrite beside Mail.Send.
func (c *Client) Upload(ctx context.Context, mailbox envelope.Address, d Draft) outcome.Answer {
	start := time.Now()
	u := &upload{c: c, mailbox: mailbox, d: d}
	u.d.Again = c.left.begin(ctx, d.ID) || d.Again
	a := u.run(ctx)
	c.left.end(d.ID, u.leftover(a))
	a.Duration, a.Uploaded, a.Requests = time.Since(start), u.octets, u.requests
	return a
}

// upload is one attempt.
type upload struct {
	c       *Client
	mailbox envelope.Address
	d       Draft
	id      string // of the draft

	octets   int64 // of the bodies of all requests
	requests int

	left bool // beside the draft there may be others in the mailbox, or it may be there still
}

// leftover is what Run has to delete after an attempt with this answer.
func (u *upload) leftover(a outcome.Answer) *leftover {
	if !u.left {
		return nil
	}
	x := &leftover{mailbox: u.mailbox, due: u.c.cfg.Now().Add(leftoverEvery)}
	if a.Outcome == outcome.Delivered || a.Outcome == outcome.Unknown {
		x.keep = u.id
	}
	return x
}

func (u *upload) run(ctx context.Context) outcome.Answer {
	if u.d.Again {
		a := u.removeLeftovers(ctx)
		if a.Outcome == outcome.Retry {
			u.left = true
			return a
		}
		u.checkRemoved(a)
	}
	a := u.create(ctx)
	for i := 0; a.Outcome == outcome.Delivered && i < len(u.d.Attachments); i++ {
		a = u.attach(ctx, u.d.Attachments[i], i)
	}
	if a.Outcome == outcome.Delivered {
		a = u.send(ctx)
	}
	if a.Outcome != outcome.Delivered && a.Outcome != outcome.Unknown {
		u.discard(ctx, a)
	}
	return a
}

// do makes a request of the draft and counts it and its octets.
func (u *upload) do(ctx context.Context, q request) (response, outcome.Answer) {
	u.requests++
	if q.body != nil {
		u.octets += q.body.size
	}
	if q.header == nil {
		q.header = map[string]string{"Prefer": preferImmutable}
	}
	if q.params == nil {
		q.params = map[string]string{"id": u.id}
	}
	return u.c.do(ctx, u.mailbox, q)
}

// patiently repeats a request that Graph put off for a moment. Only answers
// that say so are repeated: after any other, what was asked for may be there.
func (u *upload) patiently(ctx context.Context, q request) (response, outcome.Answer) {
	for tries := 0; ; tries++ {
		r, a := u.do(ctx, q)
		if !u.again(ctx, a, tries) {
			return r, a
		}
		// The draft may be there all the same, and would be one too many.
		u.left = u.left || q.path == createPath && a.HTTPStatus == http.StatusServiceUnavailable
	}
}

// again waits for the next try where an answer says that there may be one.
func (u *upload) again(ctx context.Context, a outcome.Answer, tries int) bool {
	busy := a.HTTPStatus == http.StatusTooManyRequests || a.HTTPStatus == http.StatusServiceUnavailable
	return a.Outcome == outcome.Retry && busy && a.RetryAfter <= longestWait && u.c.pause(ctx, tries, a.RetryAfter)
}

func (u *upload) create(ctx context.Context) outcome.Answer {
	body, ok, err := u.d.content()
	if err == nil && !ok {
		u.d = u.d.withTextAttached()
		body, ok, err = u.d.content()
	}
	switch {
	case err != nil:
		return createStep.lost(err, false, err)
	case !ok:
		return outcome.Answer{Outcome: outcome.Bounce, Status: reply.Enhanced{5, 3, 4}, Text: "the header of the message is too large to be sent in parts", Advice: adviceSize}
	}
	r, a := u.patiently(ctx, request{step: createStep, method: abs.POST, path: createPath, body: body, limit: maxDraftBody})
	if a.Outcome != outcome.Delivered {
		return a
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(r.body, &made); err != nil || made.ID == "" {
		return createStep.lost(fmt.Errorf("the answer names no draft (%v)", err), true, nil)
	}
	u.id = made.ID
	return a
}

// fileAttachment is the attachment resource of a small file.
type fileAttachment struct {
	Type        string `json:"@odata.type"`
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
	IsInline    bool   `json:"isInline,omitempty"`
	ContentID   string `json:"contentId,omitempty"`
	Bytes       string `json:"contentBytes"`
}

// attach adds a file to those that are there: in one request where it fits, else
// by an upload session. The border that the documents give, 3 MB, can be read in
// two ways, so that the service may correct the choice.
func (u *upload) attach(ctx context.Context, f File, there int) outcome.Answer {
	body, err := u.fileContent(f)
	if err != nil {
		return attachStep.lost(err, false, err)
	}
	if body.size > maxJSON {
		a := u.uploadFile(ctx, f)
		if a.Code != "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize" {
			return a
		}
	}
	a := u.attachOnce(ctx, body, there)
	if a.HTTPStatus == http.StatusRequestEntityTooLarge && body.size <= maxJSON {
		return u.uploadFile(ctx, f)
	}
	return a
}

// attachOnce adds a small file. A 503 may hide that it was added: the files are
// counted before the next try, so that nobody gets one twice. Where they cannot
// be counted the attempt is over.
func (u *upload) attachOnce(ctx context.Context, body *content, there int) outcome.Answer {
	for tries := 0; ; tries++ {
		_, a := u.do(ctx, request{step: attachStep, method: abs.POST, path: attachPath, body: body})
		if !u.again(ctx, a, tries) {
			return a
		}
		if a.HTTPStatus != http.StatusServiceUnavailable {
			continue
		}
		switch n, known := u.files(ctx); {
		case !known:
			return a
		case n > there:
			a.Outcome = outcome.Delivered
			return a
		}
	}
}

// files counts the files of the draft.
func (u *upload) files(ctx context.Context) (n int, known bool) {
	r, a := u.patiently(ctx, request{step: countStep, method: abs.GET, path: attachPath, limit: maxPage,
		query: url.Values{"$select": {"id"}, "$top": {strconv.Itoa(maxFiles)}}})
	var page struct {
		Value []struct{} `json:"value"`
		Next  *string    `json:"@odata.nextLink"`
	}
	if a.Outcome != outcome.Delivered || json.Unmarshal(r.body, &page) != nil || page.Value == nil {
		return 0, false
	}
	return len(page.Value), page.Next == nil
}

// fileContent is the request that adds a small file, its octets streamed.
func (u *upload) fileContent(f File) (*content, error) {
	marker := requestID()
	before, after, err := jsonAround(fileAttachment{Type: "#microsoft.graph.fileAttachment", Name: f.Name, ContentType: f.Type,
		IsInline: f.Inline, ContentID: f.ContentID, Bytes: marker}, marker)
	if err != nil {
		return nil, err
	}
	c := &content{kind: "application/json", size: int64(len(before)) + encodedLen(f.Content.Size) + int64(len(after))}
	c.open = func() (io.ReadCloser, error) {
		encoded := newBase64Body(io.NopCloser(f.Content.Open()), f.Content.Size, u.c.buffers)
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(before), encoded, bytes.NewReader(after)), encoded}, nil
	}
	return c, nil
}

// send makes the draft leave. It is the one request whose answer must not be lost.
func (u *upload) send(ctx context.Context) outcome.Answer {
	_, a := u.patiently(ctx, request{step: sendStep, method: abs.POST, path: "/messages/{id}/send"})
	return a
}

// removeLeftovers deletes the drafts that carry our mark for this message, but
// for the one of this attempt.
func (u *upload) removeLeftovers(ctx context.Context) outcome.Answer {
	u.requests++
	items, a := u.c.search(ctx, u.mailbox, "singleValueExtendedProperties/Any(ep: ep/id eq "+quoteOData(markerID)+
		" and ep/value eq "+quoteOData(string(u.d.ID))+") and isDraft eq true", "isDraft")
	if a.Outcome != outcome.Delivered {
		return a
	}
	for _, it := range items {
		if !it.IsDraft || it.ID == "" || it.ID == u.id {
			continue
		}
		if _, a = u.do(ctx, request{step: discardStep, method: abs.DELETE, path: "/messages/{id}", params: map[string]string{"id": it.ID}}); a.Outcome != outcome.Delivered {
			return a
		}
	}
	return a
}

// discard deletes what a failed attempt has left, also while the service is
// being stopped. A draft whose creation got no answer is looked for. What
// cannot be deleted now is deleted by the next attempt, or by Run.
func (u *upload) discard(ctx context.Context, why outcome.Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	var a outcome.Answer
	switch {
	case u.id != "":
		_, a = u.do(ctx, request{step: discardStep, method: abs.DELETE, path: "/messages/{id}"})
	case why.HTTPStatus == 0 || why.HTTPStatus == http.StatusCreated || why.HTTPStatus >= 500:
		a = u.removeLeftovers(ctx)
	default:
		return
	}
	u.checkRemoved(a)
}

// checkRemoved tells the operator of a draft that may lie in the mailbox. It
// does no harm there: nothing sends it.
func (u *upload) checkRemoved(a outcome.Answer) {
	if a.Outcome != outcome.Delivered {
		u.left = true
		u.c.cfg.Log.Warn("a draft may have been left in the mailbox", "queue_id", string(u.d.ID), "mailbox", u.mailbox.String(), "reason", a.Text)
	}
}

// pause waits before the next of a few tries, or tells that there is none.
func (c *Client) pause(ctx context.Context, tries int, after time.Duration) bool {
	const most = 4
	if tries >= most {
		return false
	}
	wait := max(after, time.Duration(tries)*time.Second)
	if wait == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// uploadURL checks where a session wants the octets to go: https, and one of
// the cloud's own upload hosts or the endpoint of the configuration. The URL
// carries a token, so that no error shows it.
func (c *Client) uploadURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("the upload URL is not https, or names a user or a fragment")
	}
	if u.Host == c.cfg.Graph.Host || isUploadHost(u) {
		return u, nil
	}
	return nil, fmt.Errorf("the upload URL points to the host %q, which is none of Microsoft's", line(u.Host, maxWord))
}

func isUploadHost(u *url.URL) bool {
	if p := u.Port(); p != "" && p != "443" {
		return false
	}
	switch u.Hostname() {
	case "outlook.office.com", "outlook.office365.com", "outlook.office365.us", "outlook-dod.office365.us", "partner.outlook.cn":
		return true
	}
	return false
}
