package graph

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

const sample = "From: a@contoso.com\r\nTo: b@example.org\r\nSubject: test\r\n\r\nHello.\r\n"

func TestSendDeliversTheExactOctets(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	for _, size := range []int{1, 2, 3, 4, 71, rawBuffer - 1, rawBuffer, rawBuffer + 1, 100_000, 2_200_001} {
		text := strings.Repeat("From: x\r\n\x00\xff=?", size/12+1)[:size]
		a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(text))
		if a.Outcome != outcome.Delivered || a.HTTPStatus != 202 || a.Status != (reply.Enhanced{2, 0, 0}) || a.RequestID == "" || a.Duration <= 0 {
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
		"Authorization": "Bearer token-1", "Content-Type": "text/plain", "Accept": "application/json", "User-Agent": "graphrelay/1.2",
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
	for _, in := range []string{"a+b@contoso.com", "o'brien@contoso.com", "a#b@contoso.com", "100%41@contoso.com", "a/b@contoso.com",
		"a?b@contoso.com", "ext_gmail.com#EXT#@contoso.onmicrosoft.com", "jürgen@contoso.com", `"a b"@contoso.com`, "a&b=c@contoso.com"} {
		mailbox := address(t, in)
		if a := c.Send(within10s(t), mailbox, mail(sample)); a.Outcome != outcome.Delivered {
			t.Errorf("%s: %+v", in, a)
			continue
		}
		_, n := d.counts()
		segment := strings.TrimSuffix(strings.TrimPrefix(d.sent(n-1).path, "/v1.0/users/"), "/sendMail")
		if got, err := url.PathUnescape(segment); err != nil || got != mailbox.String() || strings.ContainsAny(segment, "+'#/?@&= ") {
			t.Errorf("%s became %q, which reads as %q", in, segment, got)
		}
	}
}

func TestUnauthorizedGetsANewToken(t *testing.T) {
	d := newDouble(t)
	d.send = func(n int, w http.ResponseWriter, r *http.Request, rec received) {
		if rec.header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(401)
			_, _ = io.WriteString(w, `{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}`)
			return
		}
		w.WriteHeader(202)
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	logins, sends := d.counts()
	if a.Outcome != outcome.Delivered || logins != 2 || sends != 2 {
		t.Fatalf("%+v after %d logins and %d sends", a, logins, sends)
	}
	if unbase64(t, d.sent(1).body) != sample {
		t.Error("the second try must carry the whole message")
	}
}

func TestUnauthorizedTwiceHoldsTheIdentity(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, _ received) { w.WriteHeader(401) }
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if logins, sends := d.counts(); a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || logins != 2 || sends != 2 {
		t.Fatalf("%+v after %d logins and %d sends", a, logins, sends)
	}
}

func TestClaimsChallengeReachesTheLogin(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1652813508"}}}`
	d := newDouble(t)
	d.send = func(n int, w http.ResponseWriter, _ *http.Request, _ received) {
		if n == 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(202)
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	if got := d.logins[1].Get("claims"); !strings.Contains(got, `"1652813508"`) || !strings.Contains(got, "CP1") {
		t.Errorf("claims of the second login: %s", got)
	}
}

func TestMalformedClaimsAreNoClaims(t *testing.T) {
	d := newDouble(t)
	d.send = func(n int, w http.ResponseWriter, _ *http.Request, _ received) {
		if n == 1 {
			w.Header().Set("WWW-Authenticate", `Bearer claims=, claims="%%%", claims`)
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(202)
	}
	if a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
}

func TestLoginFailureAfterUnauthorizedIsTheAnswer(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, _ received) {
		d.mu.Lock()
		d.login = loginFails(401, "invalid_client", 7000222)
		d.mu.Unlock()
		w.WriteHeader(401)
	}
	a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || a.Code != "invalid_client" || !strings.Contains(a.Advice, "expired") {
		t.Fatalf("%+v", a)
	}
	if strings.Contains(a.Text+a.Advice, testSecret) {
		t.Errorf("the secret is in %q", a.Text)
	}
}

func TestNothingLeavesWithoutAToken(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
	c := mustNew(t, cfg)
	// The SDK's provider now allows another host only, and then says nothing.
	other, _ := url.Parse("https://graph.example.org")
	c.cfg.Graph = other
	adapter, err := c.newAdapter()
	if err != nil {
		t.Fatal(err)
	}
	c.cfg.Graph, c.adapter = cfg.Graph, adapter
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if _, sends := d.counts(); sends != 0 || a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity || !strings.Contains(a.Text, "without a token") {
		t.Fatalf("%d sends, %+v", sends, a)
	}
}

func TestNothingLeavesForAnotherHost(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	other := newDouble(t)
	c.base = other.URL + "/v1.0" // same name, other port: the SDK does not mind
	a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if _, sends := other.counts(); sends != 0 || a.Outcome != outcome.Hold || a.Scope != outcome.ScopeIdentity {
		t.Fatalf("%d sends, %+v", sends, a)
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
	if a.HTTPStatus != 403 || len(a.Text) > 2*maxText {
		t.Fatalf("%d octets of text, %+v", len(a.Text), a)
	}
}

// A hundred senders without a token make one login.
func TestManySendersOneLogin(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if logins, sends := d.counts(); logins != 1 || sends != 100 {
		t.Errorf("%d logins, %d sends", logins, sends)
	}
}

// A hundred senders whose token is refused make one new login.
func TestManyUnauthorizedOneLogin(t *testing.T) {
	d := newDouble(t)
	d.send = func(_ int, w http.ResponseWriter, _ *http.Request, rec received) {
		if rec.header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(202)
	}
	c := d.client()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if logins, _ := d.counts(); logins != 2 {
		t.Errorf("%d logins", logins)
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
				t.Errorf("%s: a whole body of %d octets arrived", name, rec.length)
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
	if a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail("")); a.Outcome != outcome.Hold || a.Scope != outcome.ScopeMessage {
		t.Errorf("%+v", a)
	}
}

func TestNoConnectionIsRetry(t *testing.T) {
	d, gone := newDouble(t), newDouble(t)
	cfg := d.config()
	cfg.Graph = gone.config().Graph
	gone.Close()
	a := mustNew(t, cfg).Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if logins, _ := d.counts(); logins != 1 || a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity || a.HTTPStatus != 0 || a.Advice == "" {
		t.Errorf("%+v", a)
	}
}

func TestUntrustedCertificateIsRetryWithAdvice(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
	cfg.CAFile = ""
	a := mustNew(t, cfg).Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if logins, _ := d.counts(); logins != 0 || a.Outcome != outcome.Retry || !strings.Contains(a.Advice, "ca_file") {
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
		if _, sends := d.counts(); sends != 1 || a.Outcome != outcome.Unknown || a.HTTPStatus != 0 || len(a.RequestID) != 36 {
			t.Errorf("http2 %v: %d sends, %+v", http2, sends, a)
		}
	}
}

func setHTTP2(c *Client, on bool) {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(on)
	c.transport.Protocols = &p
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

// A connection that dies before a body octet leaves is a retry, also when it
// had answered before.
func TestDialFailureOnAReplayIsRetry(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	setHTTP2(c, false)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	d.Server.CloseClientConnections()
	c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	c.transport.CloseIdleConnections()
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity {
		t.Errorf("%+v", a)
	}
}

// brokenWriter is a connection that the peer has forgotten: writing fails.
type brokenWriter struct {
	net.Conn
	broken *atomic.Bool
}

func (c brokenWriter) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: errors.New("broken pipe")}
	}
	return c.Conn.Write(p)
}

// A connection that died while idle is replaced and the message sent, with
// its body opened anew: by net/http through GetBody (HTTP/1), or here (HTTP/2).
func TestStaleConnectionIsReplaced(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		d := newDouble(t)
		c := d.client()
		setHTTP2(c, http2)
		dial := c.transport.DialContext
		var broken *atomic.Bool
		c.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			broken = new(atomic.Bool)
			counted := conn.(*countedConn)
			counted.Conn = brokenWriter{counted.Conn, broken}
			return counted, nil
		}
		if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
			t.Fatalf("%+v", a)
		}
		broken.Store(true)
		var opened int
		m := mail(sample)
		again := m
		again.Open = func() (io.ReadCloser, error) { opened++; return m.Open() }
		a := c.Send(within10s(t), address(t, "relay@contoso.com"), again)
		_, sends := d.counts()
		if a.Outcome != outcome.Delivered || opened != 2 || sends != 2 {
			t.Errorf("http2 %v: opened %d times, %d sends: %+v", http2, opened, sends, a)
			continue
		}
		if got := d.sent(1); unbase64(t, got.body) != sample || got.length != encodedLen(int64(len(sample))) {
			t.Errorf("http2 %v: the replay carried %q", http2, got.body)
		}
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

func TestRequestIDIsAUUID(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := requestID()
		if len(id) != 36 || id[14] != '4' || seen[id] {
			t.Fatal(id)
		}
		seen[id] = true
	}
}

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

func BenchmarkNewRequest(b *testing.B) {
	d := newDouble(b)
	c, to := d.client(), address(b, "relay@contoso.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.newRequest(b.Context(), to, "id"); err != nil {
			b.Fatal(err)
		}
	}
}

// A server that hangs up before the handshake has seen nothing.
func TestCutBeforeTheBodyIsRetry(t *testing.T) {
	d := newDouble(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	cfg := d.config()
	cfg.Graph, _ = url.Parse("https://" + l.Addr().String())
	a := mustNew(t, cfg).Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity {
		t.Errorf("%+v", a)
	}
}

// proxy is an HTTP proxy that knows CONNECT only, and records what it is told.
func connectProxy(t *testing.T, refuse bool) (*url.URL, chan string) {
	seen := make(chan string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Method + " " + r.Header.Get("Authorization")
		if r.Method != http.MethodConnect || refuse {
			w.WriteHeader(407)
			return
		}
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		in, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, rw); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}))
	t.Cleanup(srv.Close)
	u, _ := url.Parse(srv.URL)
	return u, seen
}

func TestProxyGetsCONNECTAndNoToken(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	u, seen := connectProxy(t, false)
	c.transport.Proxy = http.ProxyURL(u)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
	if len(seen) == 0 {
		t.Error("the proxy was not used")
	}
	for len(seen) > 0 {
		if s := <-seen; s != "CONNECT " {
			t.Errorf("the proxy saw %q", s)
		}
	}
	refusing, _ := connectProxy(t, true)
	c = d.client()
	c.transport.Proxy = http.ProxyURL(refusing)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Retry || !strings.Contains(a.Advice, "CONNECT") {
		t.Errorf("%+v", a)
	}
}

// Run fetches the token before anyone needs it, and Token reads it.
func TestRunFetchesAheadAndTokenTells(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	ctx, cancel := context.WithCancel(within10s(t))
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	for logins := 0; logins == 0 && ctx.Err() == nil; logins, _ = d.counts() {
		time.Sleep(time.Millisecond)
	}
	i, err := c.Token(ctx)
	if err != nil || time.Until(i.Expires) < 50*time.Minute || i.Tenant != "" {
		t.Errorf("%+v, %v", i, err)
	}
	if logins, _ := d.counts(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	cancel()
	<-done
}

func TestTokenTellsWhyThereIsNone(t *testing.T) {
	d := newDouble(t)
	d.login = loginFails(401, "invalid_client", 7000222)
	var refused *LoginError
	if _, err := d.client().Token(within10s(t)); !errors.As(err, &refused) || refused.Answer.Outcome != outcome.Hold || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

// Answers of Entra that no one expects end in an Answer too.
func TestOddLogins(t *testing.T) {
	var endless int
	for name, c := range map[string]struct {
		login   http.HandlerFunc
		outcome outcome.Outcome
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusFound)
		}, outcome.Hold},
		"html":      {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") }, outcome.Retry},
		"no token":  {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") }, outcome.Retry},
		"throttled": {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Retry-After", "9"); w.WriteHeader(429) }, outcome.Retry},
		"busy":      {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, outcome.Retry},
		"cut":       {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, outcome.Retry},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			for err := error(nil); err == nil && endless < 256<<20; endless += 64 << 10 {
				_, err = io.WriteString(w, strings.Repeat(" ", 64<<10))
			}
		}, outcome.Hold},
	} {
		d := newDouble(t)
		d.login = c.login
		start := time.Now()
		a := d.client().Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
		logins, sends := d.counts()
		if a.Outcome != c.outcome || a.Scope != outcome.ScopeIdentity || sends != 0 || logins != 1 || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %d logins, %d sends, %+v", name, logins, sends, a)
		}
		if d.Close(); endless > 64<<20 {
			t.Errorf("%s: %d octets of an answer were read", name, endless)
		}
		if name == "throttled" && a.RetryAfter != 9*time.Second {
			t.Errorf("%+v", a)
		}
	}
}
