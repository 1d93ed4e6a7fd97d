package sandbox_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
)

const draftJSON = `{"subject":"s","internetMessageId":"<d@contoso.com>","body":{"contentType":"text","content":"x"},` +
	`"toRecipients":[{"emailAddress":{"address":"a@example.com"}}],"singleValueExtendedProperties":[{"id":"String ` +
	`{7c0d2b4e-3f0c-4a53-9d5c-6a1f0e8b9d21} Name X","value":"it's"}]}`

// caller speaks to a double as the documents have it.
type caller struct {
	t     *testing.T
	d     *sandbox.Double
	token string
}

func newCaller(t *testing.T, o sandbox.Options) caller {
	d := start(t, o)
	return caller{t, d, tokenFor(t, d)}
}

// call makes a request of Graph and decodes the answer.
func (c caller) call(method, path, body string) (int, map[string]any) {
	c.t.Helper()
	status, _, value := c.request(method, c.d.URL()+"/v1.0/users/"+mailbox+path, body,
		map[string]string{"Authorization": "Bearer " + c.token, "Content-Type": "application/json"})
	return status, value
}

func (c caller) request(method, url, body string, header map[string]string) (int, http.Header, map[string]any) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := c.d.HTTPClient().Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	var value map[string]any
	_ = json.Unmarshal(text, &value)
	return resp.StatusCode, resp.Header, value
}

func (c caller) put(url string, part []byte, contentRange string, more map[string]string) (int, http.Header,
	map[string]any) {
	header := map[string]string{"Content-Type": "application/octet-stream", "Content-Range": contentRange}
	for name, value := range more {
		header[name] = value
	}
	return c.request(http.MethodPut, url, string(part), header)
}

func codeOf(value map[string]any) any {
	e, _ := value["error"].(map[string]any)
	return e["code"]
}

// A draft with a small and a large attachment, in the shapes of the documents.
func TestDraftOfTheDocuments(t *testing.T) {
	c := newCaller(t, sandbox.Options{Granted: []string{"Mail.ReadWrite"}})
	status, made := c.call("POST", "/messages", draftJSON)
	id, _ := made["id"].(string)
	if status != 201 || id == "" || made["isDraft"] != true {
		t.Fatalf("%d %v", status, made)
	}
	small := `{"@odata.type":"#microsoft.graph.fileAttachment","name":"a.txt","contentType":"text/plain",` +
		`"contentBytes":"` + base64.StdEncoding.EncodeToString([]byte("small")) + `"}`
	if status, value := c.call("POST", "/messages/"+id+"/attachments", small); status != 201 {
		t.Fatalf("%d %v", status, value)
	}
	const size = 3_400_000
	content := bytes.Repeat([]byte("0123456789"), size/10)
	status, session := c.call("POST", "/messages/"+id+"/attachments/createUploadSession",
		`{"AttachmentItem":{"attachmentType":"file","name":"b.bin","size":`+strconv.Itoa(size)+`}}`)
	at, _ := session["uploadUrl"].(string)
	if _, err := time.Parse(time.RFC3339Nano, session["expirationDateTime"].(string)); status != 201 || err != nil ||
		session["nextExpectedRanges"].([]any)[0] != "0-" {
		t.Fatalf("%d %v", status, session)
	}
	if status, _, value := c.put(at, content[:10],
		"bytes 0-9/3400000", map[string]string{"Authorization": "Bearer " + c.token}); status != 401 ||
		codeOf(value) != "InvalidAudienceForResource" {
		t.Errorf("with a token: %d %v", status, value)
	}
	if status, _, value := c.put(at, content[:2_000_000], "bytes 0-1999999/3400000", nil); status != 200 ||
		value["nextExpectedRanges"].([]any)[0] != "2000000" || value["ExpirationDateTime"] == nil {
		t.Errorf("%d %v", status, value)
	}
	if status, _, value := c.put(at, content[:10], "bytes 0-9/3400000", nil); status != 416 {
		t.Errorf("again: %d %v", status, value)
	}
	status, header, value := c.put(at, content[2_000_000:], "bytes 2000000-3399999/3400000", nil)
	if status != 201 || !strings.Contains(header.Get("Location"), "/Attachments(") || value != nil {
		t.Errorf("%d %v %v", status, header, value)
	}
	if status, value := c.call("POST", "/messages/"+id+"/send", ""); status != 202 || value != nil {
		t.Fatalf("%d %v", status, value)
	}
	m, ok := c.d.Message(1)
	if !ok || m.Form != "draft" || len(m.Attachments) != 2 || m.Attachments[1].Size != size || c.d.Drafts() != 0 {
		t.Fatalf("%+v", m)
	}
	if b, err := c.d.AttachmentBytes(1, 1); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d octets, %v", len(b), err)
	}
	if status, value := c.call("POST", "/messages/"+id+"/send", ""); status != 404 ||
		codeOf(value) != "ErrorItemNotFound" {
		t.Errorf("sent twice: %d %v", status, value)
	}
}

func TestDraftsAreRefused(t *testing.T) {
	c := newCaller(t, sandbox.Options{Granted: []string{"Mail.ReadWrite"}})
	_, made := c.call("POST", "/messages", draftJSON)
	on := "/messages/" + made["id"].(string)
	for _, r := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/messages", `{"subject":5}`, 400, "RequestBodyRead"},
		{"POST", "/messages", `{`, 400, "BadRequest"},
		{"POST", "/messages", `{"internetMessageHeaders":[{"name":"List-Id","value":"x"}]}`, 400,
			"InvalidInternetMessageHeader"},
		{"POST", "/messages", `{"body":{"content":"` + strings.Repeat("x", 4<<20) + `"}}`, 413,
			"RequestEntityTooLarge"},
		{"POST", on + "/attachments", `{"name":"x","contentBytes":""}`, 400, "ErrorInvalidRequest"},
		{"POST", on + "/attachments",
			`{"@odata.type":"#microsoft.graph.fileAttachment","name":"x","contentBytes":"*"}`, 400, "RequestBodyRead"},
		{"POST", on + "/attachments/createUploadSession",
			`{"AttachmentItem":{"attachmentType":"file","name":"x","size":100}}`, 400,
			"ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"},
		{"POST", on + "/attachments/createUploadSession",
			`{"AttachmentItem":{"attachmentType":"file","name":"x","size":200000000}}`, 400, "ErrorInvalidRequest"},
		{"POST", on + "/send", `{}`, 400, "ErrorInvalidRequest"},
		{"DELETE", "/messages/nothing", "", 404, "ErrorItemNotFound"},
		{"GET", "/messages?$filter=subject%20eq%20'x'", "", 400, "ErrorInvalidUrlQueryFilter"},
	} {
		if status, value := c.call(r.method, r.path, r.body); status != r.status || codeOf(value) != r.code {
			t.Errorf("%s %s %.60s: %d %v", r.method, r.path, r.body, status, value)
		}
	}
	c.d.SetGranted("Mail.Read")
	if status, value := c.call("POST", "/messages", draftJSON); status != 403 || codeOf(value) != "ErrorAccessDenied" {
		t.Errorf("without permission: %d %v", status, value)
	}
	if c.d.Drafts() != 1 || c.d.Count() != 0 {
		t.Errorf("%d drafts, %d messages", c.d.Drafts(), c.d.Count())
	}
}

// A draft is found by its extended property, and deleted.
func TestDraftIsFoundByItsMark(t *testing.T) {
	c := newCaller(t, sandbox.Options{Granted: []string{"Mail.ReadWrite"}})
	_, made := c.call("POST", "/messages", draftJSON)
	filter := "/messages?$select=isDraft&$filter=singleValueExtendedProperties/" +
		"Any(ep:%20ep/id%20eq%20'String%20%7B7c0d2b4e-3f0c-4a53-9d5c-6a1f0e8b9d21%7D%20Name%20X'" +
		"%20and%20ep/value%20eq%20'it''s')%20and%20isDraft%20eq%20true"
	status, found := c.call("GET", filter, "")
	list, _ := found["value"].([]any)
	if status != 200 || len(list) != 1 || list[0].(map[string]any)["id"] != made["id"] {
		t.Fatalf("%d %v", status, found)
	}
	if status, _ := c.call("DELETE", "/messages/"+made["id"].(string), ""); status != 204 || c.d.Drafts() != 0 {
		t.Errorf("%d, %d drafts", status, c.d.Drafts())
	}
}
