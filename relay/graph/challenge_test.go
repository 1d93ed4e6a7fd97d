package graph

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestChallengeClaims(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1652813508"},"x":"??>>"}}`
	std := base64.StdEncoding.EncodeToString([]byte(claims))
	for name, c := range map[string]struct {
		in   []string
		want string
	}{
		"plain": {[]string{`Bearer realm="", ` +
			`authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="0000", ` +
			`error="insufficient_claims", claims="` + std + `"`}, claims},
		"url alphabet": {[]string{`Bearer claims="` + base64.RawURLEncoding.EncodeToString([]byte(claims)) + `"`},
			claims},
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

func FuzzChallengeClaims(f *testing.F) {
	for _, s := range []string{`Bearer claims="eyJhIjoxfQ=="`, `Bearer realm="a\"b", claims=e30`, `"`,
		`Bearer claims="\`, `a=b,c`, "Bearer\tclaims = x", `Basic x, Bearer claims="{\"a\":1}"`} {
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
