package sandbox

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Drop says at which point a connection is cut.
type Drop string

// The points at which a fault cuts the connection.
const (
	DropNever   Drop = ""
	DropConnect Drop = "connect" // after accept, before TLS; no other matching than Skip and Count
	DropHeaders Drop = "headers" // the request header was read, the body not
	DropPartial Drop = "partial" // after DropAfter octets of the body
	DropBody    Drop = "body"    // the body was read, nothing was recorded
	DropStored  Drop = "stored"  // the message was recorded: the client cannot know
)

// The values of Fault.Body that are not sent literally.
const (
	BodyEmpty  = "empty"  // no body, no Content-Type
	BodyHTML   = "html"   // a page, as from the front door
	BodyBroken = "broken" // JSON cut short
	BodyNull   = "null"   // {} as JSON
)

// Fault is one scripted deviation. The fields of the first group say which
// requests it meets, those of the second what becomes of them; a fault with
// Latency alone delays and then lets the request pass. At the submission server Status
// is a reply code, Code the enhanced one, and Body is written in place of a reply.
type Fault struct {
	Endpoint  string // one of endpoints; "" is any
	Mailbox   string // "" is any
	From      string // an address of the From field; "" is any
	Subject   string // a part of the decoded Subject; "" is any
	MessageID string // the whole Message-ID; "" is any
	Skip      int    // so many matching requests pass first
	Count     int    // so many are met, then the fault is gone; 0 means until cleared
	Percent   int    // met at random with this chance, 1-99; 0 means always

	Latency        time.Duration     // before the answer or the cut, beside Options.Latency
	Status         int               // the HTTP status; 0 means what the double would say
	Code           string            // error.code of Graph, or error of Entra
	Message        string            // error.message of Graph, or the text after AADSTSn: of Entra
	AADSTS         int               // the number of an Entra error; token endpoint
	Headers        map[string]string // further headers of the answer, such as Location
	RetryAfter     time.Duration     // Retry-After; 0 means none
	RetryAfterDate bool              // as an HTTP date instead of seconds
	// instead of the error document: BodyEmpty, BodyHTML, BodyBroken, BodyNull, or literally
	Body string
	// the message is recorded all the same, if it was acceptable, and only then the fault strikes
	Stored    bool
	Early     bool  // the answer comes before the body is read
	Drop      Drop  // instead of an answer
	DropAfter int64 // octets, for DropPartial
}

// endpoints are the names by which faults and counters know the requests.
var endpoints = []string{"token", "metadata", "sendMail", "discovery", "search", "mime", "createDraft", "deleteDraft",
	"attach", "attachments", "createUploadSession", "upload", "send", "addKey", "removeKey", "application",
	"submission", "submissionAuth", "submissionMail", "submissionRcpt", "submissionData"}

// Validate tells which combination of fields cannot be played.
func (f Fault) Validate() error {
	byContent := f.byContent()
	switch {
	case f.Endpoint != "" && !slices.Contains(endpoints, f.Endpoint):
		return fmt.Errorf("fault: endpoint %q is none of %s", f.Endpoint, strings.Join(endpoints, ", "))
	case f.Skip < 0 || f.Count < 0 || f.Percent < 0 || f.Percent > 99 || f.Latency < 0 || f.RetryAfter < 0 ||
		f.DropAfter < 0:
		return errors.New("fault: a number is negative, or percent is above 99")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("fault: status %d is not between 200 and 599", f.Status)
	case f.Status == 0 && !strings.HasPrefix(f.Endpoint, "submission") &&
		(f.Code != "" || f.Body != "" || f.AADSTS != 0 || f.RetryAfter != 0 || f.Stored && f.Drop == ""):
		return errors.New("fault: code, body, aadsts, retry_after and stored need a status")
	case byContent && (f.Drop == DropConnect || f.Drop == DropHeaders || f.Drop == DropPartial):
		return fmt.Errorf("fault: drop %q happens before from, subject and message_id are known", f.Drop)
	case f.Early && (f.Status == 0 || f.Stored || f.Drop != DropNever || byContent):
		return errors.New("fault: early needs a status, and happens before the message is known")
	case f.Drop == DropConnect && (f.Endpoint != "" || f.Mailbox != "" || f.Latency != 0):
		return errors.New("fault: drop connect happens before endpoint and mailbox are known")
	}
	switch f.Drop {
	case DropNever, DropConnect, DropHeaders, DropPartial, DropBody, DropStored:
		return nil
	}
	return fmt.Errorf("fault: drop %q is none of connect, headers, partial, body, stored", f.Drop)
}

// byContent reports whether the fault can only be matched once the message was
// read.
func (f *Fault) byContent() bool { return f.From != "" || f.Subject != "" || f.MessageID != "" }

// late reports whether the fault strikes after the message was recorded.
func (f *Fault) late() bool { return f.Stored || f.Drop == DropStored }

// replaces reports whether the fault takes the place of normal processing.
func (f *Fault) replaces() bool {
	return !f.late() && (f.Status != 0 || f.Drop != DropNever || f.Body != "")
}

// faults is the script in force: the first fault that meets a request is played.
type faults struct {
	active atomic.Bool // whether there is any, so that none costs nothing
	mu     sync.Mutex
	list   []*scripted
}

type scripted struct {
	Fault
	seen, met int
}

func newFaults() *faults { return &faults{} }

// Inject adds a fault behind those in force. It fails on what Validate refuses.
func (d *Double) Inject(f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	f.Mailbox, f.From = fold(f.Mailbox), fold(f.From)
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	d.faults.list = append(d.faults.list, &scripted{Fault: f})
	d.faults.active.Store(true)
	return nil
}

// ClearFaults ends every fault.
func (d *Double) ClearFaults() {
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	d.faults.list = nil
	d.faults.active.Store(false)
}

// Faults lists the faults still in force, in order.
func (d *Double) Faults() []Fault {
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	list := make([]Fault, 0, len(d.faults.list))
	for _, s := range d.faults.list {
		list = append(list, s.Fault)
	}
	return list
}

// take finds the fault for a request and counts it; nil means none. m is nil
// as long as the message was not read: faults by content are then passed over,
// and with m only they are considered.
func (s *faults) take(endpoint, mailbox string, m *Message) *Fault {
	return s.find(func(f *Fault) bool {
		return f.Drop != DropConnect && (f.Endpoint == "" || f.Endpoint == endpoint) &&
			(f.Mailbox == "" || f.Mailbox == mailbox) && f.byContent() == (m != nil) && f.matches(m)
	})
}

// refuseConnection reports whether the connection just accepted is to be cut.
func (s *faults) refuseConnection() bool {
	return s.find(func(f *Fault) bool { return f.Drop == DropConnect }) != nil
}

func (s *faults) find(meets func(*Fault) bool) *Fault {
	if !s.active.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.list {
		if !meets(&f.Fault) || !f.due() {
			continue
		}
		if f.Count > 0 && f.met >= f.Count {
			s.list = append(s.list[:i:i], s.list[i+1:]...)
			s.active.Store(len(s.list) > 0)
		}
		return &f.Fault
	}
	return nil
}

// due counts a matching request and decides whether it is met.
func (f *scripted) due() bool {
	f.seen++
	if f.seen <= f.Skip || f.Percent > 0 && rand.IntN(100) >= f.Percent {
		return false
	}
	f.met++
	return true
}

func (f *Fault) matches(m *Message) bool {
	if m == nil {
		return true
	}
	if f.From != "" && !containsFold(m.FromAddresses, f.From) {
		return false
	}
	return strings.Contains(m.Subject, f.Subject) && (f.MessageID == "" || f.MessageID == m.MessageID)
}

func containsFold(list []string, folded string) bool {
	for _, address := range list {
		if fold(address) == folded {
			return true
		}
	}
	return false
}

// play cuts the connection or answers as f says, in place of normal processing
// or after it.
func (x *exchange) play(f *Fault) {
	switch {
	case f.Early:
	case f.Drop == DropPartial:
		_, _ = io.CopyN(io.Discard, x.r.Body, f.DropAfter)
	case f.Drop == DropHeaders:
	default:
		x.drain()
	}
	if !x.d.sleep(f.Latency) || f.Drop != DropNever {
		x.d.log.Info("dropped", "endpoint", x.endpoint, "mailbox", x.mailbox, "at", string(f.Drop))
		dropConnection(x.r)
	}
	a := x.scriptedAnswer(f)
	x.refused(a)
	x.write(a)
}

func (x *exchange) scriptedAnswer(f *Fault) *answer {
	a := &answer{status: f.Status, header: map[string]string{}}
	if x.endpoint == "token" {
		a.entra = &entraBody{or(f.Code, "invalid_client"), f.AADSTS, or(f.Message, "Scripted by the sandbox.")}
	} else {
		a.graph = &graphBody{or(f.Code, defaultCode(f.Status)), or(f.Message, "Scripted by the sandbox.")}
	}
	f.replaceBody(a)
	for name, value := range f.Headers {
		a.header[name] = value
	}
	if f.RetryAfter > 0 {
		a.header["Retry-After"] = f.retryAfter(time.Now())
	}
	return a
}

// replaceBody puts something else in the place of the error document.
func (f *Fault) replaceBody(a *answer) {
	body, contentType := f.Body, "application/json"
	switch f.Body {
	case "":
		if f.Status < 300 {
			a.graph, a.entra = nil, nil // a success has no error document
		}
		return
	case BodyEmpty:
		body, contentType = "", ""
	case BodyHTML:
		body, contentType = "<!DOCTYPE html><html><body><h1>Our services aren't available right now</h1></body></html>",
			"text/html"
	case BodyBroken:
		body = `{"error":{"code":"Unkno`
	case BodyNull:
		body = "{}"
	default:
		if !strings.HasPrefix(body, "{") {
			contentType = http.DetectContentType([]byte(body))
		}
	}
	a.graph, a.entra, a.raw = nil, nil, body
	if contentType != "" {
		a.header["Content-Type"] = contentType
	}
}

// retryAfter formats the header; a date counts from the real clock, because
// the client's does.
func (f *Fault) retryAfter(now time.Time) string {
	if f.RetryAfterDate {
		return now.Add(f.RetryAfter).UTC().Format(http.TimeFormat)
	}
	return strconv.Itoa(int((f.RetryAfter + time.Second - 1) / time.Second))
}

// defaultCode is what Graph writes for a status [D errors.md].
func defaultCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "InvalidAuthenticationToken"
	case http.StatusForbidden:
		return "ErrorAccessDenied"
	case http.StatusTooManyRequests:
		return "ApplicationThrottled"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	case http.StatusInternalServerError:
		return "ErrorInternalServerError"
	case http.StatusInsufficientStorage:
		return "ErrorQuotaExceeded"
	}
	return "UnknownError"
}
