package strict

import (
	"fmt"
	"strings"
	"unicode"
)

// Free marks a Scalar that may hold any character, such as a path. What looks
// like a quote or is not seen is refused at its ends only.
type Free interface{ Free() }

// lookalike names the first character in text that an editor or a web page puts
// where YAML has a quote, a blank or a sign of its own, or that nobody sees; nil
// if there is none. To YAML such a character is a part of the value.
func lookalike(text string) *Fault {
	for _, c := range text {
		if f := faultOf(c); f != nil {
			return f
		}
	}
	return nil
}

// quotes are the characters that look like quotes; signs are others that look
// like ASCII, with what they look like.
const (
	quotes = "“”„‟‘’‚‛«»‹›″′‶‵＂＇｀´〝〞〟「」『』"
	signs  = "：:﹕:﹟#＃#＠@﹫@．.，,［[］]｛{｝}－-‐-‑-‒-–-—-―-−-•-／/＊*＆&＝="
)

func faultOf(c rune) *Fault {
	switch at := strings.IndexRune(signs, c); {
	case c < 0x80:
		return nil
	case isQuote(c):
		return Bad(fmt.Sprintf("contains %c (%U), which looks like a quote but is not one in YAML", c, c),
			`write " in its place, or no quotes at all`)
	case isInvisible(c):
		return Bad(fmt.Sprintf("contains %U, which nobody sees", c), "remove it; copied text often brings it along")
	case isBlank(c):
		return Bad(fmt.Sprintf("contains %U, a blank that is not a space", c),
			"write a space in its place, or remove it")
	case at >= 0:
		like, space := signs[at+len(string(c))], ""
		if like == ':' {
			space = " and a space" // without it a key has no end
		}
		return Bad(fmt.Sprintf("contains %c (%U), which looks like %c but is not", c, c, like),
			fmt.Sprintf("write %c%s in its place", like, space))
	}
	return nil
}

func isQuote(c rune) bool     { return strings.ContainsRune(quotes, c) }
func isBlank(c rune) bool     { return c != ' ' && unicode.In(c, unicode.Zs, unicode.Zl, unicode.Zp) }
func isInvisible(c rune) bool { return unicode.Is(unicode.Cf, c) }

// lookalikeAtEnds is lookalike for a text that may hold any character, perhaps
// after a word and a colon.
func lookalikeAtEnds(text string) *Fault {
	_, rest, _ := strings.Cut(text, ":")
	for i, s := range []string{text, rest} {
		inner := strings.TrimFunc(s, func(c rune) bool { return isBlank(c) || isInvisible(c) })
		if inner != s {
			return lookalike(strings.Replace(s, inner, "", 1))
		}
		if strings.IndexFunc(s, isQuote) == 0 && isQuote(lastRune(s)) {
			f := lookalike(s)
			if i > 0 { // YAML's quotes are around the whole text
				f.remedy = "write no quotes there"
			}
			return f
		}
	}
	return nil
}

func lastRune(s string) rune {
	last := rune(0)
	for _, c := range s {
		last = c
	}
	return last
}
