package message

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
)

func addCorpus(f *testing.F, add func([]byte)) {
	for _, file := range corpus(f) {
		in, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(in) < 5000 {
			add(in)
		}
	}
	for _, s := range []string{
		"To: a@x.example (b@y.example)\r\n\r\n", "To: \"a@x.example\r\n \" <b@y.example>\r\n\r\n",
		"To: <@a,@b:c@d>,\r\n \r\n e@f\r\n\r\n",
		"To: g:a@b,c@d;,h:;\r\nTo: a@b <a@b>\r\nCc : x\r\nBCC:y@z\r\n\r\nbody", "From: a\r\nFrom : b\r\n\r\n", "\r\n",
		"x", " x\r\n",
		"To: \"\\\"\" <a@b>, \\\r\n\r\n", "To: =?utf-8?q?a=40b?= <c@d>\r\n\r\n",
		"To: a@[1.2.3.4], \"a b\"@c, a.@b, \xff@b\r\n\r\n",
		"To: \"x\r\n y\" <a@b>, \"c@d\" <e@f>\r\n\r\n", "To: =?utf-8?q?\"?= <a@b>, =?utf-8?q?\"?= <c@d>\r\n\r\n",
		"To: (x\r\n \" y) <a@b>, \"c@d\" <e@f>\r\n\r\n", "To: \"a =?x?q?\" <a@b>, x?= \"c@d\" <e@f>\r\n\r\n",
	} {
		add([]byte(s))
	}
}

// Whatever is read comes out canonical, and the same however it arrives.
func FuzzRead(f *testing.F) {
	addCorpus(f, func(b []byte) { f.Add(b, false, uint16(700)); f.Add(b, true, uint16(60)) })
	f.Fuzz(func(t *testing.T, in []byte, rejectLF bool, limit uint16) {
		o := Options{MaxHeader: int(limit) + 1, RejectBareLF: rejectLF}
		h, body, err := readVia(bytes.NewReader(in), o)
		h1, body1, err1 := readVia(trickle{bytes.NewReader(in)}, o)
		if (err == nil) != (err1 == nil) || err != nil && err.Error() != err1.Error() {
			t.Fatalf("in chunks it reads otherwise: %v, %v", err, err1)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(h.raw, h1.raw) || !bytes.Equal(body, body1) {
			t.Fatalf("in chunks it reads otherwise:\n%q %q\n%q %q", h.raw, body, h1.raw, body1)
		}
		if len(h.raw) > o.MaxHeader {
			t.Fatalf("header of %d bytes, limit %d", len(h.raw), o.MaxHeader)
		}
		checkLineEnds(t, h.raw)
		checkLineEnds(t, body)
		checkFields(t, h)
		checkNoSilentChange(t, in, h, body, o)
		_, _ = h.Authors()
		_, _ = h.Subject(), h.MessageID()
	})
}

// checkNoSilentChange: a message without a note is what came, byte for byte, but for
// the empty line and a line end that it may lack.
func checkNoSilentChange(t *testing.T, in []byte, h *Header, body []byte, o Options) {
	t.Helper()
	_, b, err := Read(bytes.NewReader(in), o)
	if err == nil {
		_, err = io.Copy(io.Discard, b)
	}
	if err != nil || b.Notes() != (Notes{}) {
		return
	}
	whole := string(h.raw) + "\r\n" + string(body)
	if !strings.HasPrefix(whole, string(in)) || len(whole)-len(in) > len("\r\n\r\n") {
		t.Fatalf("%q became %q without a note", in, whole)
	}
}

// checkFields: the fields are all there is, without gap or overlap.
func checkFields(t *testing.T, h *Header) {
	t.Helper()
	at := int32(0)
	for _, fl := range h.fields {
		if fl.start != at || fl.colon <= fl.start || fl.end < fl.colon+3 || h.raw[fl.colon] != ':' ||
			!bytes.HasSuffix(h.raw[:fl.end], []byte("\r\n")) {
			t.Fatalf("field %+v in %q", fl, h.raw)
		}
		at = fl.end
	}
	if int(at) != len(h.raw) {
		t.Fatalf("%q holds more than its fields", h.raw)
	}
}

func readVia(r io.Reader, o Options) (*Header, []byte, error) {
	h, b, err := Read(r, o)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(b)
	return h, body, err
}

// trickle gives three bytes at a time.
type trickle struct{ r io.Reader }

func (t trickle) Read(p []byte) (int, error) { return t.r.Read(p[:min(3, len(p))]) }

// The recipients are some of those that the message names, by the bits of
// pick, and others.
func FuzzApply(f *testing.F) {
	addCorpus(f, func(b []byte) { f.Add(b, uint32(0x55555555), "x@y.example"); f.Add(b, uint32(0xffffffff), "") })
	f.Fuzz(func(t *testing.T, in []byte, pick uint32, others string) {
		h, _, err := Read(bytes.NewReader(in), Options{MaxHeader: 8000})
		if err != nil {
			return
		}
		rcpts := picked(h, pick, others)
		if len(rcpts) == 0 {
			return
		}
		checkApply(t, h, edits(rcpts))
		e := edits(rcpts)
		e.Extra = RejectExtra
		if out, _, err := h.Apply(e); err == nil {
			checkReaders(t, out, rcpts)
		}
	})
}

func picked(h *Header, pick uint32, others string) []envelope.Address {
	var rcpts []envelope.Address
	for i, a := range candidates(h) {
		if pick>>(i%32)&1 == 1 {
			rcpts = append(rcpts, a)
		}
	}
	for _, s := range strings.Fields(others) {
		if a, err := envelope.ParseAddress(s); err == nil && CheckRecipient(a) == nil {
			rcpts = append(rcpts, a)
		}
	}
	return rcpts
}
