package sandbox_test

import (
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/sandbox"
)

// The samples of the documents, and what the contract refuses.
func TestJSONMail(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	to := `"toRecipients":[{"emailAddress":{"address":"a@example.com"}}]`
	for _, row := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"as the sample writes it", `{"message":{"subject":"Lunch?","body":{"contentType":"Text","content":"x"},` + to +
			`,"ccRecipients":[{"emailAddress":{"address":"b@example.com"}}]},"saveToSentItems":"false"}`, 202, ""},
		{"with a boolean", `{"message":{"subject":"Lunch?","body":{"contentType":"text","content":"x"},` + to +
			`,"ccRecipients":[{"emailAddress":{"address":"b@example.com"}}]},"saveToSentItems":false}`, 202, ""},
		{"neither true nor false", `{"message":{` + to + `},"saveToSentItems":"no"}`, 400, "RequestBodyRead"},
		{"body is neither", `{"message":{` + to + `,"body":{"contentType":"rtf"}}}`, 400, "RequestBodyRead"},
		{"attachment", `{"Message":{` + to +
			`,"attachments":[{"@odata.type":"#microsoft.graph.fileAttachment","name":"a.txt",` +
			`"contentType":"text/plain","contentBytes":"SGk="}]}}`, 202, ""},
		{"attachment no base64", `{"Message":{` + to +
			`,"attachments":[{"@odata.type":"#microsoft.graph.fileAttachment","name":"a.txt",` +
			`"contentBytes":"!"}]}}`, 400,
			"RequestBodyRead"},
		{"header", `{"Message":{` + to + `,"internetMessageHeaders":[{"name":"x-a","value":"b"}]}}`, 202, ""},
		{"header without x-", `{"Message":{` + to + `,"internetMessageHeaders":[{"name":"List-Id","value":"b"}]}}`, 400,
			"InvalidInternetMessageHeader"},
		{"six headers", `{"Message":{` + to + `,"internetMessageHeaders":[` +
			strings.TrimSuffix(strings.Repeat(`{"name":"x-a","value":"b"},`, 6), ",") +
			`]}}`, 400, "InvalidInternetMessageHeaderCollection"},
		{"other From", `{"Message":{` + to + `,"from":{"emailAddress":{"address":"ceo@contoso.com"}}}}`, 403,
			"ErrorSendAsDenied"},
		{"no recipient", `{"Message":{"subject":"x"}}`, 400, "ErrorInvalidRecipients"},
		{"no message", `{}`, 400, "ErrorInvalidRequest"},
		{"wrong type", `{"Message":{"subject":1,` + to + `}}`, 400, "RequestBodyRead"},
		{"wrong enumeration", `{"Message":{"importance":"urgent",` + to + `}}`, 400, "RequestBodyRead"},
		{"cut short", `{"Message":{`, 400, "BadRequest"},
		{"no object", `[]`, 400, "BadRequest"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := d.Count()
			g := c.do(c.request(mailbox, "application/json", []byte(row.body)))
			if g.status != row.status || row.code != "" && g.code() != row.code {
				t.Errorf("%d %s", g.status, g.body)
			}
			if d.Count()-before != b2i(row.status == 202) {
				t.Errorf("%d recorded", d.Count()-before)
			}
		})
	}
	m, _ := d.Message(1)
	if m.Form != "json" || m.Subject != "Lunch?" ||
		!slices.Equal(m.Recipients, []string{"a@example.com", "b@example.com"}) {
		t.Errorf("%+v", m)
	}
	if m, _ := d.Message(3); !slices.Equal(m.Parts, []string{"body  0", "attachment text/plain 2 a.txt"}) {
		t.Errorf("%q", m.Parts)
	}
}
