package parts

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// sorter decides what each part becomes.
type sorter struct {
	r      io.ReadSeeker
	root   *node
	text   *node
	others []*node   // what becomes an attachment
	shown  cidFinder // fed with the text, if it is HTML
}

// place is where a part is.
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
	return s.each(n, func(int) place { return at })
}

// sealed recognizes what loses its meaning when it is taken apart (RFC 1847, 8551,
// 3156). An encrypted file that is attached is a file like others.
func (s *sorter) sealed(n *node) bool {
	switch n.head.mediaType {
	case "multipart/signed", "multipart/encrypted":
		return true
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return n == s.root
	}
	return false
}

// leaf makes a part the text if possible, and an attachment otherwise. It leaves
// out the plain form of a text that is there as HTML.
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

// isForm recognizes the types that are only another form of a text.
func isForm(mediaType string) bool {
	switch mediaType {
	case typeText, typeHTML, "text/enriched", "text/richtext", "text/x-amp-html", "text/watch-html":
		return true
	}
	return false
}

// alternative takes the last form that holds HTML, else the first plain text. The
// other forms are left out if they are text, and kept as files if not.
func (s *sorter) alternative(n *node, at place) error {
	chosen := max(0, slices.IndexFunc(n.children, func(c *node) bool { return holds(c, typeText) }))
	for i, c := range n.children {
		if holds(c, typeHTML) {
			chosen = i
		}
	}
	return s.each(n, func(i int) place { return place{at.related, at.spare || i != chosen} })
}

// holds reports whether a part is of a type, or shows one of it.
func holds(n *node, mediaType string) bool {
	if !n.multi {
		return n.head.mediaType == mediaType && n.head.disposition != "attachment"
	}
	return slices.ContainsFunc(n.children, func(c *node) bool { return holds(c, mediaType) })
}

// related sorts the root, which is the part that "start" names or else the first
// (RFC 2387), and what it refers to.
func (s *sorter) related(n *node, at place) error {
	root := 0
	start := strings.Trim(n.head.params["start"], "<>")
	for i, c := range n.children {
		if start != "" && c.head.contentID == start {
			root = i
		}
	}
	return s.each(n, func(i int) place { return place{at.related || i != root, at.spare} })
}

// each sorts the children of n, each in its place.
func (s *sorter) each(n *node, at func(i int) place) error {
	for i, c := range n.children {
		if err := s.sort(c, at(i)); err != nil {
			return err
		}
	}
	return nil
}

func (s *sorter) open(n *node) io.Reader {
	return decoded(&span{r: s.r, at: n.start, end: n.end}, n.head.encoding)
}
