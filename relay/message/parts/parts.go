// Package parts takes a stored message apart, for mail that is too large to be
// sent as it is: into one text, its attachments, and the header fields that a
// mail API without MIME knows.
//
// Promises: every byte of the content becomes part of the text or of an
// attachment, or belongs to another form of the text that is left out, or is
// named in Unplaced: then Original is to be attached. Content is decoded and
// otherwise keeps its bytes; the text becomes UTF-8. What is damaged is read as
// far as it has one sensible reading, which Repairs names: delimiters that are
// not those of the header, parameters that are not indented, misspelt encodings.
// A multipart without parts is text.
//
// Every parser takes time in proportion to the message. A signed or encrypted
// message is not taken apart (ErrSealed), nor is one of too many parts
// (ErrTooManyParts). The package must not know Graph, the spool or why a message
// is taken apart. RFC 2045, 2046, 2231, 2387, 2557.
package parts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"graphrelay/relay/message"
	"graphrelay/relay/message/charset"
)

// ErrSealed means that a message is signed or encrypted as a whole, so that it
// cannot be taken apart without breaking that.
var ErrSealed = errors.New("the message is signed or encrypted")

// Message is a message taken apart for a mail API that knows no MIME: one text
// and a list of attachments. What is lost: the other forms of the text, the
// order and nesting of parts, and every field of their headers but those here.
type Message struct {
	Fields      Fields
	Text        Text
	Attachments []Attachment // in the order of the message
	Unplaced    []Problem    // what is neither in Text nor in Attachments
	Repairs     []Problem    // what was read otherwise than it is written
	Original    Attachment   // the message itself without its Bcc field, to be attached where something is unplaced
}

// Problem says what is odd about a part.
type Problem struct {
	Part string // number, as in "1.2"; empty for the message itself
	What string // for people
}

// String names the part.
func (p Problem) String() string {
	if p.Part == "" {
		return "the message: " + p.What
	}
	return "part " + p.Part + ": " + p.What
}

// Text is the chosen body: HTML if there is one, else the first plain text.
type Text struct {
	HTML bool
	Size int64 // bytes as UTF-8
	open func() io.Reader
}

// Open reads the text as valid UTF-8. Nothing else of the message may be read
// at the same time.
func (t Text) Open() io.Reader {
	if t.open == nil {
		return strings.NewReader("")
	}
	return t.open()
}

// Attachment is a part that is not the text.
type Attachment struct {
	Name      string // never empty, without control characters and slashes
	Type      string // media type without parameters
	ContentID string // without angle brackets; the text may refer to it
	Inline    bool   // the text is HTML and shows it
	Size      int64  // bytes, decoded
	open      func() io.Reader
}

// Open reads the decoded bytes. Nothing else of the message may be read at the
// same time.
func (a Attachment) Open() io.Reader { return a.open() }

// Read takes a message apart that is in r, with CRLF line ends. It reads it
// twice, or a few times more where it is damaged, holds no part of it in memory
// but the headers, and costs the same however deep parts are nested. r must stay
// open as long as parts are read, and reading ends when ctx does. Errors are
// ErrSealed, ErrTooManyParts, those of message.Read for the header, that of ctx,
// and those of r.
func Read(ctx context.Context, r io.ReadSeeker, size int64) (*Message, error) {
	s, err := read(&obedient{r, ctx}, size)
	if err != nil {
		return nil, err
	}
	return s.m, nil
}

func read(r io.ReadSeeker, size int64) (*sorter, error) {
	root, err := walk(func() io.Reader { return &span{r: r, end: size} })
	if err != nil {
		return nil, err
	}
	h, _, err := message.Read(&span{r: r, end: root.start}, message.Options{MaxHeader: maxHeader})
	if err != nil {
		return nil, err
	}
	s := &sorter{r: r, root: root, m: &Message{}}
	if err := s.sort(root, place{}); err != nil {
		return nil, err
	}
	s.complete()
	if err := s.content(); err != nil {
		return nil, err
	}
	s.fields(h)
	s.m.Original = original(r, h, root.start, size)
	return s, nil
}

// content reads the text and the attachments.
func (s *sorter) content() (err error) {
	if s.text != nil {
		if s.m.Text, err = s.readText(s.text); err != nil {
			return err
		}
		s.note(s.text)
	}
	for i := 0; i < len(s.others); i++ { // a part may leave another one behind
		n := s.others[i]
		a, err := s.attachment(n, i+1)
		if err != nil {
			return err
		}
		s.m.Attachments = append(s.m.Attachments, a)
		s.note(n)
	}
	for _, n := range s.left {
		s.note(n)
	}
	return nil
}

// original is the message as it is, but for its Bcc field.
func original(r io.ReadSeeker, h *message.Header, body, size int64) Attachment {
	var header bytes.Buffer
	for name, value := range h.All() {
		if !strings.EqualFold(name, "Bcc") {
			fmt.Fprintf(&header, "%s:%s\r\n", name, value)
		}
	}
	header.WriteString("\r\n")
	return Attachment{
		Name: "original-message.eml", Type: typeMessage, Size: int64(header.Len()) + size - body,
		open: func() io.Reader {
			return io.MultiReader(bytes.NewReader(header.Bytes()), &span{r: r, at: body, end: size})
		},
	}
}

// maxHeader is how long a stored header may be: longer than one that is
// received, since Apply has added to it.
const maxHeader = 4 << 20

// decode returns what opens a part, after read has read it to the end: whether it
// can be decoded shows only there. It is read again without what is behind its
// base64, and as it is where it is not uuencoded.
func (s *sorter) decode(n *node, read func(io.Reader) error) (open func() io.Reader, err error) {
	if n.head.strange != "" {
		as := cmp.Or(n.head.encoding, "none")
		n.repairs = append(n.repairs, fmt.Sprintf("its transfer encoding %q was read as %s", n.head.strange, as))
	}
	open = func() io.Reader {
		r, _ := decoded(&span{r: s.r, at: n.start, end: n.end}, n.head.encoding)
		return r
	}
	r, fault := decoded(&span{r: s.r, at: n.start, end: n.end}, n.head.encoding)
	if err = read(r); err != nil {
		return nil, err
	}
	if d, ok := r.(*decoder); ok && d.tail != nil && d.tail() > 0 {
		behind := n.start + d.tail()
		s.others = append(s.others, &node{head: outsideHead, start: behind, end: n.end, number: n.number})
		n.end = behind
		n.repairs = append(n.repairs, "there is text behind its base64")
		return open, read(open())
	}
	what := fault()
	if what != "" {
		n.faults = append(n.faults, what)
	}
	if d, ok := r.(*decoder); ok && d.name != nil && n.head.name == "" {
		n.head.name = d.name()
	}
	if what == notUuencoded {
		n.head.encoding = ""
		return open, read(open())
	}
	return open, nil
}

func (s *sorter) attachment(n *node, number int) (Attachment, error) {
	var size int64
	open, err := s.decode(n, func(r io.Reader) (err error) {
		size, err = io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		return Attachment{}, err
	}
	return Attachment{
		Name:      fileName(n.head, number, s.label()),
		Type:      n.head.mediaType,
		ContentID: charset.Clean(n.head.contentID, '\ufffd'),
		Inline:    s.shown.found[n.head.contentID],
		Size:      size,
		open:      open,
	}, nil
}
