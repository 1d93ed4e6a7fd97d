package charset

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DecodeWords is DecodeBeside for a header beside which there is no text.
func DecodeWords(s string) string { return DecodeBeside(s, "") }

// DecodeBeside decodes encoded words of RFC 2047 in any character set, and as
// programs write them: base64 without or with too much padding, in the alphabet
// for URLs, or cut anywhere between adjacent words; raw 8-bit text and blanks in
// a word; words without blanks around them. What cannot be decoded stays as it
// is. Text outside of words is read as Raw does.
func DecodeBeside(s, label string) string {
	var out strings.Builder
	var adjacent []word
	f := finder{s: s}
	for w, ok := f.next(); ok; w, ok = f.next() {
		blank := strings.Trim(w.before, " \t\r\n") == ""
		if len(adjacent) > 0 && (!blank || w.label != adjacent[0].label) {
			out.WriteString(joined(adjacent))
			adjacent = adjacent[:0]
			if blank { // blanks between words mean nothing
				w.before = ""
			}
		}
		if len(adjacent) == 0 {
			out.WriteString(Raw(w.before, label))
		}
		adjacent = append(adjacent, w)
	}
	out.WriteString(joined(adjacent))
	out.WriteString(Raw(f.rest(), label))
	return out.String()
}

// word is an encoded word and the text before it.
type word struct {
	before, label, text string
	base64              bool
	source              string // as it was written
}

// finder finds the encoded words of a text in one pass.
type finder struct {
	s        string
	at, done int // where to look, and the end of the last word
	end      int // of the next "?=", -1 where there is none; at least at
}

func (f *finder) rest() string { return f.s[f.done:] }

func (f *finder) next() (word, bool) {
	for {
		i := strings.Index(f.s[f.at:], "=?")
		if i < 0 {
			return word{}, false
		}
		start := f.at + i
		f.at = start + 2
		label, encoding, text := opening(f.s[f.at:])
		if encoding == 0 {
			continue
		}
		text += f.at
		if f.end < text {
			n := strings.Index(f.s[text:], "?=")
			if n < 0 {
				return word{}, false
			}
			f.end = text + n
		}
		w := word{f.s[f.done:start], label, f.s[text:f.end], encoding == 'b', f.s[start : f.end+2]}
		if !w.valid() {
			continue
		}
		f.at, f.done = f.end+2, f.end+2
		return w, true
	}
}

// opening reads "charset?B?"; text is where the content begins, encoding 0 where
// it is none.
func opening(s string) (label string, encoding byte, text int) {
	const maxLabel = 60
	n := strings.IndexByte(s[:min(len(s), maxLabel)], '?')
	if n < 1 || n+2 >= len(s) || s[n+2] != '?' || strings.ContainsAny(s[:n], " \t\r\n\"=") {
		return "", 0, 0
	}
	switch s[n+1] {
	case 'b', 'B':
		encoding = 'b'
	case 'q', 'Q':
		encoding = 'q'
	}
	return strings.ToLower(s[:n]), encoding, n + 3
}

// valid reports whether the content can be decoded. Another word may begin in
// one that does not end.
func (w word) valid() bool {
	if !w.base64 {
		return !strings.Contains(w.text, "=?")
	}
	for i := range len(w.text) {
		if c := w.text[i]; sixBits(c) > 63 && strings.IndexByte(" \t\r\n=", c) < 0 {
			return false
		}
	}
	return true
}

// joined decodes words of one character set that are adjacent: a character may
// be cut between two of them, and a group of base64.
func joined(words []word) string {
	if len(words) == 0 {
		return ""
	}
	var raw, whole []byte
	label, cut, eight, mixed := words[0].label, false, false, false
	var source strings.Builder
	for i, w := range words {
		source.WriteString(w.source)
		switch {
		case w.base64:
			whole = append(whole, w.text...)
			cut = cut || i+1 < len(words) && breaksOff(w.text)
			raw = appendBase64(raw, w.text)
		default:
			eight = eight || strings.ContainsFunc(w.text, func(r rune) bool { return r >= utf8.RuneSelf })
			raw, mixed = appendQ(raw, w.text), true
		}
	}
	if cut && !mixed {
		raw = appendBase64(nil, whole)
	}
	if eight && utf8.Valid(raw) {
		label = "" // raw text as UTF-8, whatever the label says
	}
	out := ToUTF8(string(raw), label)
	unreadable := func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }
	if strings.ContainsRune(out, utf8.RuneError) && strings.TrimFunc(out, unreadable) == "" {
		return ToUTF8(source.String(), "")
	}
	return out
}

// breaksOff reports whether base64 ends within a byte, so that the next word
// continues it. Missing padding alone leaves no bits behind.
func breaksOff(s string) bool {
	n, last := 0, uint32(0)
	for i := range len(s) {
		if v := sixBits(s[i]); v < 64 {
			n, last = n+1, v
		}
	}
	return n%4 == 1 || n%4 == 2 && last&15 != 0 || n%4 == 3 && last&3 != 0
}

// appendBase64 decodes content that is valid. After padding a new piece begins.
func appendBase64[T string | []byte](to []byte, s T) []byte {
	var acc uint32
	n := 0
	flush := func() {
		for acc <<= 6 * (4 - n); n > 1; n-- {
			to = append(to, byte(acc>>16))
			acc <<= 8
		}
		acc, n = 0, 0
	}
	for i := range len(s) {
		v := sixBits(s[i])
		if v > 63 {
			if s[i] == '=' {
				flush()
			}
			continue
		}
		acc = acc<<6 | v
		if n++; n == 4 {
			flush()
		}
	}
	flush()
	return to
}

// sixBits is the value of a character in either alphabet of base64, 64 for others.
func sixBits(c byte) uint32 {
	switch {
	case c >= 'A' && c <= 'Z':
		return uint32(c - 'A')
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 26
	case c >= '0' && c <= '9':
		return uint32(c-'0') + 52
	case c == '+' || c == '-':
		return 62
	case c == '/' || c == '_':
		return 63
	}
	return 64
}

// appendQ decodes the Q encoding; what is not an escape stays as it is.
func appendQ(to []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(s):
			var b [1]byte
			if n, err := hex.Decode(b[:], []byte(s[i+1:i+3])); n == 1 && err == nil {
				c = b[0]
				i += 2
			}
		}
		to = append(to, c)
	}
	return to
}
