package graph

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// refusing is an HTTP/2 server that reads a whole request, says that it did
// not process it (REFUSED_STREAM, RFC 9113 section 8.7), and takes the next.
func refusing(t *testing.T, d *double) (*url.URL, *atomic.Int64) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: d.TLS.Certificates, NextProtos: []string{"h2"}})
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
			go refuseFirst(conn, &streams)
		}
	}()
	u, _ := url.Parse("https://" + l.Addr().String())
	return u, &streams
}

func refuseFirst(conn net.Conn, streams *atomic.Int64) {
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
			_ = f.WriteRSTStream(frame.Header().StreamID, http2.ErrCodeRefusedStream)
			continue
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.Header().StreamID, BlockFragment: statusBlock(202), EndHeaders: true, EndStream: true})
	}
}

func statusBlock(code int) []byte {
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(code)})
	return block.Bytes()
}

// What the server says it did not process is sent again at once, through GetBody.
func TestRefusedStreamIsReplayed(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
	var streams *atomic.Int64
	cfg.Graph, streams = refusing(t, d)
	var opened int
	m := mail(sample)
	again := m
	again.Open = func() (io.ReadCloser, error) { opened++; return m.Open() }
	a := mustNew(t, cfg).Send(within10s(t), address(t, "relay@contoso.com"), again)
	if a.Outcome != Delivered || opened != 2 || streams.Load() != 2 {
		t.Errorf("opened %d times, %d streams: %+v", opened, streams.Load(), a)
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
