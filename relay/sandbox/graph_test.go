package sandbox_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"graphrelay/relay/sandbox"
)

// Each answer that a document or a report names.
func TestSendMailAnswers(t *testing.T) {
	d := start(t, sandbox.Options{
		Mailboxes: []string{mailbox, "ceo@contoso.com", "o'hara+x@contoso.com"},
		Allowed:   []string{mailbox, "o'hara+x@contoso.com", "gone@contoso.com"},
		SendAs:    map[string][]string{mailbox: {"Sales@contoso.com"}},
	})
	c := signIn(t, d)
	schema := errorSchema(t)
	for _, row := range []struct {
		name    string
		change  func(r *http.Request)
		mailbox string
		body    string
		status  int
		code    string
		text    string
	}{
		{name: "accepted", body: simple, status: 202},
		{name: "mailbox in another case", mailbox: "RELAY@contoso.com", body: simple, status: 202},
		{name: "mailbox that must be escaped", mailbox: "o'hara+x@contoso.com",
			body: header("From: o'hara+x@contoso.com", "To: a@example.com"), status: 202},
		{name: "From by SendAs", body: header("From: sales@contoso.com", "To: a@example.com"), status: 202},
		{name: "no From", body: header("To: a@example.com"), status: 202},
		{name: "Bcc alone", body: header("From: relay@contoso.com", "Bcc: a@example.com"), status: 202},
		{name: "text/plain with a charset", change: setHeader("Content-Type", "text/plain; charset=utf-8"),
			body: simple, status: 202},
		{name: "no token", change: dropHeader("Authorization"), body: simple, status: 401,
			code: "InvalidAuthenticationToken", text: "empty"},
		{name: "basic authentication", change: setHeader("Authorization", "Basic eDp5"), body: simple, status: 401,
			code: "InvalidAuthenticationToken"},
		{name: "no JWT", change: setHeader("Authorization", "Bearer x"), body: simple, status: 401,
			code: "InvalidAuthenticationToken", text: "CompactToken"},
		{name: "forged JWT", change: setHeader("Authorization", "Bearer a.b.c"), body: simple, status: 401,
			code: "InvalidAuthenticationToken", text: "Signature"},
		{name: "unknown mailbox", mailbox: "gone@contoso.com", body: simple, status: 404, code: "ErrorInvalidUser",
			text: "'gone@contoso.com'"},
		{name: "unknown object id", mailbox: "7b9d", body: simple, status: 404, code: "ResourceNotFound"},
		{name: "mailbox outside the policy", mailbox: "ceo@contoso.com", body: simple, status: 403,
			code: "ErrorAccessDenied", text: "[RAOP]"},
		{name: "From is another", body: header("From: ceo@contoso.com", "To: a@example.com"), status: 403,
			code: "ErrorSendAsDenied"},
		{name: "one of two From is another",
			body: header("From: relay@contoso.com, ceo@contoso.com",
				"To: a@example.com"), status: 403, code: "ErrorSendAsDenied"},
		{name: "second From field is another",
			body: header("From: relay@contoso.com", "From: ceo@contoso.com",
				"To: a@example.com"), status: 403, code: "ErrorSendAsDenied"},
		{name: "bare address as display name",
			body: header("From: relay@contoso.com <relay@contoso.com>",
				"To: a@example.com"), status: 403, code: "ErrorSendAsDenied"},
		{name: "quoted address as display name",
			body: header(`From: "relay@contoso.com" <relay@contoso.com>`, "To: a@example.com"), status: 202},
		{name: "no recipient", body: header("From: relay@contoso.com"), status: 400, code: "ErrorInvalidRecipients",
			text: "no recipients"},
		{name: "undisclosed recipients", body: header("From: relay@contoso.com", "To: undisclosed-recipients:;"),
			status: 400, code: "ErrorInvalidRecipients"},
		{name: "recipients in the body only", body: "From: relay@contoso.com\r\n\r\nTo: a@example.com\r\n\r\n",
			status: 400, code: "ErrorInvalidRecipients"},
		{name: "Resent-To is no recipient", body: header("From: relay@contoso.com", "Resent-To: a@example.com"),
			status: 400, code: "ErrorInvalidRecipients"},
		{name: "nothing", body: "", status: 400, code: "ErrorInvalidRecipients"},
		{name: "GET", change: func(r *http.Request) { r.Method = "GET" }, body: simple, status: 405},
		{name: "unknown content type", change: setHeader("Content-Type", "message/rfc822"), body: simple, status: 415},
		{name: "no content type", change: dropHeader("Content-Type"), body: simple, status: 415},
		{name: "two content types", change: func(r *http.Request) { r.Header.Add("Content-Type", "application/json") },
			body: simple, status: 400, code: "UnableToDeserializePostBody"},
		{name: "MIME labelled JSON", change: setHeader("Content-Type", "application/json"), body: simple, status: 400,
			code: "BadRequest"},
		{name: "label gzip on plain", change: setHeader("Content-Encoding", "gzip"), body: simple, status: 400,
			code: "RequestBodyRead"},
		{name: "unknown encoding", change: setHeader("Content-Encoding", "br"), body: simple, status: 400,
			code: "RequestBodyRead"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := d.Count()
			id := row.mailbox
			if id == "" {
				id = mailbox
			}
			r := c.request(id, "text/plain", encode(row.body))
			if row.change != nil {
				row.change(r)
			}
			g := c.do(r)
			if g.status != row.status || row.code != "" && g.code() != row.code ||
				!strings.Contains(string(g.body), row.text) {
				t.Errorf("%d %s, want %d %s %q", g.status, g.body, row.status, row.code, row.text)
			}
			if stored := d.Count() - before; stored != b2i(row.status == 202) {
				t.Errorf("%d recorded", stored)
			}
			checkForm(t, g, schema)
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkForm holds an answer to what all have in common.
func checkForm(t *testing.T, g got, schema *openapi3.Schema) {
	t.Helper()
	for _, name := range []string{"request-id", "client-request-id", "Date"} {
		if g.header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	if g.status < 300 {
		if len(g.body) != 0 || g.header.Get("Content-Length") != "0" {
			t.Errorf("a success with body %q", g.body)
		}
		return
	}
	var body map[string]any
	if err := json.Unmarshal(g.body, &body); err != nil {
		t.Fatalf("%v in %s", err, g.body)
	}
	if err := schema.VisitJSON(body); err != nil {
		t.Errorf("%s: %v", g.body, err)
	}
	inner, _ := body["error"].(map[string]any)["innerError"].(map[string]any)
	if inner["request-id"] != g.header.Get("request-id") {
		t.Errorf("innerError %v beside request-id %s", inner, g.header.Get("request-id"))
	}
}

// errorSchema is odata.error of Microsoft's description.
func errorSchema(t *testing.T) *openapi3.Schema {
	t.Helper()
	raw, err := os.ReadFile("contract/graph-v1.0-mail-excerpt.openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Components.Schemas["odata.error"].Value
}

func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func dropHeader(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

func TestClientRequestIDComesBack(t *testing.T) {
	c := signIn(t, start(t, sandbox.Options{}))
	r := c.request(mailbox, "text/plain", encode(simple))
	r.Header.Set("client-request-id", "our-own")
	if g := c.do(r); g.header.Get("client-request-id") != "our-own" || g.header.Get("request-id") == "our-own" {
		t.Errorf("%v", g.header)
	}
}

// The encodings of the body that must lead to the same octets, and those that
// must not pass.
func TestBase64(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	message := simple + strings.Repeat("0123456789\r\n", 9000)
	plain := base64.StdEncoding.EncodeToString([]byte(message))
	for name, body := range map[string]string{
		"unwrapped": plain, "wrapped by LF": wrap(plain, "\n"), "wrapped by CRLF": wrap(plain, "\r\n"),
		"CRLF behind": plain + "\r\n", "CRLF before": "\r\n" + plain,
	} {
		if g := c.do(c.request(mailbox, "text/plain", []byte(body))); g.status != 202 {
			t.Fatalf("%s: %d %s", name, g.status, g.body)
		}
		last := d.Messages()[d.Count()-1]
		if raw, _ := d.Raw(last.ID); string(raw) != message || last.Size != int64(len(message)) {
			t.Errorf("%s: other octets", name)
		}
	}
	for name, body := range map[string]string{
		"no base64": "From: a@b", "padding missing": strings.TrimRight(encodeTo(4), "="),
		"text behind": plain + "====", "two joined": encodeTo(4) + encodeTo(4), "url alphabet": "-_-_",
		"blanks": "QUJD REVG", "padding alone": "====", "one letter": "A", "bad at the end": plain[:len(plain)-4] +
			"!!!!",
	} {
		if g := c.do(c.request(mailbox, "text/plain", []byte(body))); g.status != 400 ||
			g.code() != "ErrorMimeContentInvalidBase64String" {
			t.Errorf("%s: %d %s", name, g.status, g.body)
		}
	}
}

func encodeTo(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

func wrap(s, end string) string {
	var b strings.Builder
	for chunk := range slices.Chunk([]byte(s), 76) {
		b.Write(chunk)
		b.WriteString(end)
	}
	return b.String()
}

func TestGzipIsAccepted(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	r := c.request(mailbox, "text/plain", zipped(encode(simple)))
	r.Header.Set("Content-Encoding", "gzip")
	if g := c.do(r); g.status != 202 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if raw, _ := d.Raw(1); string(raw) != simple {
		t.Errorf("%q", raw)
	}
	bomb := c.request(mailbox, "text/plain", zipped(make([]byte, 100<<20)))
	bomb.Header.Set("Content-Encoding", "gzip")
	if g := c.do(bomb); g.status != 400 && g.status != 413 {
		t.Errorf("%d", g.status)
	}
	cut := zipped(encode(simple))
	r = c.request(mailbox, "text/plain", cut[:len(cut)-6])
	r.Header.Set("Content-Encoding", "gzip")
	if g := c.do(r); g.status != 400 || d.Count() != 1 {
		t.Errorf("cut gzip: %d %s", g.status, g.body)
	}
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// 4 MB is the limit of the request, not of the message.
func TestRequestLimit(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	fits := simple + strings.Repeat("x", 3145728-len(simple))
	if n := len(encode(fits)); n != 4<<20 {
		t.Fatalf("%d octets", n)
	}
	if g := c.send(mailbox, fits); g.status != 202 {
		t.Errorf("%d octets: %d %s", len(fits), g.status, g.body)
	}
	if g := c.send(mailbox, fits+"x"); g.status != 413 {
		t.Errorf("declared length: %d", g.status)
	}
	r := c.request(mailbox, "text/plain", encode(fits+"x"))
	r.ContentLength = -1
	if g := c.do(r); g.status != 413 {
		t.Errorf("chunked: %d", g.status)
	}
	if d.Count() != 1 {
		t.Errorf("%d recorded", d.Count())
	}
}

// The report of silent loss, imitated on request.
func TestSilentAbove(t *testing.T) {
	d := start(t, sandbox.Options{SilentAbove: int64(len(simple))})
	c := signIn(t, d)
	if g := c.send(mailbox, simple); g.status != 202 {
		t.Errorf("%d", g.status)
	}
	if g := c.send(mailbox, simple+"x"); g.status != 200 || d.Count() != 1 {
		t.Errorf("%d, %d recorded", g.status, d.Count())
	}
}

// The fifth request in progress is refused, the limit is of each mailbox, and a
// finished request makes room.
func TestConcurrencyLimit(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	for _, m := range []string{mailbox, "other@contoso.com"} {
		if err := d.Inject(sandbox.Fault{Mailbox: m, Count: 4, Latency: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	var waiting sync.WaitGroup
	answers := make(chan int, 8)
	for range 4 {
		waiting.Go(func() { answers <- quietly(c, mailbox) })
		waiting.Go(func() { answers <- quietly(c, "other@contoso.com") })
	}
	for d.Stats().Concurrent < 8 || len(d.Faults()) > 0 {
		time.Sleep(time.Millisecond)
	}
	g := c.send(mailbox, simple)
	if g.status != 429 || g.code() != "ApplicationThrottled" || g.header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", g.status, g.header, g.body)
	}
	if g := c.send("third@contoso.com", strings.ReplaceAll(simple, "relay@", "third@")); g.status != 202 {
		t.Errorf("another mailbox: %d %s", g.status, g.body)
	}
	s := d.Stats()
	if s.Mailboxes[mailbox].MaxConcurrent != 5 || s.MaxConcurrent != 9 || s.Answers["sendMail"][429] != 1 {
		t.Errorf("%+v", s)
	}
	_ = d.Close()
	waiting.Wait()
}

// quietly sends and does not mind a lost connection.
func quietly(c *client, mailbox string) int {
	r, err := c.http.Do(c.request(mailbox, "text/plain",
		encode(strings.ReplaceAll(simple, "relay@contoso.com", mailbox))))
	if err != nil {
		return 0
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// A body that does not arrive whole leaves no trace, however it was announced.
func TestTruncatedBodyIsNotRecorded(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	for _, length := range []int64{-1, 1 << 20} {
		r := c.request(mailbox, "text/plain", nil)
		r.Body = brokenBody{bytes.NewReader(encode(simple))}
		r.ContentLength = length
		if response, err := c.http.Do(r); err == nil {
			_ = response.Body.Close()
			t.Errorf("status %d for a broken request", response.StatusCode)
		}
	}
	if g := c.send(mailbox, simple); g.status != 202 || d.Count() != 1 {
		t.Errorf("%d, %d recorded", g.status, d.Count())
	}
}

// brokenBody fails where it should end.
type brokenBody struct{ *bytes.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

func (brokenBody) Close() error { return nil }

func TestUnknownPaths(t *testing.T) {
	d := start(t, sandbox.Options{})
	for path, want := range map[string]int{"/": 404, "/v1.0/me/sendMail": 401, "/v1.0/users": 401, "/x/y": 404} {
		r, err := d.HTTPClient().Get(d.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		if g := read(t, r); g.status != want {
			t.Errorf("%s: %d", path, g.status)
		}
	}
	r, _ := http.NewRequest("GET", d.URL()+"/v1.0/users/"+url.PathEscape(mailbox), nil)
	r.Header.Set("Authorization", "Bearer "+tokenFor(t, d))
	response, err := d.HTTPClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if g := read(t, response); g.status != 400 || g.code() != "BadRequest" {
		t.Errorf("%d %s", g.status, g.body)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "nonsense"} {
		d, err := sandbox.New(sandbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d.Start(addr) == nil || d.StartPage(addr) == nil {
			t.Errorf("%s was accepted", addr)
			_ = d.Close()
		}
	}
	d := start(t, sandbox.Options{})
	if d.Start("127.0.0.1:0") == nil {
		t.Error("started twice")
	}
	if err := d.StartPage(":0"); err != nil || !strings.HasPrefix(d.PageURL(), "http://127.0.0.1:") {
		t.Errorf("%v %s", err, d.PageURL())
	}
}
