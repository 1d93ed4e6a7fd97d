package address

import (
	"mime"
	"strings"
	"unicode/utf8"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message/charset"
)

// mailboxOf writes a mailbox whose name, any text, every reader takes for a name,
// whether it decodes encoded words before it looks for addresses or afterwards.
func mailboxOf(name string, a envelope.Address) []byte {
	phrase := phraseOf(name)
	if phrase == "" {
		return []byte(a.String())
	}
	return []byte(phrase + " <" + a.String() + ">")
}

// maxName bounds a rewritten display name, in bytes.
const maxName = 998

// phraseOf makes a display name of a text: ASCII as words or quoted, other text
// as encoded words in which nothing is hidden that separates names from addresses.
func phraseOf(text string) string {
	if len(text) > maxName {
		text = strings.ToValidUTF8(text[:maxName], "") + " ..."
	}
	text = strings.ReplaceAll(charset.Clean(text, ' '), "=?", "= ?") // not to make an encoded word
	var pieces []string
	for words := strings.Fields(text); len(words) > 0; {
		n := 1
		for n < len(words) && envelope.IsASCII(words[n]) == envelope.IsASCII(words[0]) {
			n++
		}
		if run := strings.Join(words[:n], " "); envelope.IsASCII(run) {
			pieces = append(pieces, quoted(run))
		} else {
			pieces = append(pieces, encoded(run)...)
		}
		words = words[n:]
	}
	return strings.Join(pieces, " ")
}

// quoted puts a text in quotes where it needs them.
func quoted(text string) string {
	if strings.IndexFunc(text, needsQuotes) < 0 {
		return text
	}
	if strings.ContainsAny(text, `\"`) {
		if strings.IndexByte(text, '@') >= 0 { // with an escape beside it, some readers take it for an address
			text = strings.NewReplacer(`\`, `/`, `"`, `'`).Replace(text)
		}
		text = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
	}
	return `"` + text + `"`
}

// encoded cuts a text into encoded words and, in quotes, what they must not hide.
func encoded(text string) (pieces []string) {
	for text != "" {
		n := strings.IndexAny(text, specials)
		if n < 0 {
			n = len(text)
		}
		if plain := strings.TrimSpace(text[:n]); envelope.IsASCII(plain) && plain != "" {
			pieces = append(pieces, quoted(plain))
		} else if plain != "" {
			word := mime.QEncoding.Encode("utf-8", plain)
			pieces = append(pieces, strings.ReplaceAll(word, "?= =?", "?=\r\n =?"))
		}
		text = text[n:]
		if n = len(text) - len(strings.TrimLeft(text, specials+" ")); n > 0 {
			pieces = append(pieces, quoted(strings.TrimSpace(text[:n])))
			text = text[n:]
		}
	}
	return pieces
}

// needsQuotes finds what a phrase cannot hold without quotes.
func needsQuotes(r rune) bool {
	const atext = "!#$%&'*+-/=?^_`{|}~ "
	return r >= utf8.RuneSelf ||
		!(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(atext, r))
}

// plainText is what people read in the text around an address: without quotes
// and escapes, decoded, and with comments, unless one is all there is.
func plainText(text []byte) string {
	var b strings.Builder
	inQuotes, depth := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && (inQuotes || depth > 0) && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '"' && depth == 0:
			inQuotes = !inQuotes
		case c == '\r' || c == '\n':
		default:
			if c == '(' && !inQuotes {
				depth++
			} else if c == ')' && !inQuotes && depth > 0 {
				depth--
			}
			b.WriteByte(c)
		}
	}
	s := readable(b.String(), "")
	if inner, ok := strings.CutPrefix(s, "("); ok && strings.HasSuffix(inner, ")") && strings.Count(s, "(") == 1 {
		s = strings.TrimSuffix(inner, ")")
	}
	return s
}
