// Package charset turns the text of a message into UTF-8, whatever it was
// written in: values of header fields with the encoded words of RFC 2047, and
// bodies with a charset parameter or without one.
//
// Labels are those that browsers know, with their meaning there, for senders
// get labels wrong in the same ways as web pages; those of DOS and Windows code
// pages, in any spelling; and UTF-7. No input is an error: what cannot be
// decoded stays as it is or becomes U+FFFD. The package must not know what the
// text is for.
package charset

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// ToUTF8 decodes s, which label says how to read. Without a known label, it is
// UTF-8 if it is valid and windows-1252 otherwise.
func ToUTF8(s, label string) string {
	e := byLabel(label)
	if e == nil && utf8.ValidString(s) {
		return s
	}
	if e == nil {
		e = charmap.Windows1252
	}
	out, err := e.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\ufffd")
	}
	return out
}

// Raw is text that nothing labels, as in a header: UTF-8 if it is valid, else in
// the character set of the text beside it, which label names, if it fits.
func Raw(s, label string) string {
	if utf8.ValidString(s) {
		return s
	}
	out := ToUTF8(s, label)
	if strings.ContainsRune(out, utf8.RuneError) || ToUTF8("a.", label) != "a." { // UTF-16 fits everything
		return ToUTF8(s, "")
	}
	return out
}

// Clean returns s as one line of valid UTF-8: control stands in place of each
// control character, line ends included.
func Clean(s string, control rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return control
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// Guess returns the encoding that a text is in by its label, nil for UTF-8.
// Without a known label it is UTF-16 if the text, which start begins, has a byte
// order mark of it, and UTF-8 otherwise.
func Guess(label string, start []byte) encoding.Encoding {
	if e := byLabel(label); e != nil {
		return e
	}
	if bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) {
		return utf16
	}
	return nil
}

// Fallback is the encoding of a text without a label that is not UTF-8.
var Fallback encoding.Encoding = charmap.Windows1252

// Reader reads a text as valid UTF-8 without NUL, and counts what it replaces.
type Reader struct {
	io.Reader
	seen *cleaner
}

// NewReader reads in, which is in the encoding e. A nil e means UTF-8.
func NewReader(in io.Reader, e encoding.Encoding) Reader {
	if e != nil {
		in = transform.NewReader(in, e.NewDecoder())
	}
	seen := &cleaner{}
	return Reader{transform.NewReader(in, seen), seen}
}

// ErrInexact means that a text is not in the encoding that it was read in.
var ErrInexact = errors.New("the text is not in this character set")

// ExactReader reads in, which is UTF-8, and fails with ErrInexact where it is not.
func ExactReader(in io.Reader) Reader {
	seen := &cleaner{strict: true}
	return Reader{transform.NewReader(in, seen), seen}
}

// Exact reports whether nothing that was read had to be replaced, NULs aside.
func (r Reader) Exact() bool { return r.seen.bad == 0 && r.seen.unknown == 0 }

// Alien reports whether what was read is in no way UTF-8, not even as it is when
// it was damaged in a few places.
func (r Reader) Alien() bool { return r.seen.bad > 0 && r.seen.good <= 2*r.seen.bad }

// NULs counts what no text holds.
func (r Reader) NULs() int { return r.seen.nul }

// cleaner replaces NUL, and each byte that is not part of a UTF-8 character, by
// U+FFFD.
type cleaner struct {
	transform.NopResetter
	strict    bool // it fails instead
	good, bad int  // characters of several bytes, and bytes that are part of none
	unknown   int  // U+FFFD, which decoders write for what they do not know
	nul       int
}

const replacement = string(utf8.RuneError)

// Transform implements transform.Transformer.
func (c *cleaner) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		rest := src[nSrc:]
		if rest[0]-1 < utf8.RuneSelf-1 {
			n := copyPlain(dst[nDst:], rest)
			if n == 0 {
				return nDst, nSrc, transform.ErrShortDst
			}
			nDst, nSrc = nDst+n, nSrc+n
			continue
		}
		if len(rest) < utf8.UTFMax && !atEOF && !utf8.FullRune(rest) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		if len(dst)-nDst < utf8.UTFMax {
			return nDst, nSrc, transform.ErrShortDst
		}
		size := sequence(rest)
		if size > 1 {
			nDst += copy(dst[nDst:], rest[:size])
		} else {
			nDst += copy(dst[nDst:], replacement)
		}
		nSrc += size
		c.count(rest[:size])
		if c.strict && c.bad+c.unknown > 0 {
			return nDst, nSrc, ErrInexact
		}
	}
	return nDst, nSrc, nil
}

// count counts a character of several bytes, NUL, or a byte that is part of none.
func (c *cleaner) count(char []byte) {
	switch {
	case len(char) > 1:
		c.good++
		if string(char) == replacement {
			c.unknown++
		}
	case char[0] == 0:
		c.nul++
	default:
		c.bad++
	}
}

// sequence returns the length of the character of several bytes that text begins
// with, 1 if there is none. The short ones need no call.
func sequence(text []byte) int {
	if lead := text[0]; lead >= 0xc2 && lead < 0xe0 && len(text) > 1 && text[1]&0xc0 == 0x80 {
		return 2
	}
	_, size := utf8.DecodeRune(text)
	return size
}

// copyPlain copies the characters of one byte that src begins with, up to a NUL.
func copyPlain(dst, src []byte) int {
	n := min(len(dst), len(src))
	for i, b := range src[:n] {
		if b-1 >= utf8.RuneSelf-1 {
			n = i
			break
		}
	}
	return copy(dst, src[:n])
}
