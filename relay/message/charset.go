package message

import (
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
)

// decoderOf finds the decoder of a character set by its label, nil where it is
// UTF-8, US-ASCII, unknown, or one that a message must not choose: the table
// is that of browsers, which maps the dangerous ones to "replacement".
func decoderOf(label string) encoding.Encoding {
	label = strings.ToLower(strings.Trim(strings.TrimSpace(label), `"'`))
	switch label {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "x-user-defined", "binary":
		return nil // looked at, not believed
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

// toUTF8 makes text readable whatever it is. Without a character set that is
// known, it is UTF-8 where it is valid and windows-1252 otherwise.
func toUTF8(s, label string) string {
	e := decoderOf(label)
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

// decodeWords decodes encoded words of RFC 2047 in any character set; what
// cannot be decoded stays as it is.
func decodeWords(s string) string {
	s = toUTF8(s, "")
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: func(label string, in io.Reader) (io.Reader, error) {
		word, err := io.ReadAll(in) // short, and there may be many: no reader with buffers for each
		return strings.NewReader(toUTF8(string(word), label)), err
	}}
	out, err := d.DecodeHeader(s)
	if err != nil {
		return s
	}
	return out
}

// utf8Reader gives in as valid UTF-8 without NUL; e nil means that it is UTF-8
// already.
func utf8Reader(in io.Reader, e encoding.Encoding) io.Reader {
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
