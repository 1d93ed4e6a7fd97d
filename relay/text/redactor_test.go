package text_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"graphrelay/relay/costtest"
	"graphrelay/relay/text"
)

const (
	opaque   = "0.AXkAq3+w/Zk9mE-x7dQ~token_of_no_known_shape.Zm9v+bar/baz==" // as some servers issue them
	password = `pa"ss w%rd`
)

// However a secret comes back, and wherever a text was cut, no piece of it that
// helps anybody is left, and what is around it stays.
func TestSecretsAreCleaned(t *testing.T) {
	r := text.NewRedactor()
	forget := r.Add(opaque, password, "abc")
	quoted, _ := json.Marshal(map[string]string{"x": opaque, "p": password})
	for name, in := range map[string]string{
		"itself":      "Bearer " + opaque + " was refused",
		"form":        "client_secret=" + url.QueryEscape(opaque) + "&p=" + url.QueryEscape(password),
		"path":        "https://host/" + url.PathEscape(password) + "/x",
		"JSON":        string(quoted),
		"Go":          strconv.Quote(opaque + password),
		"base64":      base64.StdEncoding.EncodeToString([]byte(opaque)),
		"Basic":       base64.StdEncoding.EncodeToString([]byte("relay:" + password + "\n")),
		"in base64":   base64.URLEncoding.EncodeToString([]byte("a body with " + opaque + " in it")),
		"cut":         "it said " + opaque[:40],
		"the end":     "..." + opaque[20:],
		"twice":       opaque + " " + opaque,
		"no boundary": "x" + opaque + "x",
	} {
		got := r.Clean(in)
		if !strings.Contains(got, "[secret]") {
			t.Errorf("%s: %q stays", name, got)
		}
		for _, secret := range []string{opaque, password, base64.StdEncoding.EncodeToString([]byte(opaque))} {
			for i := 0; i+10 <= len(secret); i++ {
				if strings.Contains(got, secret[i:i+10]) {
					t.Errorf("%s: %q has %q", name, got, secret[i:i+10])
					break
				}
			}
		}
	}
	const plain = "abc: Graph answered 403 ErrorAccessDenied, see https://contoso.com/token_of_no"
	if got := r.Clean(plain); got != plain {
		t.Errorf("%q became %q", plain, got)
	}
	forget()
	forget()
	if got := r.Clean(opaque + password); got != opaque+password {
		t.Errorf("forgotten secrets are still known: %q", got)
	}
	var none *text.Redactor
	none.Add(opaque)()
	if none.Clean(opaque) != opaque {
		t.Error("a nil Redactor knows a secret")
	}
}

// A secret that two own is known until both forget it.
func TestSecretsAreCounted(t *testing.T) {
	r := text.NewRedactor()
	one, two := r.Add(opaque), r.Add(opaque)
	one()
	if r.Clean(opaque) != "[secret]" {
		t.Errorf("%q", r.Clean(opaque))
	}
	two()
	if r.Clean(opaque) != opaque {
		t.Error("still known")
	}
}

func TestCleanWriter(t *testing.T) {
	r := text.NewRedactor()
	r.Add(opaque)
	var b strings.Builder
	line := []byte("level=INFO error=" + opaque + "\n")
	if n, err := r.Writer(&b).Write(line); n != len(line) || err != nil || b.String() != "level=INFO error=[secret]\n" {
		t.Errorf("%d %v %q", n, err, b.String())
	}
}

// No text costs more than its length to clean.
func TestCostOfCleaning(t *testing.T) {
	r := text.NewRedactor()
	r.Add(opaque, "hunter2", strings.Repeat("a", 20))
	costtest.Linear(t, []string{"a", opaque, "hunter2", opaque[:20], " "}, func(s string) string { return s },
		func(in string) { _ = r.Clean(in) })
}

func BenchmarkClean(b *testing.B) {
	r := text.NewRedactor()
	r.Add(strings.Repeat("eyJ0eXAiOiJKV1QiLCJub", 80), password, opaque)
	line := strings.Repeat("level=INFO msg=accepted queue_id=06h2k236mdwqw6ez client=local ", 5)
	for b.Loop() {
		_ = r.Clean(line)
	}
}
