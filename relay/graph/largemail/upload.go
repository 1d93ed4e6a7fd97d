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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/text"
)

const (
	maxDraftBody = 8 << 20 // bytes of the answer to a new draft, which repeats it
	discardTime  = 4 * time.Second
	longestWait  = 10 * time.Second // within one attempt; what takes longer ends it
	maxFiles     = 1000             // of a draft, asked for at once
)

// The steps of the way, each with what the documents name as its success.
var (
	createStep  = early("creating the draft", http.StatusCreated)
	discardStep = aside("deleting the draft", http.StatusNoContent, http.StatusNotFound)
	attachStep  = early("attaching a file", http.StatusCreated)
	countStep   = aside("counting the files of the draft", http.StatusOK)
	sessionStep = early("opening an upload session", http.StatusCreated, http.StatusOK)
	sliceStep   = early("uploading a file", http.StatusOK, http.StatusCreated, http.StatusAccepted)
	sendStep    = graph.Step{Name: "sending the draft", Want: []int{http.StatusAccepted}, MayDepart: true}
)

// early is a step before the last one, which cannot send anything.
func early(name string, want ...int) graph.Step {
	return graph.Step{Name: name, Want: want, Needs: graph.RoleReadWrite}
}

// aside is an early step that does not carry the message.
func aside(name string, want ...int) graph.Step {
	s := early(name, want...)
	s.Aside = true
	return s
}

// upload is one attempt.
type upload struct {
	c       *Client
	mailbox envelope.Address
	d       Draft
	id      string // of the draft

	bytes    int64 // of the bodies of all requests
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

// do makes a request of the draft and counts it and its bytes.
func (u *upload) do(ctx context.Context, q graph.Request) ([]byte, outcome.Answer) {
	u.requests++
	if q.Body != nil {
		u.bytes += q.Body.Size
	}
	if q.Header == nil {
		q.Header = map[string]string{"Prefer": graph.PreferImmutable}
	}
	if !q.Step.Aside {
		q.MayBegin = u.d.MayBegin
	}
	return u.c.Do(ctx, u.mailbox, q)
}

// patiently repeats a request that Graph put off for a moment. Only answers
// that say so are repeated: after any other, what was asked for may be there.
func (u *upload) patiently(ctx context.Context, q graph.Request) ([]byte, outcome.Answer) {
	for tries := 0; ; tries++ {
		body, a := u.do(ctx, q)
		if !u.again(ctx, a, tries) {
			return body, a
		}
		// The draft may be there all the same, and would be one too many.
		u.left = u.left || u.id == "" && a.HTTPStatus == http.StatusServiceUnavailable
	}
}

// again waits for the next try where an answer says that there may be one.
func (u *upload) again(ctx context.Context, a outcome.Answer, tries int) bool {
	busy := a.HTTPStatus == http.StatusTooManyRequests || a.HTTPStatus == http.StatusServiceUnavailable
	return a.Outcome == outcome.Retry && busy && a.RetryAfter <= longestWait && pause(ctx, tries, a.RetryAfter)
}

func (u *upload) create(ctx context.Context) outcome.Answer {
	body, ok, err := u.d.content()
	if err == nil && !ok {
		u.d = u.d.withTextAttached()
		body, ok, err = u.d.content()
	}
	switch {
	case err != nil:
		return createStep.Unreadable(err)
	case !ok:
		return outcome.On("", "", "").
			Bounce("5.3.4", "the header of the message is too large to be sent in parts", graph.AdviceSize).Answer()
	}
	answer, a := u.patiently(ctx, graph.Request{
		Step: createStep, Method: http.MethodPost, Path: []string{"messages"}, Body: body, Limit: maxDraftBody,
	})
	if a.Outcome != outcome.Delivered {
		return a
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || made.ID == "" {
		return createStep.Lost(fmt.Errorf("the answer names no draft (%v)", err), true)
	}
	u.id = made.ID
	return a
}

// below is the path of what belongs to the draft.
func (u *upload) below(segments ...string) []string {
	return append([]string{"messages", u.id}, segments...)
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
		return attachStep.Unreadable(err)
	}
	if body.Size > maxJSON {
		a := u.uploadFile(ctx, f)
		if a.Code != "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize" {
			return a
		}
	}
	a := u.attachOnce(ctx, body, there)
	if a.HTTPStatus == http.StatusRequestEntityTooLarge && body.Size <= maxJSON {
		return u.uploadFile(ctx, f)
	}
	return a
}

// attachOnce adds a small file. A 503 may hide that it was added: the files are
// counted before the next try, so that nobody gets one twice. Where they cannot
// be counted the attempt is over.
func (u *upload) attachOnce(ctx context.Context, body *graph.Body, there int) outcome.Answer {
	for tries := 0; ; tries++ {
		_, a := u.do(ctx, graph.Request{
			Step: attachStep, Method: http.MethodPost, Path: u.below("attachments"), Body: body,
		})
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
	answer, a := u.patiently(ctx, graph.Request{
		Step: countStep, Method: http.MethodGet, Path: u.below("attachments"), Limit: graph.MaxPage,
		Query: url.Values{"$select": {"id"}, "$top": {strconv.Itoa(maxFiles)}},
	})
	var page struct {
		Value []struct{} `json:"value"`
		Next  *string    `json:"@odata.nextLink"`
	}
	if a.Outcome != outcome.Delivered || json.Unmarshal(answer, &page) != nil || page.Value == nil {
		return 0, false
	}
	return len(page.Value), page.Next == nil
}

// fileContent is the body of the request that adds a small file, its bytes streamed.
func (u *upload) fileContent(f File) (*graph.Body, error) {
	marker := uuid.NewString()
	before, after, err := jsonAround(fileAttachment{
		Type: "#microsoft.graph.fileAttachment", Name: f.Name, ContentType: f.Type,
		IsInline: f.Inline, ContentID: f.ContentID, Bytes: marker,
	}, marker)
	if err != nil {
		return nil, err
	}
	size := int64(len(before)) + graph.EncodedLen(f.Content.Size) + int64(len(after))
	open := func() (io.ReadCloser, error) {
		encoded := u.c.Base64(io.NopCloser(f.Content.Open()), f.Content.Size)
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(before), encoded, bytes.NewReader(after)), encoded}, nil
	}
	return &graph.Body{Type: "application/json", Size: size, Open: open}, nil
}

// send makes the draft leave. It is the one request whose answer must not be lost.
func (u *upload) send(ctx context.Context) outcome.Answer {
	_, a := u.patiently(ctx, graph.Request{Step: sendStep, Method: http.MethodPost, Path: u.below("send")})
	return a
}

// removeLeftovers deletes the drafts that carry our mark for this message, but
// for the one of this attempt.
func (u *upload) removeLeftovers(ctx context.Context) outcome.Answer {
	u.requests++
	items, a := u.c.Search(ctx, u.mailbox, "singleValueExtendedProperties/Any(ep: ep/id eq "+graph.QuoteOData(markerID)+
		" and ep/value eq "+graph.QuoteOData(string(u.d.ID))+") and isDraft eq true", "isDraft")
	if a.Outcome != outcome.Delivered {
		return a
	}
	for _, it := range items {
		if !it.IsDraft || it.ID == "" || it.ID == u.id {
			continue
		}
		if a = u.remove(ctx, it.ID); a.Outcome != outcome.Delivered {
			return a
		}
	}
	return a
}

// remove deletes one draft.
func (u *upload) remove(ctx context.Context, id string) outcome.Answer {
	_, a := u.do(ctx, graph.Request{Step: discardStep, Method: http.MethodDelete, Path: []string{"messages", id}})
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
		a = u.remove(ctx, u.id)
	case why.HTTPStatus == 0 || why.HTTPStatus == http.StatusCreated || why.HTTPStatus >= 500:
		a = u.removeLeftovers(ctx)
	default:
		return
	}
	u.checkRemoved(a)
}

// checkRemoved logs a draft that may be in the mailbox. It does no harm there:
// nothing sends it.
func (u *upload) checkRemoved(a outcome.Answer) {
	if a.Outcome != outcome.Delivered {
		u.left = true
		u.c.cfg.Log.Warn("a draft may have been left in the mailbox", "queue_id", string(u.d.ID),
			"mailbox", u.mailbox.String(), "error", a.Cause())
	}
}

// pause waits before the next of a few tries; false if there is none.
func pause(ctx context.Context, tries int, after time.Duration) bool {
	const most = 4
	return tries < most && pacing.Sleep(ctx, max(after, time.Duration(tries)*time.Second)) == nil
}

// uploadURL checks where a session wants the bytes to go: https, and one of
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
	return nil, fmt.Errorf("the upload URL points to the host %q, which is not one of Microsoft's",
		text.Foreign(u.Host, outcome.MaxWord))
}

func isUploadHost(u *url.URL) bool {
	if p := u.Port(); p != "" && p != "443" {
		return false
	}
	for _, hosts := range uploadHosts() {
		if slices.Contains(hosts, u.Hostname()) {
			return true
		}
	}
	return false
}

// uploadHosts are where the sessions of a cloud's Graph lead to.
func uploadHosts() map[string][]string {
	return map[string][]string{
		"graph.microsoft.com":             {"outlook.office.com", "outlook.office365.com"},
		"graph.microsoft.us":              {"outlook.office365.us"},
		"dod-graph.microsoft.us":          {"outlook-dod.office365.us"},
		"microsoftgraph.chinacloudapi.cn": {"partner.outlook.cn"},
	}
}

// UploadHosts are the hosts beside Graph's own to which uploads go; none where
// they are not documented, or Graph is a double.
func UploadHosts(graph *url.URL) []string { return uploadHosts()[strings.ToLower(graph.Hostname())] }
