package parts

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// sorter decides what each part becomes.
type sorter struct {
	r      io.ReadSeeker
	root   *node
	text   *node
	others []*node // what becomes an attachment
	left   []*node // other forms of the text
	apart  []*node // text outside of the parts
	beside []*node // the root of multipart/related, which may show them by their location
	at     string  // the number of the part that is sorted
	shown  cidFinder
	images relinker
	m      *Message
}

// place is where a part is.
type place struct {
	related bool // inside multipart/related, beside its root
	spare   bool // an alternative that was not chosen
}

func (s *sorter) sort(n *node, at place) error {
	n.number = s.at
	if n.multi && len(n.children) == 0 && !s.sealed(n) {
		n.becomeText()
	}
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

// becomeText makes a multipart without parts the text that it holds.
func (n *node) becomeText() {
	n.multi, n.outside = false, nil
	n.head.mediaType, n.head.name, n.head.disposition = typeText, "", ""
	n.repairs = append(n.repairs, "it is called a multipart and has no parts")
	if n.head.encoding != "" {
		n.faults = append(n.faults, "it is a multipart in a transfer encoding")
	}
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
	if at.related && n.head.location != "" {
		s.beside = append(s.beside, n)
	}
	switch {
	case at.spare && !file && isForm(n.head.mediaType):
		s.left = append(s.left, n)
	case isText && !file && !at.related && (s.text == nil || !s.text.words && n.words):
		if s.text != nil { // a blank one
			s.left = append(s.left, s.text)
		}
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

// alternative takes the last form that holds HTML, else the first plain text; not
// an empty one. The other forms are left out if they are text, and kept as files
// if not.
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
		return n.head.mediaType == mediaType && n.head.disposition != "attachment" && n.words
	}
	return slices.ContainsFunc(n.children, func(c *node) bool { return holds(c, mediaType) })
}

// related sorts the root and what it refers to. The root is the part that "start"
// names or else the first (RFC 2387); where that is no text, it is the one of the
// type that "type" names, or the only text.
func (s *sorter) related(n *node, at place) error {
	root := s.relatedRoot(n)
	return s.each(n, func(i int) place { return place{at.related || i != root, at.spare} })
}

func (s *sorter) relatedRoot(n *node) int {
	isText := func(c *node) bool { return holds(c, typeHTML) || holds(c, typeText) }
	start, kind := strings.Trim(n.head.params["start"], "<> "), strings.ToLower(n.head.params["type"])
	texts, only := 0, 0
	for i, c := range n.children {
		if start != "" && c.head.contentID == start {
			return i
		}
		if isText(c) {
			texts, only = texts+1, i
		}
	}
	if isText(n.children[0]) {
		return 0
	}
	if i := slices.IndexFunc(n.children, func(c *node) bool { return isText(c) && c.head.mediaType == kind }); i >= 0 {
		return i
	}
	if texts == 1 {
		return only
	}
	return 0
}

// each sorts the children of n, each in its place, and keeps the text around them.
func (s *sorter) each(n *node, at func(i int) place) error {
	number := s.at
	for i, c := range n.children {
		s.at = strings.TrimPrefix(number+"."+strconv.Itoa(i+1), ".")
		if err := s.sort(c, at(i)); err != nil {
			return err
		}
	}
	s.at = number
	for _, x := range n.outside {
		s.apart = append(s.apart, &node{head: outsideHead, start: x.start, end: x.end, number: number})
		n.repairs = append(n.repairs, "there is text outside of its parts")
	}
	s.note(n)
	return nil
}

// outsideHead is the header of text that is outside of the parts.
var outsideHead = partHead{mediaType: typeText, name: "text-outside-the-parts.txt"}

// complete finds a text where none was chosen, and makes files of the text that
// is outside of the parts.
func (s *sorter) complete() {
	if s.text == nil {
		i := slices.IndexFunc(s.others, func(n *node) bool {
			return (n.head.mediaType == typeText || n.head.mediaType == typeHTML) && n.head.disposition != "attachment"
		})
		switch {
		case i >= 0:
			s.text = s.others[i]
			s.others = slices.Delete(s.others, i, i+1)
			if name := s.text.head.name; name != "" {
				s.text.repairs = append(s.text.repairs, fmt.Sprintf("the file %q is the text of the message", name))
			}
		case len(s.apart) > 0:
			s.text, s.apart = s.apart[0], s.apart[1:]
		}
	}
	s.others = append(s.others, s.apart...)
	if s.text != nil && s.text.head.mediaType == typeHTML {
		s.images.base, _ = url.Parse(s.text.head.location)
		for _, n := range s.beside {
			s.images.add(n)
		}
	}
}

// note adds what was odd about a part.
func (s *sorter) note(n *node) {
	for _, what := range n.repairs {
		s.m.Repairs = append(s.m.Repairs, Problem{n.number, what})
	}
	for _, what := range n.faults {
		s.m.Unplaced = append(s.m.Unplaced, Problem{n.number, what})
	}
}
