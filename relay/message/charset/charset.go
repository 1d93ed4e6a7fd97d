// Package charset turns the text of a message into UTF-8, whatever it was
// written in: values of header fields with the encoded words of RFC 2047, and
// bodies with a charset parameter or without one.
//
// Labels are those that browsers know, with their meaning there, for senders
// get labels wrong in the same ways as web pages. No input is an error: what
// cannot be decoded stays as it is or becomes U+FFFD. The package must not know
// what the text is for.
package charset

import (
	"errors"
	"io"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
)

// byLabel finds the encoding that a label names, nil if it is UTF-8,
// US-ASCII, unknown, or one that a message must not choose: the table is that of
// browsers, which maps the dangerous ones to "replacement".
func byLabel(label string) encoding.Encoding {
	label = strings.ToLower(strings.Trim(strings.TrimSpace(label), `"'`))
	switch label {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "x-user-defined", "binary":
		return nil // the bytes decide, not the label
	case "cp932", "ms932":
		label = "shift_jis"
	case "cp850", "ibm850", "850":
		return charmap.CodePage850
	case "cp437", "ibm437", "437":
		return charmap.CodePage437
	}
	e, err := htmlindex.Get(label)
	if err != nil || e == encoding.Replacement {
		return nil
	}
	return e
}

// Known reports whether ToUTF8 decodes a label as every other reader does. It
// does not for UTF-16, whose byte order readers guess.
func Known(label string) bool {
	label = strings.ToLower(label)
	switch label {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return true
	}
	return !strings.HasPrefix(label, "utf-") && byLabel(label) != nil
}

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

// DecodeWords decodes encoded words of RFC 2047 in any character set; what
// cannot be decoded stays as it is.
func DecodeWords(s string) string {
	s = ToUTF8(s, "")
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: func(label string, in io.Reader) (io.Reader, error) {
		word, err := io.ReadAll(in) // short, and there may be many: no reader with buffers for each
		return strings.NewReader(ToUTF8(string(word), label)), err
	}}
	out, err := d.DecodeHeader(s)
	if err != nil {
		return s
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
// known label it reads the text to find out, as ToUTF8 does. Errors are those of
// the reader.
func Of(label string, open func() io.Reader) (encoding.Encoding, error) {
	if e := byLabel(label); e != nil {
		return e, nil
	}
	_, err := io.Copy(io.Discard, transform.NewReader(open(), encoding.UTF8Validator))
	if errors.Is(err, encoding.ErrInvalidUTF8) {
		return charmap.Windows1252, nil
	}
	return nil, err
}

// Reader reads in, which is in the encoding e, as valid UTF-8 without NUL. A nil
// e means UTF-8.
func Reader(in io.Reader, e encoding.Encoding) io.Reader {
	clean := transform.Chain(runes.ReplaceIllFormed(), runes.Map(func(r rune) rune {
		if r == 0 {
			return utf8.RuneError
		}
		return r
	}))
	if e == nil {
		return transform.NewReader(in, clean)
	}
	return transform.NewReader(transform.NewReader(in, e.NewDecoder()), clean)
}
