package message

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// ErrSealed means that a message is signed or encrypted as a whole, so that it
// cannot be taken apart without breaking that.
var ErrSealed = errors.New("the message is signed or encrypted")

// Parts is a message taken apart for a mail API that knows no MIME: one text
// and a list of attachments. What is lost: the other forms of the text, the
// order and nesting of parts, and every field of their headers but those here.
type Parts struct {
	Header      *Header
	Text        Text
	Attachments []Attachment // in the order of the message
}

// Text is the chosen body: HTML if there is one, else the first plain text.
type Text struct {
	HTML bool
	Size int64 // octets as UTF-8
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
	Size      int64  // octets, decoded
	open      func() io.Reader
}

// Open reads the decoded octets. Nothing else of the message may be read at the
// same time.
func (a Attachment) Open() io.Reader { return a.open() }

// ReadParts takes a message apart that lies in r, with CRLF line ends. It reads
// it twice, holds no part of it in memory but the headers, and costs the same
// however deep parts are nested. r must stay open as long as parts are read.
// Errors are ErrSealed, ErrTooManyParts, those of Read for the header, and
// those of r.
func ReadParts(r io.ReadSeeker, size int64) (*Parts, error) {
	root, err := walk(&span{r: r, end: size})
	if err != nil {
		return nil, err
	}
	h, _, err := Read(&span{r: r, end: root.start}, Options{MaxHeader: maxStoredHeader})
	if err != nil {
		return nil, err
	}
	s := sorter{r: r, root: root, shown: cidFinder{found: map[string]bool{}}}
	if err := s.sort(root, place{}); err != nil {
		return nil, err
	}
	p := &Parts{Header: h}
	if s.text != nil {
		if p.Text, err = s.readText(s.text); err != nil {
			return nil, err
		}
	}
	for i, n := range s.others {
		a, err := s.attachment(n, i+1)
		if err != nil {
			return nil, err
		}
		p.Attachments = append(p.Attachments, a)
	}
	return p, nil
}

// maxStoredHeader is how long a header may be with what Apply has added to it.
const maxStoredHeader = 4 * defaultMaxHeader

// sorter decides what each part becomes.
type sorter struct {
	r      io.ReadSeeker
	root   *node
	text   *node
	others []*node   // what becomes an attachment
	shown  cidFinder // fed with the text, if it is HTML
}

// place is where a part stands.
type place struct {
	related bool // inside multipart/related, beside its root
	spare   bool // an alternative that was not chosen
}

func (s *sorter) sort(n *node, at place) error {
	switch {
	case s.sealed(n):
		return fmt.Errorf("%w (%s)", ErrSealed, n.head.mediaType)
	case !n.multi:
		s.leaf(n, at)
		return nil
	case n.head.mediaType == "multipart/alternative":
		return s.alternative(n, at)
	case n.head.mediaType == "multipart/related":
		return s.related(n, at)
	}
	for _, c := range n.children {
		if err := s.sort(c, at); err != nil {
			return err
		}
	}
	return nil
}

// sealed knows what loses its meaning when it is taken apart (RFC 1847, 8551,
// 3156). An encrypted file that is attached stays what it is.
func (s *sorter) sealed(n *node) bool {
	switch n.head.mediaType {
	case "multipart/signed", "multipart/encrypted":
		return true
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return n == s.root
	}
	return false
}

// leaf makes a part the text if it can be, and an attachment otherwise. The
// plain form of a text that is there as HTML is left out.
func (s *sorter) leaf(n *node, at place) {
	isText := n.head.mediaType == typeText || n.head.mediaType == typeHTML
	file := n.head.disposition == "attachment" || n.head.name != ""
	switch {
	case at.spare && !file && isForm(n.head.mediaType):
	case isText && !file && s.text == nil && !at.related:
		s.text = n
	default:
		s.others = append(s.others, n)
	}
}

// isForm knows the types that are only another form of a text.
func isForm(mediaType string) bool {
	switch mediaType {
	case typeText, typeHTML, "text/enriched", "text/richtext", "text/x-amp-html", "text/watch-html":
		return true
	}
	return false
}

// alternative takes the last form that holds HTML, else the first plain text. The other
// forms are left out where they are text, and kept as files where they are not.
func (s *sorter) alternative(n *node, at place) error {
	chosen := max(0, slices.IndexFunc(n.children, func(c *node) bool { return holds(c, typeText) }))
	for i, c := range n.children {
		if holds(c, typeHTML) {
			chosen = i
		}
	}
	for i, c := range n.children {
		form := at
		form.spare = at.spare || i != chosen
		if err := s.sort(c, form); err != nil {
			return err
		}
	}
	return nil
}

// holds tells whether a part is of a type, or shows one of it.
func holds(n *node, mediaType string) bool {
	if !n.multi {
		return n.head.mediaType == mediaType && n.head.disposition != "attachment"
	}
	for _, c := range n.children {
		if holds(c, mediaType) {
			return true
		}
	}
	return false
}

// related sorts the root, which "start" names or which comes first (RFC 2387),
// and what it refers to.
func (s *sorter) related(n *node, at place) error {
	root := 0
	start := strings.Trim(n.head.params["start"], "<>")
	for i, c := range n.children {
		if start != "" && c.head.contentID == start {
			root = i
		}
	}
	for i, c := range n.children {
		one := at
		one.related = at.related || i != root
		if err := s.sort(c, one); err != nil {
			return err
		}
	}
	return nil
}

func (s *sorter) open(n *node) io.Reader {
	return decoded(&span{r: s.r, at: n.start, end: n.end}, n.head.encoding)
}

// readText finds the character set of the text and its length. A text without
// a label is UTF-8 where it is valid.
func (s *sorter) readText(n *node) (Text, error) {
	e := decoderOf(n.head.params["charset"])
	if e == nil {
		valid, err := isUTF8(s.open(n))
		if err != nil {
			return Text{}, err
		}
		if !valid {
			e = charmap.Windows1252
		}
	}
	t := Text{HTML: n.head.mediaType == typeHTML, open: func() io.Reader { return utf8Reader(s.open(n), e) }}
	to := io.Discard
	if t.HTML {
		to = &s.shown
	}
	var err error
	t.Size, err = io.Copy(to, t.Open())
	return t, err
}

// isUTF8 reads r to its end, or to the first octets that are not UTF-8.
func isUTF8(r io.Reader) (bool, error) {
	_, err := io.Copy(io.Discard, transform.NewReader(r, encoding.UTF8Validator))
	if errors.Is(err, encoding.ErrInvalidUTF8) {
		return false, nil
	}
	return err == nil, err
}

func (s *sorter) attachment(n *node, number int) (Attachment, error) {
	a := Attachment{Type: n.head.mediaType, ContentID: printable(n.head.contentID), open: func() io.Reader { return s.open(n) }}
	a.Inline = s.shown.found[n.head.contentID]
	a.Name = fileName(n.head, number)
	var err error
	a.Size, err = io.Copy(io.Discard, a.Open())
	return a, err
}

// maxName is the longest file name, in octets, that every system takes.
const maxName = 200

// fileName is the name of a part, or one that tells what it is.
func fileName(h partHead, number int) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == ':':
			return '_'
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, h.name)
	name = shorten(strings.Trim(name, " ."), maxName)
	if name == "" {
		name = "attachment-" + strconv.Itoa(number) + extension(h.mediaType)
	}
	if h.mediaType == typeMessage && !strings.HasSuffix(strings.ToLower(name), ".eml") {
		name += ".eml"
	}
	return name
}

// shorten cuts a name before its extension.
func shorten(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	ext := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 && len(name)-i <= 20 {
		ext = name[i:]
	}
	return strings.ToValidUTF8(name[:limit-len(ext)], "") + ext
}

// extension is what a file of that type is called, for parts without a name.
func extension(mediaType string) string {
	switch mediaType {
	case typeText, "message/delivery-status", "text/rfc822-headers", "message/disposition-notification", "message/feedback-report":
		return ".txt"
	case typeHTML:
		return ".html"
	case typeMessage:
		return ".eml"
	case "text/calendar":
		return ".ics"
	case "text/csv":
		return ".csv"
	case "text/xml", "application/xml":
		return ".xml"
	case "application/pdf":
		return ".pdf"
	case "image/jpeg":
		return ".jpg"
	case "image/png", "image/gif", "image/bmp":
		return "." + strings.TrimPrefix(mediaType, "image/")
	case "image/tiff":
		return ".tif"
	case "application/zip", "application/x-zip-compressed":
		return ".zip"
	}
	return ".bin"
}
