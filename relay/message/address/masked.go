package address

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"graphrelay/relay/message/charset"
)

// specials separate names from addresses, or begin and end quotes.
const specials = "," + brackets

// brackets are those of them that may make an address of a name, or hide one.
const brackets = `@<>;:"()[]\`

// masks finds an encoded word that decodes to one of the characters that separate
// names from addresses. Readers that decode first, as some of Python's and Perl's do,
// see another list in such a field than those that follow RFC 2047. A word within
// a word counts: readers differ about which of the two it is.
func masks(v []byte, specials string) bool {
	for {
		_, rest, found := bytes.Cut(v, []byte("=?"))
		if !found {
			return false
		}
		v = rest
		label, rest, _ := bytes.Cut(rest, []byte{'?'})
		encoding, rest, _ := bytes.Cut(rest, []byte{'?'})
		if len(encoding) != 1 || strings.IndexByte("qQbB", encoding[0]) < 0 {
			continue
		}
		text, rest, ended := bytes.Cut(rest, []byte("?="))
		if !ended {
			return false
		}
		if bytes.Contains(text, []byte("=?")) || isMasked(label, encoding[0]|0x20 == 'b', text, specials) {
			return true
		}
		v = rest
	}
}

// isMasked decides about one word. Of a word that cannot be decoded here, nobody
// knows what others decode it to.
func isMasked(label []byte, base bool, text []byte, specials string) bool {
	raw := unescape(make([]byte, 0, maxWord), text)
	if base {
		var err error
		if raw, err = base64.StdEncoding.AppendDecode(make([]byte, 0, maxWord), text); err != nil {
			return true
		}
		text = nil
	}
	label, _, _ = bytes.Cut(label, []byte{'*'}) // the language of RFC 2231
	seen := countSpecials(text, specials)       // before anybody decodes
	switch {
	case bytes.EqualFold(label, []byte("utf-8")):
		return countSpecials(raw, specials) > seen
	case !charset.Known(string(label)):
		return true
	case !bytes.EqualFold(label, []byte("iso-2022-jp")) && countSpecials(raw, specials) > seen:
		// Where a special is half of a letter, readers whose table lacks that
		// letter see the special.
		return true
	}
	return countSpecials([]byte(charset.ToUTF8(string(raw), string(label))), specials) > seen
}

// maxWord is how long an encoded word may be in RFC 2047.
const maxWord = 75

func countSpecials(text []byte, specials string) (n int) {
	for _, c := range text {
		if isControl(c) || strings.IndexByte(specials, c) >= 0 {
			n++
		}
	}
	return n
}

// unescape appends what the Q encoding stands for.
func unescape(out, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '=' && i+2 < len(text) {
			var b [1]byte
			if _, err := hex.Decode(b[:], text[i+1:i+3]); err == nil {
				c = b[0]
				i += 2
			}
		} else if c == '_' {
			c = ' '
		}
		out = append(out, c)
	}
	return out
}
