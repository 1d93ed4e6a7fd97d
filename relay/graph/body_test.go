package graph

import (
	"encoding/base64"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func testPool() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, rawBuffer); return &b }}
}

func TestBodyForEveryReader(t *testing.T) {
	pool := testPool()
	for size := range 70 {
		text := strings.Repeat("\x00\xfeabcdefg", 8)[:size]
		want := base64.StdEncoding.EncodeToString([]byte(text))
		if int64(len(want)) != EncodedLen(int64(size)) {
			t.Fatalf("EncodedLen(%d) = %d", size, EncodedLen(int64(size)))
		}
		if size == 0 {
			continue
		}
		for room := 1; room < 12; room++ {
			encoded := newBase64Body(io.NopCloser(iotest.OneByteReader(strings.NewReader(text))), int64(size), pool)
			b := &stream{src: encoded, closer: encoded}
			var got strings.Builder
			buf := make([]byte, room)
			for {
				n, err := b.Read(buf)
				got.Write(buf[:n])
				if err == io.EOF {
					break
				}
				if err != nil || n == 0 {
					t.Fatalf("size %d, room %d: %d, %v", size, room, n, err)
				}
			}
			if got.String() != want || b.given != int64(len(want)) {
				t.Fatalf("size %d, room %d: %q, want %q", size, room, got.String(), want)
			}
		}
	}
}

func TestBodyIsDeadAfterClose(t *testing.T) {
	b := newBase64Body(io.NopCloser(strings.NewReader(sample)), int64(len(sample)), testPool())
	if _, err := b.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := b.Read(make([]byte, 8)); n != 0 || err != errBodyClosed {
		t.Errorf("%d, %v", n, err)
	}
}

// Neither a short nor a long message gives out its last bytes.
func TestBodyOfTheWrongSize(t *testing.T) {
	for _, size := range []int64{1, 50, int64(len(sample)) - 1, int64(len(sample)) + 1, 1 << 20} {
		b := newBase64Body(io.NopCloser(strings.NewReader(sample)), size, testPool())
		got, err := io.ReadAll(b)
		if _, ok := err.(*spoolError); !ok || int64(len(got)) >= EncodedLen(size) {
			t.Errorf("size %d: %d bytes, %v", size, len(got), err)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	pool := testPool()
	text := strings.Repeat("x", 2<<20)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		body := newBase64Body(io.NopCloser(strings.NewReader(text)), int64(len(text)), pool)
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body}, buf); err != nil {
			b.Fatal(err)
		}
		_ = body.Close()
	}
}

// A body that has not as many bytes as its request announces is never sent whole.
func TestEveryBodyProvesItsLength(t *testing.T) {
	for off, want := range map[int64]bool{-1: false, 0: true, 1: false} {
		open := func() (io.ReadCloser, error) { return io.NopCloser(iotest.HalfReader(strings.NewReader(sample))), nil }
		s := streams{body: &Body{Size: int64(len(sample)) + off, Open: open}}
		body, err := s.open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		given, unreadable := s.stop()
		if whole := err == nil && string(got) == sample; whole != want || (unreadable == nil) != want {
			t.Errorf("%+d: %d bytes, %v, %v", off, len(got), err, unreadable)
		}
		if given != int64(len(got)) || !want && given >= s.size() {
			t.Errorf("%+d: %d bytes given of %d", off, given, s.size())
		}
	}
}
