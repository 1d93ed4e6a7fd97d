package graph

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	date := func(d time.Duration) string { return noon.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0}, {"0", "", 0}, {"1", "", time.Second}, {" 120 ", "", 2 * time.Minute}, {"3600", "", time.Hour}, {"3601", "", time.Hour},
		{"99999999999999999999999", "", time.Hour}, {"-5", "", 0}, {"1.5", "", 0}, {"soon", "", 0}, {"5 seconds", "", 0}, {"+5", "", 0},
		{date(10 * time.Second), "", 10 * time.Second},
		{noon.Add(time.Minute).Format(time.RFC850), "", time.Minute},
		{noon.Add(time.Minute).Format(time.ANSIC), "", time.Minute},
		{date(-time.Minute), "", 0},
		{date(240 * time.Hour), "", time.Hour},
		{"Sun, 31 Dec 9999 23:59:59 GMT", "", time.Hour},
		{date(10 * time.Second), date(-20 * time.Second), 30 * time.Second}, // the server's clock counts
		{date(10 * time.Second), "garbage", 10 * time.Second},
	} {
		if got := retryAfter(c.value, c.date, noon); got != c.want {
			t.Errorf("%q, date %q: %v, want %v", c.value, c.date, got, c.want)
		}
	}
}

func TestChallengeClaims(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1652813508"},"x":"??>>"}}`
	std := base64.StdEncoding.EncodeToString([]byte(claims))
	for name, c := range map[string]struct {
		in   []string
		want string
	}{
		"plain":           {[]string{`Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="0000", error="insufficient_claims", claims="` + std + `"`}, claims},
		"url alphabet":    {[]string{`Bearer claims="` + base64.RawURLEncoding.EncodeToString([]byte(claims)) + `"`}, claims},
		"no quotes":       {[]string{`bearer CLAIMS=` + std}, claims},
		"blanks":          {[]string{`Bearer  realm = "a , claims=\"no\"" ,, claims = "` + std + `" `}, claims},
		"second scheme":   {[]string{`Basic realm="claims=x", Bearer error="x", claims="` + std + `"`}, claims},
		"second field":    {[]string{`Negotiate`, `Bearer claims="` + std + `"`}, claims},
		"bare JSON":       {[]string{`Bearer claims="{\"a\":1}"`}, `{"a":1}`},
		"other scheme":    {[]string{`PoP claims="` + std + `"`}, ""},
		"none":            {nil, ""},
		"no parameters":   {[]string{"Bearer"}, ""},
		"empty":           {[]string{`Bearer claims=""`}, ""},
		"no value":        {[]string{`Bearer claims`}, ""},
		"open quote":      {[]string{`Bearer claims="` + std}, ""},
		"not base64":      {[]string{`Bearer claims="%%%"`}, ""},
		"not JSON":        {[]string{`Bearer claims="` + base64.StdEncoding.EncodeToString([]byte("hello")) + `"`}, ""},
		"not an object":   {[]string{`Bearer claims="` + base64.StdEncoding.EncodeToString([]byte("[1]")) + `"`}, ""},
		"an empty object": {[]string{`Bearer claims="e30="`}, ""},
		"too long":        {[]string{`Bearer claims="` + strings.Repeat("A", 3*maxClaims) + `"`}, ""},
		"quotes only":     {[]string{`"""""`, `"=`, `===`, `,,,`, `Bearer "x" = claims`}, ""},
	} {
		if got := challengeClaims(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":                        "plain text",
		"a\r\nb\tc\x00":                     `a\r\nb\tc\x00`,
		"Grüße":                             "Grüße",
		"\xff\xfeé":                         `\xff\xfeé`,
		"\ufffd":                            "\ufffd",
		"x\u202ey\u2028z\u00a0":             `x\u202ey\u2028z\u00a0`,
		"it's \"q\"":                        `it's "q"`,
		"Bearer eyJhbGci.eyJ-_.x= done eyJ": "Bearer [token] done [token]",
		strings.Repeat("x", 200):            strings.Repeat("x", 100) + "...",
	} {
		if got := line(in, 100); got != want {
			t.Errorf("line(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "99999999999999999999", "-1", noon.Format(http.TimeFormat), "Sun, 31 Dec 9999 23:59:59 GMT", "\x00"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		if d := retryAfter(value, date, noon); d < 0 || d > maxRetryAfter {
			t.Fatal(d)
		}
	})
}

func FuzzChallengeClaims(f *testing.F) {
	for _, s := range []string{`Bearer claims="eyJhIjoxfQ=="`, `Bearer realm="a\"b", claims=e30`, `"`, `Bearer claims="\`, `a=b,c`, "Bearer\tclaims = x", `Basic x, Bearer claims="{\"a\":1}"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := challengeClaims([]string{s})
		if got == "" {
			return
		}
		var object map[string]any
		if err := json.Unmarshal([]byte(got), &object); err != nil || len(object) == 0 || len(got) > maxClaims {
			t.Fatalf("%q: %v", got, err)
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add("a\nb")
	f.Add("eyJ.eyJ eeyJyJ \xffeyJ")
	f.Fuzz(func(t *testing.T, s string) { checkLine(t, line(s, maxText)) })
}
