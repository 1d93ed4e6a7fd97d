package sandbox

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed contract/graph-v1.0-mail-excerpt.openapi.yaml
var openAPI []byte

const sendMailPath = "/users/{user-id}/microsoft.graph.sendMail"

// contract is Microsoft's OpenAPI description, read when first needed. Only the
// schemas of bodies are taken from it: where its media types and statuses
// differ from the documents (204 for 202, JSON only), the documents hold.
type contract struct {
	once sync.Once
	doc  *openapi3.T
	err  error
}

func (c *contract) load() (*openapi3.T, error) {
	c.once.Do(func() {
		if c.doc, c.err = openapi3.NewLoader().LoadFromData(openAPI); c.err != nil {
			return
		}
		seen := map[*openapi3.Schema]bool{}
		for _, schema := range c.doc.Components.Schemas {
			readAsMeant(schema, seen)
		}
		readAsMeant(c.sendMailSchema(), seen)
	})
	return c.doc, c.err
}

func (c *contract) sendMailSchema() *openapi3.SchemaRef {
	return c.doc.Paths.Find(sendMailPath).Post.RequestBody.Value.Content.Get("application/json").Schema
}

// readAsMeant changes two habits of the description that its own generator does
// not take literally, and that would refuse the samples of the documents: each
// schema limits further properties to objects, which within allOf shuts out
// what the other branches declare; and enumerations are written in lower camel
// case, where OData reads them in any.
func readAsMeant(ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || seen[ref.Value] {
		return
	}
	schema := ref.Value
	seen[schema] = true
	schema.AdditionalProperties = openapi3.AdditionalProperties{}
	if len(schema.Enum) > 0 && schema.Type.Is("string") {
		schema.Pattern, schema.Enum = anyCase(schema.Enum), nil
	}
	readAsMeant(schema.Items, seen)
	for _, branch := range schema.AllOf {
		readAsMeant(branch, seen)
	}
	for _, property := range schema.Properties {
		readAsMeant(property, seen)
	}
}

func anyCase(members []any) string {
	var names []string
	for _, member := range members {
		names = append(names, regexp.QuoteMeta(fmt.Sprint(member)))
	}
	return "(?i)^(?:" + strings.Join(names, "|") + ")$"
}

// checkSendMail holds the parameters of sendMail to the description.
func (c *contract) checkSendMail(body map[string]any) error {
	if _, err := c.load(); err != nil {
		return fmt.Errorf("the embedded OpenAPI description is damaged: %w", err)
	}
	return c.sendMailSchema().Value.VisitJSON(body)
}

// jsonMail is what the double reads of a message resource.
type jsonMail struct {
	Subject                string          `json:"subject"`
	From                   jsonRecipient   `json:"from"`
	Sender                 jsonRecipient   `json:"sender"`
	ToRecipients           []jsonRecipient `json:"toRecipients"`
	CcRecipients           []jsonRecipient `json:"ccRecipients"`
	BccRecipients          []jsonRecipient `json:"bccRecipients"`
	InternetMessageID      string          `json:"internetMessageId"`
	InternetMessageHeaders []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"internetMessageHeaders"`
	Attachments []map[string]any `json:"attachments"`
	Body        struct {
		ContentType string `json:"contentType"`
		Content     string `json:"content"`
	} `json:"body"`
}

type jsonRecipient struct {
	EmailAddress struct {
		Address string `json:"address"`
		Name    string `json:"name"`
	} `json:"emailAddress"`
}

// readJSON reads {Message, SaveToSentItems} and checks it against the contract.
func (d *Double) readJSON(body io.Reader, in *incoming) (*answer, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	in.Size, in.SHA256 = int64(len(raw)), hex.EncodeToString(sum[:])
	if d.store.keepsBodies() {
		in.raw = raw
	}
	var parameters map[string]any
	if err := json.Unmarshal(raw, &parameters); err != nil {
		// [K] the words for a JSON content type on something else
		return graphError(http.StatusBadRequest, "BadRequest",
			"Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid "+
				"JSON format."), nil
	}
	return d.readMessageResource(parameters, in), nil
}

func (d *Double) readMessageResource(parameters map[string]any, in *incoming) *answer {
	capitalise(parameters)
	if _, ok := parameters["Message"].(map[string]any); !ok {
		return graphError(http.StatusBadRequest, "ErrorInvalidRequest",
			"The request is invalid: the parameter 'Message' is missing.")
	}
	message, _ := json.Marshal(parameters["Message"]) // it came out of JSON
	attachments, err := takeAttachments(parameters["Message"].(map[string]any))
	if err == nil {
		err = d.schema.checkSendMail(parameters)
	}
	if err != nil {
		return graphError(http.StatusBadRequest, "RequestBodyRead",
			"The request body does not match the schema of sendMail: "+oneLine(err))
	}
	var m jsonMail
	if err := json.Unmarshal(message, &m); err != nil {
		return graphError(http.StatusBadRequest, "RequestBodyRead", oneLine(err))
	}
	in.Parts = append([]string{strings.TrimSpace(fmt.Sprintf("body %s %d", m.Body.ContentType, len(m.Body.Content)))},
		attachments...)
	m.fill(&in.Message)
	return m.checkHeaders()
}

// capitalise gives the parameters the names of the description. The samples of
// [D user-sendmail] write them in lower camel case, and the boolean as text.
func capitalise(parameters map[string]any) {
	for from, to := range map[string]string{"message": "Message", "saveToSentItems": "SaveToSentItems"} {
		if value, ok := parameters[from]; ok {
			delete(parameters, from)
			parameters[to] = value
		}
	}
	if text, ok := parameters["SaveToSentItems"].(string); ok && (text == "true" || text == "false") {
		parameters["SaveToSentItems"] = text == "true"
	}
}

// takeAttachments checks what a fileAttachment has beyond the base type, which
// alone is in the excerpt, and removes it together with OData annotations.
func takeAttachments(message map[string]any) ([]string, error) {
	var lines []string
	list, _ := message["attachments"].([]any)
	for _, item := range list {
		attachment, ok := item.(map[string]any)
		if !ok {
			continue // the schema says what is wrong with it
		}
		content, _ := attachment["contentBytes"].(string)
		decoded, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			return nil, fmt.Errorf("attachments: contentBytes is not base64: %w", err)
		}
		lines = append(lines,
			printable(fmt.Sprintf("attachment %v %d %v", attachment["contentType"], len(decoded), attachment["name"])))
		for _, name := range []string{"contentBytes", "contentId", "contentLocation"} {
			delete(attachment, name)
		}
	}
	dropAnnotations(message)
	return lines, nil
}

// dropAnnotations removes keys such as @odata.type, which OData allows on
// every object and the description does not list.
func dropAnnotations(value any) {
	switch v := value.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(name string, _ any) bool { return strings.Contains(name, "@odata.") })
		for _, inner := range v {
			dropAnnotations(inner)
		}
	case []any:
		for _, inner := range v {
			dropAnnotations(inner)
		}
	}
}

// fill copies what a record holds of either form.
func (m *jsonMail) fill(to *Message) {
	to.Subject, to.MessageID = m.Subject, m.InternetMessageID
	to.From, to.Sender = m.From.EmailAddress.Address, m.Sender.EmailAddress.Address
	to.To, to.Cc, to.Bcc = addresses(m.ToRecipients), addresses(m.CcRecipients), addresses(m.BccRecipients)
	to.Recipients = unite(to.To, to.Cc, to.Bcc)
	to.Strict, to.Lenient = slices.Clone(to.Recipients), slices.Clone(to.Recipients)
	to.FromAddresses = addresses([]jsonRecipient{m.From})
}

func addresses(list []jsonRecipient) []string {
	var out []string
	for _, r := range list {
		if r.EmailAddress.Address != "" {
			out = append(out, r.EmailAddress.Address)
		}
	}
	return out
}

// checkHeaders holds internetMessageHeaders to their two rules: at most five
// [I], and names that start with x- [D resources/message].
func (m *jsonMail) checkHeaders() *answer {
	if len(m.InternetMessageHeaders) > 5 {
		return graphError(http.StatusBadRequest, "InvalidInternetMessageHeaderCollection",
			"Maximum number of headers in one message should be less than or equal to 5.")
	}
	for _, h := range m.InternetMessageHeaders {
		if !strings.HasPrefix(fold(h.Name), "x-") {
			return graphError(http.StatusBadRequest,
				"InvalidInternetMessageHeader", fmt.Sprintf("The internet message header name '%s' should start with "+
					"'x-' or 'X-'.", printable(h.Name)))
		}
	}
	return nil
}

// oneLine shortens a validator's report to something a log line can hold.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return printable(text)
}
