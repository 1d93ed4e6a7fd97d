package charset

import (
	"unicode"
	surrogates "unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// utf7 reads UTF-7 (RFC 2152). A run that does not decode, or hides a control
// character, stays as it is.
type utf7 struct{ encoding.Encoding }

// NewDecoder returns a decoder for one text.
func (utf7) NewDecoder() *encoding.Decoder { return &encoding.Decoder{Transformer: &utf7Decoder{}} }

// maxRun bounds a run of base64: what is longer stays as it is.
const maxRun = 3 << 10

type utf7Decoder struct {
	transform.NopResetter
	units, text []byte // of a run
}

// Transform implements transform.Transformer.
func (d *utf7Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		text, used := src[nSrc:nSrc+1], 1
		switch {
		case src[nSrc] >= utf8.RuneSelf:
			text = []byte("\ufffd")
		case src[nSrc] == '+':
			var whole bool
			text, used, whole = d.shifted(src[nSrc:])
			if !whole && !atEOF && len(src)-nSrc <= maxRun {
				return nDst, nSrc, transform.ErrShortSrc
			}
		}
		if len(dst)-nDst < len(text) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += copy(dst[nDst:], text)
		nSrc += used
	}
	return nDst, nSrc, nil
}

// shifted decodes the run that begins with the plus of src; whole is false where
// more of it may follow src.
func (d *utf7Decoder) shifted(src []byte) (text []byte, used int, whole bool) {
	end := 1
	for end < len(src) && end <= maxRun && isBase64(src[end]) {
		end++
	}
	run := src[1:end]
	whole = end < len(src)
	used = end
	if whole && src[end] == '-' {
		used++
	}
	if len(run) == 0 && used == 2 {
		return src[:1], 2, true // "+-" is a plus
	}
	left := len(run) % 8 // 3 and 6 characters hold whole units of 16 bits
	if len(run) == 0 || left != 0 && left != 3 && left != 6 {
		return src[:end], end, whole
	}
	if !d.decode(run) {
		return src[:end], end, whole
	}
	return d.text, used, whole
}

// decode makes text of a run; false if a control character is in it.
func (d *utf7Decoder) decode(run []byte) bool {
	d.units, d.text = appendBase64(d.units[:0], run), d.text[:0]
	unit := func(i int) rune { return rune(d.units[i])<<8 | rune(d.units[i+1]) }
	for i := 0; i+1 < len(d.units); i += 2 {
		r := unit(i)
		if unicode.IsControl(r) {
			return false
		}
		if surrogates.IsSurrogate(r) && i+3 < len(d.units) {
			if both := surrogates.DecodeRune(r, unit(i+2)); both != utf8.RuneError {
				r = both
				i += 2
			}
		}
		d.text = utf8.AppendRune(d.text, r)
	}
	return true
}

func isBase64(c byte) bool { return sixBits(c) < 64 && c != '-' && c != '_' }
