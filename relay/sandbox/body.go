package sandbox

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
)

// maxRequest is the longest body of a request: "limited to 4 MB" [D
// user-post-messages], "the maximum request length supported is 4MB" [I].
const maxRequest = 4 << 20

// maxHeader is how much of a message is searched for the end of its header
// where the body is not kept.
const maxHeader = 1 << 20

var (
	errTooLarge  = errors.New("the request is longer than 4 MB")
	errBadBase64 = errors.New("the body is not base64")
)

// incoming is a message on its way into the store.
type incoming struct {
	Message
	raw   []byte   // as received; nil where bodies are not kept
	files [][]byte // attachments of a draft, the same
}

// readMail reads the body in the form that Content-Type announces.
func (d *Double) readMail(x *exchange) (*incoming, *answer) {
	form, refused := formOf(x.r.Header.Values("Content-Type"))
	if refused != nil {
		return nil, refused
	}
	body := &bodyReader{r: x.r.Body, left: maxRequest}
	if x.r.ContentLength > maxRequest {
		return nil, tooLarge()
	}
	plain, err := unzipped(body, x.r.Header.Get("Content-Encoding"))
	if err == nil {
		in := &incoming{Message: Message{Mailbox: x.mailbox, Form: form}}
		if form == "json" {
			refused, err = d.readJSON(plain, in)
		} else {
			err = d.readMIME(plain, in)
		}
		if err == nil {
			return in, refused
		}
	}
	if body.err != nil && body.err != io.EOF && body.err != errTooLarge {
		// The client broke off: nothing arrived, and nobody is there to answer.
		// Only this request ends; others may share its HTTP/2 connection.
		panic(http.ErrAbortHandler)
	}
	return nil, refusedBody(err)
}

// formOf tells MIME from JSON. Two Content-Type fields, as an SDK sends them
// when a stream is set on a generated request, are no type at all.
func formOf(contentTypes []string) (string, *answer) {
	if len(contentTypes) > 1 {
		return "", graphError(http.StatusBadRequest, "UnableToDeserializePostBody", "were unable to deserialize ")
	}
	contentType, _, err := mime.ParseMediaType(strings.Join(contentTypes, ""))
	if err == nil && contentType == "text/plain" {
		return "mime", nil
	}
	if err == nil && contentType == "application/json" {
		return "json", nil
	}
	return "", graphError(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
		"The content type of the request is a format that is not supported by the service.")
}

func tooLarge() *answer {
	return graphError(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
		"The maximum request length supported is 4MB.")
}

// refusedBody is the answer to a body that could not be read to its end.
func refusedBody(err error) *answer {
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge()
	case errors.Is(err, errBadBase64): // [D user-sendmail]
		return graphError(http.StatusBadRequest, "ErrorMimeContentInvalidBase64String",
			"Invalid base64 string for MIME content.")
	}
	return graphError(http.StatusBadRequest, "RequestBodyRead", "The request body could not be read.")
}

// unzipped undoes Content-Encoding: gzip, which the SDKs use and the service
// takes [S kiota-http-go]. What comes out is bounded like what goes in.
func unzipped(body io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		return &bodyReader{r: z, left: maxRequest}, nil
	}
	return nil, errors.New("unknown content encoding")
}

// bodyReader bounds a body and remembers how it ended, so that a connection
// that broke is told from content that is wrong.
type bodyReader struct {
	r    io.Reader
	left int64
	err  error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		n, err = 0, errTooLarge
	}
	if err != nil {
		b.err = err
	}
	return n, err
}

// readMIME decodes base64 and records what it says. Both forms of the document
// pass: one line, or lines ended by LF or CRLF [D user-sendmail example 4; S SMTP2Graph].
func (d *Double) readMIME(body io.Reader, in *incoming) error {
	sink := newSink(d.store.keepsBodies())
	if err := decodeBase64(sink, body); err != nil {
		return err
	}
	in.Size, in.SHA256, in.raw = sink.size, sink.sum(), sink.body()
	recognise(&in.Message, sink.header.Bytes(), in.raw, !d.store.keepsBodies())
	return nil
}

// buffers are the working memory of one decoding.
type buffers struct {
	in  [32 << 10]byte
	out [24 << 10]byte
}

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// decodeBase64 writes what src encodes in the standard alphabet, with padding.
// CR and LF are skipped; nothing but them may follow the padding.
func decodeBase64(dst io.Writer, src io.Reader) error {
	b := bufferPool.Get().(*buffers)
	defer bufferPool.Put(b)
	rest, padded := 0, false
	for {
		n, err := src.Read(b.in[rest:])
		n = rest + compact(b.in[rest:rest+n])
		if n > 0 && padded {
			return errBadBase64
		}
		whole := n &^ 3
		if whole > 0 {
			padded = b.in[whole-1] == '='
			m, err := base64.StdEncoding.Decode(b.out[:], b.in[:whole])
			if err != nil {
				return errBadBase64
			}
			if _, err := dst.Write(b.out[:m]); err != nil {
				return err
			}
		}
		rest = copy(b.in[:], b.in[whole:n])
		switch {
		case err == io.EOF && rest != 0:
			return errBadBase64
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// compact removes CR and LF in place and returns the new length.
func compact(b []byte) int {
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return len(b)
	}
	n := 0
	for _, c := range b {
		if c != '\r' && c != '\n' {
			b[n] = c
			n++
		}
	}
	return n
}

// sink takes the decoded message: it hashes all, and keeps all or the header.
type sink struct {
	keep   bool
	header bytes.Buffer // the whole message where keep is set
	ended  bool         // the end of the header was seen
	size   int64
	hash   hash.Hash
}

func newSink(keep bool) *sink { return &sink{keep: keep, hash: sha256.New()} }

func (s *sink) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	s.hash.Write(p)
	if s.keep {
		return s.header.Write(p)
	}
	if !s.ended {
		from := max(0, s.header.Len()-3)
		s.header.Write(p)
		s.ended = headerEnd(s.header.Bytes()[from:]) >= 0 || s.header.Len() > maxHeader
	}
	return len(p), nil
}

func (s *sink) sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }

func (s *sink) body() []byte {
	if !s.keep {
		return nil
	}
	return s.header.Bytes()
}
