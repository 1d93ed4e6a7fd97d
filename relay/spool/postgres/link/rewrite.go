package link

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// rewrite makes PostgreSQL's form of a statement: ? becomes $1, $2, ..., and the hints
// for SQLite (INDEXED BY name) go. Quoted text stays as it is.
func rewrite(sql string) string {
	var b strings.Builder
	for number := 1; sql != ""; {
		next := strings.IndexAny(sql, "?'I")
		if next < 0 {
			break
		}
		b.WriteString(sql[:next])
		sql = sql[next:]
		length := 1
		switch {
		case sql[0] == '?':
			b.WriteString("$" + strconv.Itoa(number))
			number++
		case sql[0] == '\'':
			length = 2 + strings.IndexByte(sql[1:], '\'')
			b.WriteString(sql[:length])
		case strings.HasPrefix(sql, hint):
			length = len(hint) + len(strings.Fields(sql[len(hint):])[0])
		default:
			b.WriteByte(sql[0])
		}
		sql = sql[length:]
	}
	return b.String() + sql
}

const hint = "INDEXED BY "

// portions returns whether a query may give very many rows, of which its caller wants the
// first.
func portions(sql string) bool {
	return strings.Contains(sql, " ORDER BY ") && !strings.Contains(sql, " LIMIT ") &&
		(strings.Contains(sql, "message") || strings.Contains(sql, "refusal"))
}

// PostgreSQL's text is UTF-8 without a zero byte, but a subject or the words of a server
// may have any bytes. What the text cannot hold is written as a character of a range that
// nobody uses (the last 256 of the private ones), and so are those characters' own bytes:
// what is read is what was written.
const firstByte = 0x10FF00

func holds(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 || s[i] >= utf8.RuneSelf {
			for _, r := range s[i:] {
				if r == 0 || r >= firstByte || r == utf8.RuneError {
					return false
				}
			}
			return true
		}
	}
	return true
}

func escape(s string) []byte {
	if holds(s) {
		return []byte(s)
	}
	var b []byte
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if wrong := r == utf8.RuneError && size == 1; !wrong && r != 0 && r < firstByte {
			b = append(b, s[i:i+size]...)
		} else {
			for _, c := range []byte(s[i : i+size]) {
				b = utf8.AppendRune(b, firstByte+rune(c))
			}
		}
		i += size
	}
	return b
}

func unescape(b []byte) string {
	s := string(b)
	if holds(s) {
		return s
	}
	b = b[:0:0]
	for _, r := range s {
		if r >= firstByte {
			b = append(b, byte(r-firstByte))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
