package entra

import (
	"fmt"
	"strings"
	"testing"

	"graphrelay/relay/outcome"
)

func TestReadToken(t *testing.T) {
	// {"aud":"https://graph.microsoft.com","tid":"ten","appid":"app",
	// "app_displayname":"relay\nx","roles":["Mail.Send"]}
	jwt := "eyJhbGciOiJub25lIn0." +
		"eyJhdWQiOiJodHRwczovL2dyYXBoLm1pY3Jvc29mdC5jb20iLCJ0aWQiOiJ0ZW4iLCJhcHBpZCI6ImFwcCIs" +
		"ImFwcF9kaXNwbGF5bmFtZSI6InJlbGF5XG54Iiwicm9sZXMiOlsiTWFpbC5TZW5kIl19.sig"
	i := readToken(token{value: jwt, expires: noon})
	if i.Tenant != "ten" || i.App != "app" || i.AppName != "relay x" || i.Audience != "https://graph.microsoft.com" ||
		fmt.Sprint(i.Roles) != "[Mail.Send]" || !i.Expires.Equal(noon) {
		t.Errorf("%+v", i)
	}
	for _, s := range []string{"", "opaque", "a.b.c", "a.!!.c", "e30.bnVsbA.x", "e30.WzFd.x"} {
		if i := readToken(token{value: s, expires: noon}); i.Tenant != "" || !i.Expires.Equal(noon) {
			t.Errorf("%q: %+v", s, i)
		}
	}
}

func TestLoginErrorText(t *testing.T) {
	err := &LoginError{outcome.Answer{Text: "refused", Advice: "do this"}}
	if err.Error() != "refused; do this" || (&LoginError{outcome.Answer{Text: "refused"}}).Error() != "refused" {
		t.Error(err)
	}
}

func FuzzReadToken(f *testing.F) {
	for _, s := range []string{"", "a.b.c", "e30.e30.x", "e30.eyJyb2xlcyI6MX0.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		i := readToken(token{value: s})
		for _, v := range append(i.Roles, i.Tenant, i.App, i.AppName, i.Audience) {
			if strings.ContainsAny(v, "\r\n\x00") {
				t.Fatalf("%q", v)
			}
		}
	})
}
