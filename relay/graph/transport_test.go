package graph

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"graphrelay/relay/outcome"
)

// ending is an HTTP/2 server that reads a whole request, ends it as end says,
// and takes the next one.
func ending(t *testing.T, d *double, end func(f *http2.Framer, stream uint32) (hangUp bool)) (*url.URL, *atomic.Int64) {
	l, err := tls.Listen("tcp",
		"127.0.0.1:0", &tls.Config{Certificates: d.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var streams atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go endFirst(conn, &streams, end)
		}
	}()
	u, _ := url.Parse("https://" + l.Addr().String())
	return u, &streams
}

func endFirst(conn net.Conn, streams *atomic.Int64, end func(*http2.Framer, uint32) bool) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = f.WriteSettingsAck()
		}
		if data, ok := frame.(*http2.DataFrame); !ok || !data.StreamEnded() {
			continue
		}
		if streams.Add(1) == 1 {
			if end(f, frame.Header().StreamID) {
				return
			}
			continue
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.Header().StreamID, BlockFragment: statusBlock(202),
			EndHeaders: true, EndStream: true})
	}
}

func statusBlock(code int) []byte {
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(code)})
	return block.Bytes()
}

// What the server says it did not process (RFC 9113 sections 6.8 and 8.7) is sent
// again at once, through GetBody. What it may have processed is not: nobody knows
// whether it was sent.
func TestEndOfAnHTTP2Stream(t *testing.T) {
	for _, c := range []struct {
		name    string
		end     func(f *http2.Framer, stream uint32) (hangUp bool)
		outcome outcome.Outcome
		tries   int
	}{
		{"refused", func(f *http2.Framer, stream uint32) bool {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) != nil
		}, outcome.Delivered, 2},
		{"GOAWAY before it", func(f *http2.Framer, stream uint32) bool {
			return f.WriteGoAway(stream-1, http2.ErrCodeNo, nil) != nil
		}, outcome.Delivered, 2},
		{"GOAWAY after it, and then the end of the connection", func(f *http2.Framer, stream uint32) bool {
			_ = f.WriteGoAway(stream, http2.ErrCodeNo, nil)
			return true
		}, outcome.Unknown, 1},
		{"GOAWAY after it, and then its answer", func(f *http2.Framer, stream uint32) bool {
			_ = f.WriteGoAway(stream, http2.ErrCodeNo, nil)
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: statusBlock(202),
				EndHeaders: true, EndStream: true}) != nil
		}, outcome.Delivered, 1},
		{"reset", func(f *http2.Framer, stream uint32) bool {
			return f.WriteRSTStream(stream, http2.ErrCodeInternal) != nil
		}, outcome.Unknown, 1},
		{"hung up", func(*http2.Framer, uint32) bool { return true }, outcome.Unknown, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDouble(t)
			cfg := d.config()
			var streams *atomic.Int64
			cfg.Graph, streams = ending(t, d, c.end)
			var opened atomic.Int64
			m := mail(sample)
			again := m
			again.Open = func() (io.ReadCloser, error) { opened.Add(1); return m.Open() }
			a := mustNew(t, cfg).Send(within10s(t), address(t, "relay@contoso.com"), again)
			if a.Outcome != c.outcome || opened.Load() < int64(c.tries) || streams.Load() != int64(c.tries) {
				t.Errorf("opened %d times, %d streams: %+v", opened.Load(), streams.Load(), a)
			}
		})
	}
}

func TestWireProvesOnlyWhatItCan(t *testing.T) {
	write := &net.OpError{Op: "write", Err: errors.New("broken pipe")}
	for name, c := range map[string]struct {
		err   error
		bytes int
		dead  bool
	}{
		"failed write, nothing taken":    {write, 0, true},
		"failed write, something taken":  {write, 1, false},
		"failed read":                    {&net.OpError{Op: "read", Err: errors.New("reset")}, 0, false},
		"stopped":                        {context.Canceled, 0, false},
		"closed by the peer, as EOF":     {io.EOF, 0, false},
		"failed write, behind other err": {errors.Join(errors.New("x"), write), 0, true},
	} {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		conn := &countedConn{Conn: near}
		_, _ = conn.Write([]byte("earlier request"))
		var w wire
		w.gotConn(httptrace.GotConnInfo{Conn: tls.Client(conn, &tls.Config{ServerName: "x"})})
		_, _ = conn.Write([]byte("header"))
		w.wroteHeaders()
		_, _ = conn.Write(make([]byte, c.bytes))
		if got := w.wasDead(c.err); got != c.dead {
			t.Errorf("%s: %v", name, got)
		}
		_ = near.Close()
	}
	if new(wire).wasDead(write) {
		t.Error("without a connection nothing is proved")
	}
}

// Everything goes over the connections that Config.Dial opens, and over TLS.
func TestDial(t *testing.T) {
	d := newDouble(t)
	var dialled atomic.Int64
	cfg := d.config()
	host := cfg.Graph.Host
	u, _ := url.Parse("https://127.0.0.1:9")
	cfg.Login, cfg.Graph, d.URL = u, u, u.String() // URL is what discovery says
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "127.0.0.1:9" {
			t.Errorf("asked for %s", addr)
		}
		dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, network, host)
	}
	c := mustNew(t, cfg)
	if a := c.Send(t.Context(), address(t, "box@contoso.com"),
		mail("To: a@example.net\r\n\r\nx")); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
	if dialled.Load() == 0 {
		t.Error("nothing was dialled")
	}
}

func setHTTP2(c *Client, on bool) {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(on)
	c.network.Transport.Protocols = &p
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

// A connection that dies before a body byte leaves is a retry, also when it
// had answered before.
func TestDialFailureOnAReplayIsRetry(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	setHTTP2(c, false)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	d.Server.CloseClientConnections()
	c.network.Transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil,
			errors.New("no route")
	}
	c.network.Transport.CloseIdleConnections()
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Retry ||
		a.Scope != outcome.ScopeIdentity {
		t.Errorf("%+v", a)
	}
}

// breakable returns a function that breaks the last connection of a client.
func breakable(c *Client) func() {
	dial := c.network.Transport.DialContext
	var broken *atomic.Bool
	c.network.Transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		broken = new(atomic.Bool)
		counted := conn.(*countedConn)
		counted.Conn = brokenWriter{counted.Conn, broken}
		return counted, nil
	}
	return func() { broken.Store(true) }
}

// A connection that died while idle is replaced and the message sent, with
// its body opened again: by net/http through GetBody (HTTP/1), or here (HTTP/2).
func TestStaleConnectionIsReplaced(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		d := newDouble(t)
		c := d.client()
		setHTTP2(c, http2)
		breakLast := breakable(c)
		if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
			t.Fatalf("%+v", a)
		}
		breakLast()
		var opened int // net/http may open it once more, for another try at the dead connection
		m := mail(sample)
		again := m
		again.Open = func() (io.ReadCloser, error) { opened++; return m.Open() }
		a := c.Send(within10s(t), address(t, "relay@contoso.com"), again)
		_, sends := d.counts()
		if a.Outcome != outcome.Delivered || opened < 2 || sends != 2 {
			t.Errorf("http2 %v: opened %d times, %d sends: %+v", http2, opened, sends, a)
			continue
		}
		if got := d.sent(1); unbase64(t, got.body) != sample || got.length != EncodedLen(int64(len(sample))) {
			t.Errorf("http2 %v: the replay carried %q", http2, got.body)
		}
	}
}

func TestNoConnectionIsRetry(t *testing.T) {
	d, gone := newDouble(t), newDouble(t)
	cfg := d.config()
	cfg.Graph = gone.config().Graph
	gone.Close()
	a := mustNew(t, cfg).Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
	if logins, _ := d.counts(); logins != 1 || a.Outcome != outcome.Retry || a.Scope != outcome.ScopeIdentity ||
		a.HTTPStatus != 0 || a.Advice == "" {
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

// Without a body the header is the request: once a byte of it was taken, a failed
// write proves nothing.
func TestWireWithoutABody(t *testing.T) {
	for _, header := range []string{"", "header"} {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		conn := &countedConn{Conn: near}
		w := wire{bodiless: true}
		w.gotConn(httptrace.GotConnInfo{Conn: conn})
		_, _ = conn.Write([]byte(header))
		w.wroteHeaders()
		if got := w.wasDead(&net.OpError{Op: "write", Err: errors.New("broken pipe")}); got != (header == "") {
			t.Errorf("header %q: dead %v", header, got)
		}
		_ = near.Close()
	}
}

// Every request is repeated on a new connection where the old one had died, not
// only sendMail.
func TestStaleConnectionOfAnotherRequest(t *testing.T) {
	d := newDouble(t)
	c := d.client()
	breakLast := breakable(c)
	q := Request{Step: Step{Name: "asking"}, Method: http.MethodGet, Path: []string{"messages"}}
	for range 2 {
		if _, a := c.Do(within10s(t), address(t, "relay@contoso.com"), q); a.HTTPStatus != http.StatusNotFound {
			t.Errorf("no answer: %+v", a)
		}
		breakLast()
	}
}
