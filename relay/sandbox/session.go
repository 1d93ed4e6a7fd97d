package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The sizes for which an upload session is made [D
// attachment-createuploadsession: 3 MB to 150 MB].
const (
	minSession = 3_000_000
	maxSession = 150 << 20
)

// Attachment is what is remembered of a file of a message that came as a draft.
type Attachment struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	ContentID string `json:"content_id"`
	Inline    bool   `json:"inline"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

// file is an attachment on its way.
type file struct {
	Attachment
	content []byte
	hash    hash.Hash
}

func newFile(properties map[string]any) *file {
	f := &file{hash: sha256.New()}
	f.Name, _ = properties["name"].(string)
	f.Type, _ = properties["contentType"].(string)
	f.ContentID, _ = properties["contentId"].(string)
	f.Inline, _ = properties["isInline"].(bool)
	return f
}

func (f *file) write(p []byte, keep bool) {
	f.hash.Write(p)
	f.Size += int64(len(p))
	if keep {
		f.content = append(f.content, p...)
	}
}

func (f *file) finish() { f.SHA256 = hex.EncodeToString(f.hash.Sum(nil)) }

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// session is an upload session. Its calls come one after another; a second at
// once is refused.
type session struct {
	draft   *draft
	id      string
	size    int64
	expires time.Time
	file    *file
	busy    bool
}

// createSession is POST attachments/createUploadSession: 201, as the documents
// say and the description does not.
func (d *Double) createSession(x *exchange, id string) *answer {
	value, _, refused := d.readResource(x,
		"/users/{user-id}/messages/{message-id}/attachments/microsoft.graph.createUploadSession")
	if refused != nil {
		return refused
	}
	item, _ := value["AttachmentItem"].(map[string]any)
	kind, _ := item["attachmentType"].(string)
	name, _ := item["name"].(string)
	size, _ := item["size"].(float64)
	switch {
	case !strings.EqualFold(kind, "file") || name == "" || size > maxSession:
		return graphError(http.StatusBadRequest, "ErrorInvalidRequest", "The attachment item is not valid.")
	case size < minSession: // [K] the code; [D attachment-createuploadsession] the rule
		return graphError(http.StatusBadRequest, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
			"Attachment size must be greater than the minimum size.")
	}
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	m, refused := d.drafts.find(x.mailbox, id)
	if refused != nil {
		return refused
	}
	token := rand.Text()
	s := &session{draft: m, id: newID(), size: int64(size), expires: d.o.Now().Add(d.o.SessionLifetime),
		file: newFile(item)}
	d.drafts.sessions[token] = s
	return jsonAnswer(http.StatusCreated, map[string]any{
		"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.uploadSession",
		"uploadUrl": fmt.Sprintf("https://%s/api/gv1.0/users('%s')/messages('%s')/"+
			"AttachmentSessions('%s')?authtoken=%s",
			x.r.Host, url.PathEscape(m.mailbox), m.id, s.id, token),
		"expirationDateTime": s.expires.UTC().Format(time.RFC3339Nano), "nextExpectedRanges": []string{"0-"},
	})
}

// ExpireUploadSessions ends every upload session at once.
func (d *Double) ExpireUploadSessions() {
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	clear(d.drafts.sessions)
}

// upload answers at an upload URL, which is no part of Graph: what is in it is
// all that counts, and a token of Graph is refused [I msgraph-sdk-java-core#445].
func (d *Double) upload(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("authtoken")
	d.drafts.mu.Lock()
	s := d.drafts.sessions[token]
	mailbox := ""
	if s != nil {
		mailbox = s.draft.mailbox
	}
	d.drafts.mu.Unlock()
	x := d.begin(w, r, "upload", mailbox)
	defer x.end()
	x.run(func() *answer {
		switch {
		case r.Header.Get("Authorization") != "":
			return graphError(http.StatusUnauthorized, "InvalidAudienceForResource",
				"The audience claim value is invalid for current resource.")
		case s == nil || !d.o.Now().Before(s.expires): // [K]
			return graphError(http.StatusNotFound, "ErrorItemNotFound",
				"The specified object was not found in the store.")
		}
		switch r.Method {
		case http.MethodPut:
			return d.uploadRange(x, token, s)
		case http.MethodGet:
			return d.uploadStatus(s)
		case http.MethodDelete:
			d.drafts.mu.Lock()
			delete(d.drafts.sessions, token)
			d.drafts.mu.Unlock()
			return &answer{status: http.StatusNoContent}
		}
		return graphError(http.StatusMethodNotAllowed, "Request_BadRequest",
			"Specified HTTP method is not allowed for the request target.")
	})
}

// uploadStatus has a capital E and no dash, as the sample of the document.
func (d *Double) uploadStatus(s *session) *answer {
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	return jsonAnswer(http.StatusOK, map[string]any{
		"@odata.context": "https://outlook.office.com/api/gv1.0/$metadata#UploadSession",
		"ExpirationDateTime": s.expires.UTC().Format(
			time.RFC3339Nano), "nextExpectedRanges": []string{strconv.FormatInt(s.file.Size, 10)},
	})
}

// uploadRange takes the next range of at most 4 MB. Nothing of one that did not
// arrive whole counts.
func (d *Double) uploadRange(x *exchange, token string, s *session) *answer {
	first, last, total, ok := parseRange(x.r.Header.Get("Content-Range"))
	switch {
	case !ok || total != s.size || x.r.ContentLength != last-first+1 ||
		x.r.Header.Get("Content-Type") != "application/octet-stream":
		return graphError(http.StatusBadRequest, "ErrorInvalidRequest",
			"The range, its length or its type is not valid.")
	case x.r.ContentLength > maxRequest:
		return tooLarge()
	}
	d.drafts.mu.Lock()
	wrong := s.busy || first != s.file.Size
	s.busy = s.busy || !wrong
	d.drafts.mu.Unlock()
	if wrong {
		return graphError(http.StatusRequestedRangeNotSatisfiable, "invalidRange",
			"The range is not the next expected one.")
	}
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxRequest))
	d.drafts.mu.Lock()
	s.busy = false
	if err != nil {
		d.drafts.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	s.file.write(body, d.store.keepsBodies() && s.file.Size < d.o.KeepBytes)
	done := s.file.Size == s.size
	if done {
		s.file.finish()
		s.draft.add(s.file, d)
		delete(d.drafts.sessions, token)
	}
	d.drafts.mu.Unlock()
	if !done {
		return d.uploadStatus(s)
	}
	return &answer{status: http.StatusCreated, header: map[string]string{
		"Location": fmt.Sprintf("https://%s/api/v2.0/Users('%s')/Messages('%s')/Attachments('%s')", x.r.Host,
			s.draft.mailbox, s.draft.id, s.id)}}
}

func parseRange(s string) (first, last, total int64, ok bool) {
	n, err := fmt.Sscanf(s, "bytes %d-%d/%d", &first, &last, &total)
	return first, last, total, err == nil && n == 3 && first >= 0 && last >= first && last < total
}
