// Package parts takes a stored message apart, for mail that is too large to be
// sent as it is: into one text, its attachments, and the header fields that a
// mail API without MIME knows.
//
// Promises: every part becomes the text, an attachment, or another form of the
// text that is left out. Content is decoded and otherwise keeps its bytes; the
// text becomes UTF-8. What is damaged is read as far as it goes, and what does
// not parse as a multipart is an attachment as a whole.
//
// A signed or encrypted message is not taken apart (ErrSealed), nor is one of
// too many parts (ErrTooManyParts). The package must not know Graph, the spool
// or why a message is taken apart. RFC 2045, 2046, 2231, 2387.
package parts

import (
	"errors"
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
// twice, holds no part of it in memory but the headers, and costs the same
// however deep parts are nested. r must stay open as long as parts are read.
// Errors are ErrSealed, ErrTooManyParts, those of message.Read for the header,
// and those of r.
func Read(r io.ReadSeeker, size int64) (*Message, error) {
	root, err := walk(&span{r: r, end: size})
	if err != nil {
		return nil, err
	}
	h, _, err := message.Read(&span{r: r, end: root.start}, message.Options{MaxHeader: maxHeader})
	if err != nil {
		return nil, err
	}
	s := sorter{r: r, root: root, shown: cidFinder{found: map[string]bool{}}}
	if err := s.sort(root, place{}); err != nil {
		return nil, err
	}
	m := &Message{Fields: fieldsOf(h)}
	if s.text != nil {
		if m.Text, err = s.readText(s.text); err != nil {
			return nil, err
		}
	}
	for i, n := range s.others {
		a, err := s.attachment(n, i+1)
		if err != nil {
			return nil, err
		}
		m.Attachments = append(m.Attachments, a)
	}
	return m, nil
}

// maxHeader is how long a stored header may be: longer than one that is
// received, since Apply has added to it.
const maxHeader = 4 << 20

// readText finds the character set of the text and its length.
func (s *sorter) readText(n *node) (Text, error) {
	e, err := charset.Of(n.head.params["charset"], func() io.Reader { return s.open(n) })
	if err != nil {
		return Text{}, err
	}
	t := Text{
		HTML: n.head.mediaType == typeHTML,
		open: func() io.Reader { return charset.Reader(s.open(n), e) },
	}
	to := io.Discard
	if t.HTML {
		to = &s.shown
	}
	t.Size, err = io.Copy(to, t.Open())
	return t, err
}

func (s *sorter) attachment(n *node, number int) (Attachment, error) {
	a := Attachment{
		Name:      fileName(n.head, number),
		Type:      n.head.mediaType,
		ContentID: charset.Clean(n.head.contentID, '\ufffd'),
		Inline:    s.shown.found[n.head.contentID],
		open:      func() io.Reader { return s.open(n) },
	}
	var err error
	a.Size, err = io.Copy(io.Discard, a.Open())
	return a, err
}
