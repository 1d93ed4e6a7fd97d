package charset

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// utf7 reads UTF-7 (RFC 2152). A run that does not decode, or hides a control
// character, stays as it is.
type utf7 struct{ encoding.Encoding }

// NewDecoder returns a decoder for one text.
func (utf7) NewDecoder() *encoding.Decoder { return &encoding.Decoder{Transformer: utf7Decoder{}} }

// maxRun bounds a run of base64: what is longer stays as it is.
const maxRun = 3 << 10

type utf7Decoder struct{ transform.NopResetter }

// Transform implements transform.Transformer.
func (utf7Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		text, used := src[nSrc:nSrc+1], 1
		switch {
		case src[nSrc] >= utf8.RuneSelf:
			text = []byte("\ufffd")
		case src[nSrc] == '+':
			var whole bool
			text, used, whole = shifted(src[nSrc:])
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
func shifted(src []byte) (text []byte, used int, whole bool) {
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
	units := appendBase64(nil, string(run))
	text, err := utf16BE.NewDecoder().Bytes(units[:len(units)/2*2])
	if err != nil || bytes.ContainsFunc(text, unicode.IsControl) {
		return src[:end], end, whole
	}
	return text, used, whole
}

func isBase64(c byte) bool { return sixBits(c) < 64 && c != '-' && c != '_' }
