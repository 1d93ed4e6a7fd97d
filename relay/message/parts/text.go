package parts

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding"

	"graphrelay/relay/message/charset"
)

// reading is a text read to its end in one encoding.
type reading struct {
	encoding encoding.Encoding // nil for UTF-8
	text     charset.Reader
	size     int64
	shown    cidFinder
}

// maxNULs is the part of a text, one in so many characters, up to which NULs are
// strays and not signs of a file.
const maxNULs = 64

// readText finds the character set of the text and its length. It reads the text
// once, and a second time where the text is not in the character set that it
// seems to be in.
func (s *sorter) readText(n *node) (Text, error) {
	html, label := n.head.mediaType == typeHTML, n.head.params["charset"]
	var first reading
	raw, err := s.decode(n, func(r io.Reader) (err error) {
		in := buffered(r)
		start, _ := in.Peek(2)
		e := charset.Guess(label, start)
		first, err = s.read(charset.NewReader(in, e), e, html)
		return err
	})
	if err != nil {
		return Text{}, err
	}
	best, err := s.bestReading(n, first, raw)
	if err != nil {
		return Text{}, err
	}
	switch nuls := int64(best.text.NULs()); {
	case nuls > best.size/maxNULs:
		n.faults = append(n.faults, "its text holds NUL characters, and seems to be no text")
	case nuls > 0:
		n.repairs = append(n.repairs, "a NUL character in its text was replaced")
	}
	s.shown = best.shown
	return Text{HTML: html, Size: best.size, open: func() io.Reader {
		return s.linked(charset.NewReader(raw(), best.encoding), html)
	}}, nil
}

func (s *sorter) read(text charset.Reader, e encoding.Encoding, html bool) (r reading, err error) {
	r = reading{encoding: e, text: text}
	to := io.Discard
	if html {
		r.shown.found = map[string]bool{}
		to = &r.shown
	}
	r.size, err = io.Copy(to, s.linked(text, html))
	return r, err
}

// linked reads a text that refers to parts as a mail API without MIME needs it.
func (s *sorter) linked(in io.Reader, html bool) io.Reader {
	if html {
		return s.images.reader(in)
	}
	return in
}

// bestReading chooses an encoding. UTF-8 counts where the text is not in the
// character set that its header names.
func (s *sorter) bestReading(n *node, first reading, raw func() io.Reader) (reading, error) {
	html, label := n.head.mediaType == typeHTML, n.head.params["charset"]
	switch {
	case first.encoding == nil && first.text.Alien():
		if charset.Unheard(label) {
			n.faults = append(n.faults, fmt.Sprintf("its character set %.100q is not known", label))
		}
		return s.read(charset.NewReader(raw(), charset.Fallback), charset.Fallback, html)
	case first.text.Exact():
		return first, nil
	case first.encoding != nil:
		second, err := s.read(charset.ExactReader(raw()), nil, html)
		if !errors.Is(err, charset.ErrInexact) {
			n.repairs = append(n.repairs, "its text is UTF-8, and not what its header says")
			return second, err
		}
	}
	n.faults = append(n.faults, "its text is not in the character set that its header names")
	return first, nil
}
