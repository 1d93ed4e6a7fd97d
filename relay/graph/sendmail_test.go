package graph

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

const sample = "From: a@contoso.com\r\nTo: b@example.org\r\nSubject: test\r\n\r\nHello.\r\n"

func TestSendDeliversTheExactBytes(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	for _, size := range []int{1, 2, 3, 4, 71, rawBuffer - 1, rawBuffer, rawBuffer + 1, 100_000, 2_200_001} {
		text := strings.Repeat("From: x\r\n\x00\xff=?", size/12+1)[:size]
		a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(text))
		if a.Outcome != outcome.Delivered || a.HTTPStatus != 202 || a.Status != (reply.Enhanced{2, 0, 0}) ||
			a.RequestID == "" || a.Duration <= 0 {
			t.Fatalf("size %d: %+v", size, a)
		}
		_, n := d.counts()
		r := d.sent(n - 1)
		if r.body != base64.StdEncoding.EncodeToString([]byte(text)) {
			t.Errorf("size %d: the body is not the base64 of the message", size)
		}
		if r.length != int64(len(r.body)) {
			t.Errorf("size %d: Content-Length %d for a body of %d", size, r.length, len(r.body))
		}
		if r.proto != 2 {
			t.Errorf("HTTP/%d was used", r.proto)
		}
	}
}

func TestSendHeaders(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
	cfg.UserAgent = "graphrelay/1.2"
	mustNew(t, cfg).Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	h := d.sent(0).header
	for name, want := range map[string]string{
		"Authorization": "Bearer token-1", "Content-Type": "text/plain", "Accept": "application/json",
		"User-Agent": "graphrelay/1.2",
	} {
		if got := h[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"Content-Encoding", "Accept-Encoding", "Transfer-Encoding"} {
		if got := h[name]; got != nil {
			t.Errorf("%s: %q must be absent", name, got)
		}
	}
	if len(h.Get("client-request-id")) != 36 {
		t.Errorf("client-request-id: %q", h.Get("client-request-id"))
	}
}

func TestMailboxIsOnePathSegment(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	for _, in := range []string{"a+b@contoso.com", "o'brien@contoso.com", "a#b@contoso.com", "100%41@contoso.com",
		"a/b@contoso.com",
		"a?b@contoso.com", "ext_gmail.com#EXT#@contoso.onmicrosoft.com", "jürgen@contoso.com", `"a b"@contoso.com`,
		"a&b=c@contoso.com"} {
		mailbox := address(t, in)
		if a := c.Send(within10s(t), mailbox, mail(sample)); a.Outcome != outcome.Delivered {
			t.Errorf("%s: %+v", in, a)
			continue
		}
		_, n := d.counts()
		segment := strings.TrimSuffix(strings.TrimPrefix(d.sent(n-1).path, "/v1.0/users/"), "/sendMail")
		if got, err := url.PathUnescape(segment); err != nil || got != mailbox.String() ||
			strings.ContainsAny(segment, "+'#/?@&= ") {
			t.Errorf("%s became %q, which reads as %q", in, segment, got)
		}
	}
}

func TestRedirectIsAnAnswer(t *testing.T) {
	for _, location := range []string{"https://example.org/", "://", ""} {
		d := newDouble(t)
		d.send = func(_ int, w http.ResponseWriter, _ *http.Request, _ received) {
			w.Header().Set("Location", location)
			w.WriteHeader(307)
		}
		a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
		if _, sends := d.counts(); sends != 1 || a.Outcome != outcome.Hold || a.HTTPStatus != 307 {
			t.Errorf("location %q: %d sends, %+v", location, sends, a)
		}
	}
}

func TestThrottlingIsOneRequest(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, _ received) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(429)
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if _, sends := d.counts(); sends != 1 || a.Outcome != outcome.Retry || a.RetryAfter != 7*time.Second {
		t.Fatalf("%d sends, %+v", sends, a)
	}
}

func TestAnswerBodyIsBounded(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, _ received) {
		w.WriteHeader(403)
		for range 64 {
			_, _ = io.WriteString(w, strings.Repeat("x", 64<<10))
		}
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.HTTPStatus != 403 || len(a.Text) > 2*outcome.MaxText {
		t.Fatalf("%d bytes of text, %+v", len(a.Text), a)
	}
}

func TestUnreadableMessageIsNotSent(t *testing.T) {
	broken := errors.New("the store is broken")
	for name, m := range map[string]Mail{
		"open fails": {Size: 5, Open: func() (io.ReadCloser, error) { return nil, broken }},
		"shorter":    {Size: 100_000, Open: mail(sample).Open},
		"longer":     {Size: int64(len(sample)) - 1, Open: mail(sample).Open},
		"read fails": {Size: 100_000, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 60_000)), failing{broken})), nil
		}},
	} {
		d := newDouble(t)
		d.send = func(_ int, w http.ResponseWriter, _ *http.Request, rec received) {
			if int64(len(rec.body)) == rec.length {
				t.Errorf("%s: a whole body of %d bytes arrived", name, rec.length)
			}
		}
		a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), m)
		if a.Outcome != outcome.Retry || a.Scope != outcome.ScopeMessage || a.Advice == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestEmptyMessageIsHeld(t *testing.T) {
	d := newDouble(t)
	if a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail("")); a.Outcome != outcome.Hold ||
		a.Scope != outcome.ScopeMessage {
		t.Errorf("%+v", a)
	}
}

// The connection ends after the message was read whole: nobody knows.
func TestLostAfterTheBodyIsUnknown(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		d := newDouble(t)
		d.send = func(int, http.ResponseWriter, *http.Request, received) { panic(http.ErrAbortHandler) }
		c := d.client()
		setHTTP2(c, http2)
		a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
		if _, sends := d.counts(); sends != 1 || a.Outcome != outcome.Unknown || a.HTTPStatus != 0 ||
			len(a.RequestID) != 36 {
			t.Errorf("http2 %v: %d sends, %+v", http2, sends, a)
		}
	}
}

// The caller gives up while the answer is awaited: nobody knows either.
func TestCancelledAfterTheBodyIsUnknown(t *testing.T) {
	d := newDouble(t)
	ctx, cancel := context.WithCancel(within10s(t))
	d.send = func(_ int, _ http.ResponseWriter, r *http.Request, _ received) {
		cancel()
		<-r.Context().Done()
	}
	a := d.client().Send(ctx, address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Unknown {
		t.Errorf("%+v", a)
	}
}

func TestCancelledBeforeTheRequestIsRetry(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	if _, err := c.Token(within10s(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within10s(t))
	cancel()
	if a := c.Send(ctx, address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Retry {
		t.Errorf("%+v", a)
	}
}

// A message is not read any more once Send has returned, even if the answer
// came early.
func TestEarlyAnswerEndsTheReading(t *testing.T) {
	d := newDouble(t)
	early := httpHandler(d, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
	})
	defer early()
	var closed, late atomic.Bool
	m := Mail{Size: 3 << 20, Open: func() (io.ReadCloser, error) { return &watched{closed: &closed, late: &late}, nil }}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), m)
	if a.Outcome != outcome.TooLarge || a.Status != (reply.Enhanced{5, 3, 4}) || !closed.Load() || late.Load() {
		t.Errorf("closed %v, read late %v: %+v", closed.Load(), late.Load(), a)
	}
}

// httpHandler makes sendMail answer without reading the body.
func httpHandler(d *double, h http.HandlerFunc) (restore func()) {
	old := d.Config.Handler
	d.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/sendMail") {
			h(w, r)
			return
		}
		old.ServeHTTP(w, r)
	})
	return func() { d.Config.Handler = old }
}

// watched gives zeros without end and notices a read after Close.
type watched struct{ closed, late *atomic.Bool }

func (w *watched) Read(p []byte) (int, error) {
	if w.closed.Load() {
		w.late.Store(true)
	}
	return len(p), nil
}

func (w *watched) Close() error { w.closed.Store(true); return nil }

func BenchmarkSend(b *testing.B) {
	for _, size := range []int{10 << 10, 2 << 20} {
		b.Run(strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
			d := newDouble(b)
			restore := httpHandler(d, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(202)
			})
			defer restore()
			c, m, to := d.client(), mail(strings.Repeat("x", size)), address(b, "relay@contoso.com")
			c.Send(b.Context(), to, m)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if a := c.Send(b.Context(), to, m); a.Outcome != outcome.Delivered {
					b.Fatal(a)
				}
			}
		})
	}
}

// A 202 before the whole message has left says nothing about what was accepted. The server takes no more than its
// window of the body.
func TestSendAcceptedEarlyIsUnknown(t *testing.T) {
	d := newDouble(t)
	d.early = true
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(strings.Repeat("x", 3<<20)))
	if a.Outcome != outcome.Unknown || a.Scope != message || a.HTTPStatus != 202 || a.Advice == "" {
		t.Errorf("%+v", a)
	}
}
