package graph

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

const maxClaims = 8 << 10

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

// bearerParam returns the parameter name of the first Bearer challenge in s that has it.
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
			s = s[1:] // no grammar has this; skip it
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
