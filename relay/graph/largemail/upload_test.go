package largemail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// pattern is a file of any size without memory, different at each place.
type pattern struct{ at, size int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at >= p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.size-p.at))
	for i := range n {
		x := p.at + int64(i)
		b[i] = byte(x ^ x>>8 ^ x>>16)
	}
	p.at += int64(n)
	return n, nil
}

func ofSize(n int64) Content {
	return Content{Size: n, Open: func() io.Reader { return &pattern{size: n} }}
}

func ofText(s string) Content {
	return Content{Size: int64(len(s)), Open: func() io.Reader { return strings.NewReader(s) }}
}

func sumOf(c Content) string {
	h := sha256.New()
	_, _ = io.Copy(h, c.Open())
	return hex.EncodeToString(h.Sum(nil))
}

// large is a draft with a file of every way: by request, at its border, and by
// session in several slices.
func large(t testing.TB) Draft {
	return Draft{
		ID: "q1", Subject: "Größe \"x\"", MessageID: "<large@contoso.com>", InReplyTo: "<0@contoso.com>",
		References: "<a@contoso.com> <0@contoso.com>",
		From: Person{Name: "Relay",
			Address: address(t, mailbox)}, ReplyTo: []Person{{Address: address(t, "reply@example.com")}},
		To: []Person{{Name: "Ann",
			Address: address(t, "a@example.com")}}, Bcc: []Person{{Address: address(t, "b@example.com")}},
		Importance: "high", ReadReceipt: true,
		Headers: []Header{{Name: "X-One", Value: "1"}, {Name: "Received", Value: "no"}, {Name: "X-2", Value: "2"},
			{Name: "x-3", Value: "3"},
			{Name: "X-4", Value: "4"}, {Name: "X-5", Value: "5"}, {Name: "X-6", Value: "6"}},
		HTML: true, Body: ofText("<p class=\"x\">caf\u00e9\r\n\t\x01\\</p>"),
		Attachments: []File{
			{Name: "empty.txt", Type: "text/plain", Content: ofSize(0)},
			{Name: "logo.png", Type: "image/png", ContentID: "logo@x", Inline: true, Content: ofSize(1000)},
			{Name: "below.bin", Type: "application/octet-stream", Content: ofSize(3_140_000)},
			{Name: "above.bin", Type: "application/octet-stream", Content: ofSize(3<<20 + 1)},
			{Name: "scan.pdf", Type: "application/pdf", Content: ofSize(10<<20 + 7)},
		},
	}
}

func attempt(t testing.TB, c *Client, d Draft) outcome.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return c.Upload(ctx, address(t, mailbox), d)
}

var readWrite = sandbox.Options{Granted: []string{"Mail.ReadWrite"}}

// checkArrived compares the one message of the double with the draft.
func checkArrived(t *testing.T, d *sandbox.Double, want Draft) {
	t.Helper()
	all := d.Messages()
	if len(all) != 1 || d.Drafts() != 0 {
		t.Fatalf("%d messages, %d drafts", len(all), d.Drafts())
	}
	m := all[0]
	if len(m.Attachments) != len(want.Attachments) {
		t.Fatalf("attachments: %+v", m.Attachments)
	}
	for i, got := range m.Attachments {
		f := want.Attachments[i]
		if (got != sandbox.Attachment{Name: f.Name, Type: f.Type, ContentID: f.ContentID, Inline: f.Inline,
			Size: f.Content.Size, SHA256: sumOf(f.Content)}) {
			t.Errorf("attachment %+v of %+v", got, f)
		}
	}
}

// requestsOf is how many requests the double has answered, logins aside.
func requestsOf(d *sandbox.Double) (n int) {
	for endpoint, answers := range d.Stats().Answers {
		for _, count := range answers {
			if endpoint != "token" && endpoint != "discovery" {
				n += count
			}
		}
	}
	return n
}

func TestUpload(t *testing.T) {
	d, c := start(t, readWrite)
	want := large(t)
	a := attempt(t, c, want)
	if a.Outcome != outcome.Delivered || a.HTTPStatus != 202 || a.RequestID == "" || a.Uploaded < 17_000_000 ||
		a.Requests != requestsOf(d) {
		t.Fatalf("%+v", a)
	}
	checkArrived(t, d, want)
	raw, err := d.Raw(1)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(got)
	for _, part := range []string{
		"subject:Größe \"x\"", "internetMessageId:<large@contoso.com>",
		"from:map[emailAddress:map[address:relay@contoso.com name:Relay]]",
		"replyTo:[map[emailAddress:map[address:reply@example.com]]]",
		"toRecipients:[map[emailAddress:map[address:a@example.com name:Ann]]]",
		"bccRecipients:[map[emailAddress:map[address:b@example.com]]]", "importance:high",
		"isReadReceiptRequested:true",
		"internetMessageHeaders:[map[name:X-One value:1] map[name:X-2 value:2] map[name:x-3 value:3] map[name:X-4 " +
			"value:4] map[name:X-5 value:5]]",
		"map[id:String 0x1042 value:<0@contoso.com>] map[id:String 0x1039 value:<a@contoso.com> <0@contoso.com>]",
		"body:map[content:<p class=\"x\">caf\u00e9\r\n\t\x01\\</p> contentType:html]",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in\n%s", part, text)
		}
	}
	content, err := d.AttachmentBytes(1, 1)
	if want, _ := io.ReadAll(ofSize(1000).Open()); err != nil || !bytes.Equal(content, want) {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}

// A text that does not fit one request goes as a file.
func TestUploadOfALongText(t *testing.T) {
	d, c := start(t, readWrite)
	want := large(t)
	want.Body = ofText(strings.Repeat("<b>long</b>\r\n", 400_000))
	want.Attachments = nil
	if a := attempt(t, c, want); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	want.Attachments = []File{{Name: "message.html", Type: "text/html", Content: want.Body}}
	checkArrived(t, d, want)
}

// TestUploadSurvives: faults after which the same attempt continues, with every
// byte once.
func TestUploadSurvives(t *testing.T) {
	for _, f := range []sandbox.Fault{
		{Endpoint: "createDraft", Status: 429, RetryAfter: time.Second, Count: 1},
		{Endpoint: "createDraft", Status: 401, Count: 1},
		{Endpoint: "attach", Status: 503, Count: 1},
		{Endpoint: "attach", Status: 503, Stored: true, Count: 1}, // it hid that the file is there
		{Endpoint: "attach", Status: 503, Stored: true, Skip: 2, Count: 1},
		{Endpoint: "createUploadSession", Status: 429, Count: 2},
		{Endpoint: "upload", Status: 429, RetryAfter: time.Second, Count: 1},
		{Endpoint: "upload", Status: 500, Count: 2},
		{Endpoint: "upload", Status: 504, Stored: true, Skip: 2, Count: 1},
		{Endpoint: "upload", Drop: sandbox.DropStored, Skip: 2, Count: 1},
		{Endpoint: "upload", Drop: sandbox.DropPartial, DropAfter: 1000, Count: 1},
		{Endpoint: "upload", Drop: sandbox.DropBody, Skip: 3, Count: 1},
		{Endpoint: "upload", Status: 401, Skip: 3, Count: 1},
		{Endpoint: "upload", Status: 404, Code: "ErrorItemNotFound", Skip: 5, Count: 1},
		{Endpoint: "upload", Status: 416, Skip: 3, Count: 1},
		{Endpoint: "send", Status: 503, Count: 1},
	} {
		t.Run(fmt.Sprint(f.Endpoint, f.Status, f.Drop, f.Skip), func(t *testing.T) {
			t.Parallel()
			d, c := start(t, readWrite)
			inject(t, d, f)
			want := large(t)
			if a := attempt(t, c, want); a.Outcome != outcome.Delivered {
				t.Fatalf("%+v", a)
			}
			checkArrived(t, d, want)
			if len(d.Faults()) != 0 {
				t.Error("the fault was not met")
			}
		})
	}
}

// Where it is unknown whether a file was attached, the draft is made again.
func TestUploadThatCannotCountItsFiles(t *testing.T) {
	d, c := start(t, readWrite)
	inject(t, d, sandbox.Fault{Endpoint: "attach", Status: 503, Stored: true, Count: 1})
	inject(t, d, sandbox.Fault{Endpoint: "attachments", Status: 500, Count: 1})
	m := large(t)
	if a := attempt(t, c, m); a.Outcome != outcome.Retry || d.Count() != 0 || d.Drafts() != 0 {
		t.Errorf("%+v, %d messages, %d drafts", a, d.Count(), d.Drafts())
	}
	m.Again = true
	if a := attempt(t, c, m); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
	checkArrived(t, d, m)
}

// TestUploadGivesUp: before send nothing is sent, nothing is left behind, and
// the answer says whose fault it is.
func TestUploadGivesUp(t *testing.T) {
	for _, c := range []struct {
		f       sandbox.Fault
		outcome outcome.Outcome
		scope   outcome.Scope
	}{
		{sandbox.Fault{Endpoint: "createDraft", Status: 504}, outcome.Retry, outcome.ScopeMailbox},
		{sandbox.Fault{Endpoint: "createDraft", Status: 504, Stored: true}, outcome.Retry, outcome.ScopeMailbox},
		{sandbox.Fault{Endpoint: "createDraft", Drop: sandbox.DropStored}, outcome.Retry, outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createDraft", Status: 403}, outcome.Hold, outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createDraft", Status: 403, Message: "Access to OData is disabled: [RAOP] : Blocked"},
			outcome.Hold, outcome.ScopeMailbox},
		{sandbox.Fault{Endpoint: "createDraft", Status: 400, Code: "InvalidInternetMessageHeader"}, outcome.Hold,
			outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createDraft", Status: 400, Code: "ErrorInvalidRecipients"}, outcome.Bounce,
			outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createDraft", Status: 413}, outcome.Bounce, outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createDraft", Status: 202}, outcome.Hold, outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createDraft", Status: 201, Body: "{}", Stored: true}, outcome.Retry,
			outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createDraft", Status: 429, RetryAfter: 2 * time.Minute}, outcome.Retry,
			outcome.ScopeMailbox},
		{sandbox.Fault{Endpoint: "attach", Status: 504, Stored: true}, outcome.Retry, outcome.ScopeMailbox},
		{sandbox.Fault{Endpoint: "attach", Drop: sandbox.DropStored}, outcome.Retry, outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "attach", Status: 400, Code: "ErrorMessageSizeExceeded"}, outcome.Bounce,
			outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createUploadSession", Status: 404, Code: "ErrorItemNotFound"}, outcome.Retry,
			outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "createUploadSession", Status: 201,
			Body: `{"uploadUrl":"https://evil.example/x?authtoken=1"}`}, outcome.Hold, outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "upload", Status: 401}, outcome.Retry, outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "upload", Status: 302, Headers: map[string]string{"Location": "https://127.0.0.1:1/"}},
			outcome.Hold, outcome.ScopeIdentity},
		// the last slice of above.bin
		{sandbox.Fault{Endpoint: "upload", Drop: sandbox.DropStored, Skip: 1, Count: 1}, outcome.Retry,
			outcome.ScopeMessage},
		{sandbox.Fault{Endpoint: "send", Status: 507}, outcome.Hold, outcome.ScopeMailbox},
		{sandbox.Fault{Endpoint: "send", Status: 403, Code: "ErrorSendAsDenied"}, outcome.Hold, outcome.ScopeSendAs},
		{sandbox.Fault{Endpoint: "send", Status: 400, Code: "ErrorMessageSizeExceeded"}, outcome.Bounce,
			outcome.ScopeMessage},
	} {
		t.Run(fmt.Sprint(c.f.Endpoint, c.f.Status, c.f.Drop, c.f.Code, c.f.Stored), func(t *testing.T) {
			t.Parallel()
			d, client := start(t, readWrite)
			inject(t, d, c.f)
			a := attempt(t, client, large(t))
			if a.Outcome != c.outcome || a.Scope != c.scope || a.Text == "" || strings.Contains(a.Text, "authtoken") {
				t.Errorf("%+v", a)
			}
			if d.Count() != 0 || d.Drafts() != 0 {
				t.Errorf("%d messages, %d drafts", d.Count(), d.Drafts())
			}
		})
	}
}

// Only a lost answer to send leaves a doubt. The next attempt removes what may
// be left, and sends one message.
func TestUploadUnknown(t *testing.T) {
	for _, f := range []sandbox.Fault{{Status: 504}, {Status: 504, Stored: true}, {Drop: sandbox.DropStored},
		{Drop: sandbox.DropBody}, {Status: 200}} {
		t.Run(fmt.Sprint(f.Status, f.Drop, f.Stored), func(t *testing.T) {
			d, c := start(t, readWrite)
			f.Endpoint, f.Count = "send", 1
			inject(t, d, f)
			m := large(t)
			m.Attachments = nil
			if a := attempt(t, c, m); a.Outcome != outcome.Unknown {
				t.Fatalf("%+v", a)
			}
			before := d.Count()
			m.Again = true
			if a := attempt(t, c, m); a.Outcome != outcome.Delivered {
				t.Fatalf("%+v", a)
			}
			if d.Count() != before+1 || d.Drafts() != 0 {
				t.Errorf("%d and %d messages, %d drafts", before, d.Count(), d.Drafts())
			}
		})
	}
}

// What cannot be tidied up does not keep a message from being sent.
func TestUploadThoughLeftoversCannotBeFound(t *testing.T) {
	for _, status := range []int{400, 403, 404} {
		d, c := start(t, readWrite)
		inject(t, d, sandbox.Fault{Endpoint: "search", Status: status, Code: "ErrorInvalidUrlQueryFilter"})
		m := large(t)
		m.Again, m.Attachments = true, nil
		if a := attempt(t, c, m); a.Outcome != outcome.Delivered {
			t.Errorf("%d: %+v", status, a)
		}
	}
}

func TestUploadWithoutPermission(t *testing.T) {
	d, c := start(t, sandbox.Options{Granted: []string{"Mail.Read"}})
	a := attempt(t, c, large(t))
	if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeMessage ||
		!strings.Contains(a.Advice, "Application Mail.ReadWrite") || d.Count() != 0 {
		t.Fatalf("%+v", a)
	}
}

// An upload stops when its context ends, and leaves no draft.
func TestUploadIsCancelled(t *testing.T) {
	d, c := start(t, readWrite)
	ctx, cancel := context.WithCancel(t.Context())
	m := large(t)
	m.Attachments[4].Content.Open = func() io.Reader { cancel(); return &pattern{size: 10<<20 + 7} }
	a := c.Upload(ctx, address(t, mailbox), m)
	if a.Outcome != outcome.Retry || d.Count() != 0 || d.Drafts() != 0 {
		t.Fatalf("%+v, %d messages, %d drafts", a, d.Count(), d.Drafts())
	}
}

// Each request is asked for, its repetition too, and none is made that may not begin: nothing
// is sent, and no draft stays.
func TestUploadThatMayNotGoOn(t *testing.T) {
	for refused := range 4 { // creating the draft, its file, sending it, and again
		d, c := start(t, readWrite)
		inject(t, d, sandbox.Fault{Endpoint: "send", Status: 429, Count: 1, RetryAfter: time.Second})
		m, asked := large(t), 0
		m.Attachments = m.Attachments[1:2]
		m.MayBegin = func() error {
			if asked++; asked > refused {
				return errors.New("another node may have the queue")
			}
			return nil
		}
		a := attempt(t, c, m)
		if a.Outcome != outcome.Retry || d.Count()+d.Drafts() != 0 || asked != refused+1 {
			t.Errorf("%d: %+v, asked %d times, %d messages, %d drafts", refused, a, asked, d.Count(), d.Drafts())
		}
	}
}

// A file that cannot be read is the queue's fault, and nothing is sent.
func TestUploadOfAnUnreadableFile(t *testing.T) {
	for _, i := range []int{1, 4} {
		d, c := start(t, readWrite)
		m := large(t)
		size := m.Attachments[i].Content.Size
		m.Attachments[i].Content.Open = func() io.Reader { return io.MultiReader(&pattern{size: size - 10}, failing{}) }
		a := attempt(t, c, m)
		if a.Outcome != outcome.Retry || a.Scope != outcome.ScopeMessage ||
			!strings.Contains(a.Detail, "cannot read the message") || d.Count()+d.Drafts() != 0 {
			t.Errorf("%d: %+v", i, a)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

// A session that expires is opened again.
func TestUploadRenewsASession(t *testing.T) {
	d, c := start(t, readWrite)
	m := large(t)
	size, opened := m.Attachments[4].Content.Size, 0
	m.Attachments[4].Content.Open = func() io.Reader {
		if opened++; opened == 1 {
			return io.MultiReader(io.LimitReader(&pattern{size: size}, 6<<20), expiring{d},
				&pattern{at: 6 << 20, size: size})
		}
		return &pattern{size: size}
	}
	if a := attempt(t, c, m); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	if opened < 2 {
		t.Fatal("no second session was needed")
	}
	m.Attachments[4].Content = ofSize(size)
	checkArrived(t, d, m)
}

type expiring struct{ d *sandbox.Double }

func (e expiring) Read([]byte) (int, error) { e.d.ExpireUploadSessions(); return 0, io.EOF }

// A service that counts bytes which it was not sent has lost count: what it
// holds is not the file, so that a new session takes over.
func TestUploadThatIsCountedWrong(t *testing.T) {
	for _, next := range []string{"999999999", "6291456", "3145729"} {
		t.Run(next, func(t *testing.T) {
			d, c := start(t, readWrite)
			m := large(t)
			m.Attachments = m.Attachments[4:5]
			if next == "6291456" {
				m.Attachments[0].Content = ofSize(6291456) // as if the file were complete
			}
			inject(t, d, sandbox.Fault{Endpoint: "upload", Status: 202, Body: `{"nextExpectedRanges":["` + next +
				`"]}`, Count: 1})
			if a := attempt(t, c, m); a.Outcome != outcome.Delivered {
				t.Fatalf("%+v", a)
			}
			checkArrived(t, d, m)
		})
	}
}
