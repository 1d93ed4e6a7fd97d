package link

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// A statement is rewritten once: arguments by number, without hints, quoted text as it is.
func TestRewrite(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT n FROM message INDEXED BY due WHERE lane = ?":       "SELECT n FROM message  WHERE lane = $1",
		"SELECT 1 FROM message INDEXED BY live\n\tWHERE state < 5":  "SELECT 1 FROM message \n\tWHERE state < 5",
		"SELECT '?', 'INDEXED BY x', ? FROM INSIDE":                 "SELECT '?', 'INDEXED BY x', $1 FROM INSIDE",
		"UPDATE message INDEXED BY due SET n = ? WHERE n IN (?, ?)": "UPDATE message  SET n = $1 WHERE n IN ($2, $3)",
		"SELECT n FROM message INDEXED BY due":                      "SELECT n FROM message ",
		"":                                                          "",
	} {
		if got := rewrite(sql); got != want {
			t.Errorf("%q became %q", sql, got)
		}
	}
}

// What is read is what was written, though the server's text has neither a zero byte nor
// bytes that are not UTF-8.
func TestEveryTextIsKept(t *testing.T) {
	for _, s := range []string{
		"", "plain", "Bär", "a\x00b", "\x00", "caf\xe9 \xff", "\U0010FF00 of ours", "\U0010FFFF", "\uFFFD",
		"\xed\xa0\x80", "\xf4\x8f",
	} {
		written := escape(s)
		if bytes.ContainsRune(written, 0) || !utf8.Valid(written) {
			t.Errorf("%q is written as %q", s, written)
		}
		if read := unescape(written); read != s {
			t.Errorf("%q is read as %q", s, read)
		}
	}
}

func FuzzEveryTextIsKept(f *testing.F) {
	f.Add("caf\xe9\x00\U0010FF41")
	f.Fuzz(func(t *testing.T, s string) {
		if read := unescape(escape(s)); read != s {
			t.Errorf("%q is read as %q", s, read)
		}
	})
}

// A URL is refused with what to write instead, and never repeated.
func TestURLs(t *testing.T) {
	const secret, full = "pa/ss wo?rd", "?sslmode=verify-full"
	for url, want := range map[string]string{
		"postgres://u:hidden@127.0.0.1/queue":                              "",
		"postgres://u@localhost:5433/queue":                                "",
		"postgresql:///queue?host=/run/postgresql&user=graphrelay":         "",
		"postgres://u:hidden@db1.example,db2.example/q" + full:             "",
		"postgres://u:hidden@db.example/queue":                             "must prove who it is: db.example",
		"postgres://u:hidden@db.example/queue?sslmode=require":             "must prove who it is",
		"postgres://u:hidden@127.0.0.1,db/queue?sslmode=disable":           "must prove who it is: db",
		"postgres://u:hidden@db.example/queue?sslmode=verify-ca":           "must prove who it is",
		"postgres://u:hidden@db/q" + full + "&sslrootcert=/no/such":        "no such file",
		"host=db.example password=hidden":                                  "does not begin with postgres://",
		"postgres://u:" + secret + "@db.example/queue":                     "cannot be read",
		"postgres://u:hidden@db.example:port/queue":                        "cannot be read",
		"postgres://u:hidden@127.0.0.1/q\npostgres://u:hidden@127.0.0.2/q": "cannot be read: it has a space, a second",
		"postgres://u:12#hidden@127.0.0.1/queue":                           "a second line or a #; write one URL",
		"postgres://u:12?hidden@127.0.0.1/queue":                           "",
		"postgres://u:hidden@127.0.0.1/queue?sslmode=on": "sslmode or certificate files in the URL cannot be used; " +
			"correct sslmode, sslrootcert, sslcert and sslkey in the URL, and let the service read the files",
	} {
		target, err := Parse(url)
		switch {
		case want == "" && err != nil || want != "" && err == nil:
			t.Errorf("%s: %v", url, err)
		case err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") ||
			strings.Contains(err.Error(), "wo?rd")):
			t.Errorf("%s: %v", url, err)
		case err == nil &&
			(strings.Contains(target.String(), "hidden") || !strings.HasPrefix(target.String(), "database q")):
			t.Errorf("%s is %s", url, target)
		}
	}
}
