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
	"bufio"
	"bytes"
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

// Of returns the encoding of a text that open reads, nil for UTF-8. Without a
// known label it reads the text to find out, as ToUTF8 does, and obeys a byte
// order mark of UTF-16. Errors are those of the reader.
func Of(label string, open func() io.Reader) (encoding.Encoding, error) {
	if e := byLabel(label); e != nil {
		return e, nil
	}
	var mark [2]byte
	n, err := io.ReadFull(open(), mark[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if string(mark[:n]) == "\xff\xfe" || string(mark[:n]) == "\xfe\xff" {
		return utf16, nil
	}
	if utf8, err := isUTF8(bufio.NewReader(open())); utf8 || err != nil {
		return nil, err
	}
	return charmap.Windows1252, nil
}

// isUTF8 reports whether a text is UTF-8, or was before it was damaged in a few
// places.
func isUTF8(in *bufio.Reader) (bool, error) {
	good, bad := 0, 0
	for {
		switch r, size, err := in.ReadRune(); {
		case err == io.EOF:
			return good > 2*bad || bad == 0, nil
		case err != nil:
			return false, err
		case r == utf8.RuneError && size == 1:
			bad++
		case size > 1:
			good++
		}
	}
}

// Exact reports whether a text is in the encoding e, so that nothing of it is
// replaced. A nil e means UTF-8.
func Exact(in io.Reader, e encoding.Encoding) (bool, error) {
	if e != nil {
		in = transform.NewReader(in, e.NewDecoder())
	}
	var buf [16 << 10]byte
	kept := 0
	for {
		n, err := in.Read(buf[kept:])
		text := buf[:kept+n]
		whole := text
		if err == nil {
			whole = wholeRunes(text)
		}
		switch {
		case !utf8.Valid(whole), bytes.Contains(whole, []byte(string(utf8.RuneError))):
			return false, nil
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, err
		}
		kept = copy(buf[:], text[len(whole):])
	}
}

// wholeRunes leaves out a character that the end of text cuts.
func wholeRunes(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			return text[:i]
		}
	}
	return text
}

// Reader reads in, which is in the encoding e, as valid UTF-8 without NUL. A nil
// e means UTF-8.
func Reader(in io.Reader, e encoding.Encoding) io.Reader {
	if e == nil {
		return transform.NewReader(in, cleaner{})
	}
	return transform.NewReader(transform.NewReader(in, e.NewDecoder()), cleaner{})
}

// cleaner replaces NUL, and each byte that is not part of a UTF-8 character, by
// U+FFFD.
type cleaner struct{ transform.NopResetter }

// Transform implements transform.Transformer.
func (cleaner) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		r, size := rune(src[nSrc]), 1
		if r >= utf8.RuneSelf {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			r, size = utf8.DecodeRune(src[nSrc:])
		}
		if r == 0 {
			r = utf8.RuneError
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}
