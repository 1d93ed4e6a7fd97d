package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// drafts are the messages being made and the upload sessions of their
// attachments. They stay until they are sent, deleted, or Reset.
type drafts struct {
	mu       sync.Mutex
	byID     map[string]*draft
	sessions map[string]*session // by token
}

// draft is a message that lies in Drafts.
type draft struct {
	id, mailbox string
	resource    jsonMail
	body        []byte // the JSON as it came
	created     time.Time
	properties  map[string]string // singleValueExtendedProperties
	files       []*file
	kept        int64 // octets of the files whose content is kept
}

func newDrafts() *drafts {
	return &drafts{byID: map[string]*draft{}, sessions: map[string]*session{}}
}

// Drafts is the number of drafts in all mailboxes.
func (d *Double) Drafts() int {
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	return len(d.drafts.byID)
}

// find returns a draft of the mailbox; its caller holds mu.
func (s *drafts) find(mailbox, id string) (*draft, *answer) {
	if draft := s.byID[id]; draft != nil && draft.mailbox == mailbox {
		return draft, nil
	}
	return nil, graphError(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
}

// readResource reads a JSON body and holds it against the schema of an
// operation in the description.
func (d *Double) readResource(x *exchange, path string) (map[string]any, []byte, *answer) {
	kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	switch {
	case err != nil || kind != "application/json":
		return nil, nil, graphError(http.StatusBadRequest, "UnableToDeserializePostBody", "were unable to deserialize ")
	case x.r.ContentLength > maxRequest:
		return nil, nil, tooLarge()
	}
	body := &bodyReader{r: x.r.Body, left: maxRequest}
	raw, err := io.ReadAll(body)
	if err != nil && body.err != errTooLarge {
		panic(http.ErrAbortHandler) // the client broke off: nothing arrived
	}
	if err != nil {
		return nil, nil, tooLarge()
	}
	var value map[string]any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil, nil, graphError(http.StatusBadRequest, "BadRequest",
			"Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid "+
				"JSON format.")
	}
	if err := d.schema.check(path, value); err != nil {
		return nil, nil, graphError(http.StatusBadRequest, "RequestBodyRead",
			"The request body does not match the schema: "+oneLine(err))
	}
	return value, raw, nil
}

// check validates the body of a POST; OData annotations are no part of schemas.
func (c *contract) check(path string, value map[string]any) error {
	doc, err := c.load()
	if err != nil {
		return fmt.Errorf("the embedded OpenAPI description is damaged: %w", err)
	}
	return postSchema(doc, path).VisitJSON(withoutAnnotations(value))
}

func postSchema(doc *openapi3.T, path string) *openapi3.Schema {
	return doc.Paths.Find(path).Post.RequestBody.Value.Content.Get("application/json").Schema.Value
}

func withoutAnnotations(value map[string]any) map[string]any {
	out := maps.Clone(value)
	maps.DeleteFunc(out, func(name string, _ any) bool { return strings.Contains(name, "@odata.") })
	return out
}

// createDraft is POST messages with JSON [D user-post-messages].
func (d *Double) createDraft(x *exchange) *answer {
	value, raw, refused := d.readResource(x, "/users/{user-id}/messages")
	if refused != nil {
		return refused
	}
	m := &draft{id: "AAMkDraft" + newID(), mailbox: x.mailbox, body: raw, created: d.o.Now(),
		properties: properties(value)}
	if err := json.Unmarshal(raw, &m.resource); err != nil {
		return graphError(http.StatusBadRequest, "RequestBodyRead", oneLine(err))
	}
	if refused := m.resource.checkHeaders(); refused != nil {
		return refused
	}
	// [D user-post-messages] it is assigned
	m.resource.InternetMessageID = or(m.resource.InternetMessageID, "<"+newID()+"@sandbox.invalid>")
	d.drafts.mu.Lock()
	d.drafts.byID[m.id] = m
	d.drafts.mu.Unlock()
	value["id"], value["isDraft"], value["internetMessageId"] = m.id, true, m.resource.InternetMessageID
	return jsonAnswer(http.StatusCreated, value)
}

func properties(value map[string]any) map[string]string {
	found := map[string]string{}
	list, _ := value["singleValueExtendedProperties"].([]any)
	for _, item := range list {
		p, _ := item.(map[string]any)
		id, _ := p["id"].(string)
		text, _ := p["value"].(string)
		found[id] = text
	}
	return found
}

// deleteDraft is DELETE messages/{id} [D message-delete].
func (d *Double) deleteDraft(x *exchange, id string) *answer {
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	if _, refused := d.drafts.find(x.mailbox, id); refused != nil {
		return refused
	}
	d.drafts.remove(id)
	return &answer{status: http.StatusNoContent}
}

// remove forgets a draft and its sessions; the caller holds mu.
func (s *drafts) remove(id string) {
	delete(s.byID, id)
	maps.DeleteFunc(s.sessions, func(_ string, one *session) bool { return one.draft.id == id })
}

// sendDraft is POST messages/{id}/send: 202, and the draft is a message in Sent
// Items [D message-send].
func (d *Double) sendDraft(x *exchange, id string) *answer {
	if x.r.ContentLength != 0 { // [D message-send] Content-Length: 0
		return graphError(http.StatusBadRequest, "ErrorInvalidRequest", "The action takes no content.")
	}
	d.drafts.mu.Lock()
	m, refused := d.drafts.find(x.mailbox, id)
	d.drafts.mu.Unlock()
	if refused != nil {
		return refused
	}
	in := m.incoming(d.store.keepsBodies())
	if refused := d.checkMail(x.mailbox, &in.Message); refused != nil {
		return refused
	}
	if !d.sleep(time.Duration(d.latency.Load())) {
		dropConnection(x.r)
	}
	d.drafts.mu.Lock()
	_, refused = d.drafts.find(x.mailbox, id) // it may have been sent or deleted meanwhile
	if refused == nil {
		d.drafts.remove(id)
	}
	d.drafts.mu.Unlock()
	if refused != nil {
		return refused
	}
	return d.accept(x, in)
}

// incoming makes the record of a draft that is sent.
func (m *draft) incoming(keep bool) *incoming {
	in := &incoming{Message: Message{Mailbox: m.mailbox, Form: "draft", Size: int64(len(m.body)),
		SHA256: sumOf(m.body)}}
	m.resource.fill(&in.Message)
	if keep {
		in.raw = m.body
	}
	in.Parts = []string{fmt.Sprintf("body %s %d", m.resource.Body.ContentType, len(m.resource.Body.Content))}
	for _, f := range m.files {
		in.Size += f.Size
		in.Attachments = append(in.Attachments, f.Attachment)
		in.files = append(in.files, f.content)
		in.Parts = append(in.Parts, printable(fmt.Sprintf("attachment %s %d %s", f.Type, f.Size, f.Name)))
	}
	return in
}

// attach is POST messages/{id}/attachments with a fileAttachment; how large it
// may be follows from the limit of a request [D message-post-attachments].
func (d *Double) attach(x *exchange, id string) *answer {
	value, _, refused := d.readResource(x, "/users/{user-id}/messages/{message-id}/attachments")
	if refused != nil {
		return refused
	}
	if value["@odata.type"] != "#microsoft.graph.fileAttachment" {
		return graphError(http.StatusBadRequest, "ErrorInvalidRequest", "The type of the attachment is not known.")
	}
	text, _ := value["contentBytes"].(string)
	content, err := base64.StdEncoding.DecodeString(text)
	name, _ := value["name"].(string)
	if err != nil || name == "" {
		return graphError(http.StatusBadRequest, "RequestBodyRead",
			"The attachment has no name, or contentBytes is not base64.")
	}
	f := newFile(value)
	f.write(content, true)
	f.finish()
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	m, refused := d.drafts.find(x.mailbox, id)
	if refused != nil {
		return refused
	}
	m.add(f, d)
	return jsonAnswer(http.StatusCreated,
		map[string]any{"@odata.type": "#microsoft.graph.fileAttachment", "id": "AAMkFile" + newID(), "name": f.Name,
			"size": f.Size})
}

// listFiles is GET messages/{id}/attachments [D message-list-attachments]: all of
// a draft's on one page, without their content.
func (d *Double) listFiles(x *exchange, id string) *answer {
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	m, refused := d.drafts.find(x.mailbox, id)
	if refused != nil {
		return refused
	}
	value := make([]map[string]any, 0, len(m.files))
	for i, f := range m.files {
		value = append(value,
			map[string]any{"@odata.type": "#microsoft.graph.fileAttachment", "id": fmt.Sprintf("AAMkFile%s-%d", id, i),
				"name": f.Name, "size": f.Size})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"value": value})
}

// add puts a finished file into the draft. Its content stays where there is
// room for it; its digest always does.
func (m *draft) add(f *file, d *Double) {
	if m.kept += int64(len(f.content)); !d.store.keepsBodies() || m.kept > d.o.KeepBytes {
		m.kept -= int64(len(f.content))
		f.content = nil
	}
	m.files = append(m.files, f)
}

// draftItems lists the drafts of a mailbox.
func (d *Double) draftItems(mailbox string) []mailItem {
	d.drafts.mu.Lock()
	defer d.drafts.mu.Unlock()
	var list []mailItem
	for _, m := range d.drafts.byID {
		if m.mailbox == mailbox {
			list = append(list, mailItem{id: m.id, messageID: m.resource.InternetMessageID,
				subject: m.resource.Subject, draft: true,
				to: addresses(m.resource.ToRecipients), cc: addresses(m.resource.CcRecipients), bcc: addresses(
					m.resource.BccRecipients), properties: m.properties})
		}
	}
	slices.SortFunc(list, func(a, b mailItem) int { return strings.Compare(a.id, b.id) })
	return list
}
