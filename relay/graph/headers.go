package graph

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxText       = 500 // octets of a foreign message kept in a text
	maxWord       = 100 // of a code, a name or an id
	maxRetryAfter = time.Hour
	maxClaims     = 8 << 10
)

// header finds a field whatever the case of the map's key.
func header(h http.Header, name string) string {
	if v := h.Get(name); v != "" {
		return v
	}
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

// retryAfter reads a Retry-After of RFC 9110 section 10.2.3, in seconds or as
// a date, bounded to an hour; 0 if there is none to speak of. A date is
// compared with the answer's own Date where it has one, so that the clock of
// this machine does not matter.
func retryAfter(value, date string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if value[0] >= '0' && value[0] <= '9' && strings.Trim(value, "0123456789") == "" {
		s, err := strconv.Atoi(value)
		if err != nil || s > int(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if server, err := http.ParseTime(date); err == nil {
		now = server
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// challengeClaims finds the claims parameter in the Bearer challenges of
// WWW-Authenticate (RFC 9110 section 11.6.1) and decodes it. The result is a
// JSON object, or empty: a malformed challenge asks for nothing.
func challengeClaims(fields []string) string {
	for _, f := range fields {
		if len(f) > 2*maxClaims {
			continue
		}
		if claims := decodeClaims(bearerParam(f, "claims")); claims != "" {
			return claims
		}
	}
	return ""
}

// bearerParam returns the parameter name of the first Bearer challenge in s
// that has it.
func bearerParam(s, name string) string {
	scheme := ""
	for s != "" {
		s = strings.TrimLeft(s, " \t,")
		word := s[:wordEnd(s)]
		s = strings.TrimLeft(s[len(word):], " \t")
		switch {
		case strings.HasPrefix(s, "="):
			var value string
			value, s = paramValue(strings.TrimLeft(s[1:], " \t"))
			if strings.EqualFold(scheme, "Bearer") && strings.EqualFold(word, name) {
				return value
			}
		case word != "":
			scheme = word
		case s != "":
			s = s[1:] // no grammar has this; go on behind it
		}
	}
	return ""
}

func wordEnd(s string) int {
	if i := strings.IndexAny(s, " \t,=\""); i >= 0 {
		return i
	}
	return len(s)
}

// paramValue takes a token or a quoted-string from the front of s.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:]
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "" // no closing quote
}

// decodeClaims takes base64 of either alphabet, padded or not, and bare JSON.
func decodeClaims(s string) string {
	if len(s) > maxClaims {
		return ""
	}
	text := []byte(s)
	if !strings.HasPrefix(s, "{") {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
		var err error
		if text, err = base64.RawStdEncoding.DecodeString(plain); err != nil {
			return ""
		}
	}
	var object map[string]any
	if json.Unmarshal(text, &object) != nil || len(object) == 0 {
		return ""
	}
	return string(text)
}

// line makes foreign text fit to be shown: one line, at most limit octets,
// with control characters, bidi marks and broken UTF-8 visible, and anything
// that looks like a token left out.
func line(s string, limit int) string {
	if len(s) > 8*limit {
		s = s[:8*limit]
	}
	s = withoutTokens(s)
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= limit {
			b.WriteString("...")
			break
		}
		b.WriteString(visible(r, s[i:]))
	}
	return b.String()
}

func visible(r rune, at string) string {
	switch {
	case r == utf8.RuneError && !strings.HasPrefix(at, string(utf8.RuneError)):
		return fmt.Sprintf(`\x%02x`, at[0])
	case r == ' ' || unicode.IsPrint(r):
		return string(r)
	}
	return strings.Trim(strconv.QuoteRuneToASCII(r), "'")
}

// withoutTokens replaces JWTs, the form that access tokens and assertions have.
func withoutTokens(s string) string {
	for {
		i := strings.Index(s, "eyJ")
		if i < 0 {
			return s
		}
		end := i + strings.IndexFunc(s[i:]+" ", func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.=", r))
		})
		s = s[:i] + "[token]" + s[end:]
	}
}
