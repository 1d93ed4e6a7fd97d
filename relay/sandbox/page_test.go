package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
)

// startPage runs a double with its page.
func startPage(t *testing.T, o sandbox.Options) *sandbox.Double {
	t.Helper()
	d := start(t, o)
	if err := d.StartPage("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return d
}

// page makes a request to the page's server and reads the answer.
func page(t *testing.T, d *sandbox.Double, method, path, body string) got {
	t.Helper()
	r, err := http.NewRequest(method, d.PageURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

// What a message says must not become part of the page.
func TestPageEscapes(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	c := signIn(t, d)
	if g := page(t, d, "GET", "/", ""); g.status != 200 || !strings.Contains(string(g.body), "Nothing yet") {
		t.Errorf("%d %s", g.status, g.body)
	}
	evil := "<script>alert(1)</script>"
	message := strings.Join([]string{
		"From: " + `"` + evil + `" <relay@contoso.com>`, "To: a@example.com, \"" + evil +
			"\"@example.com", "Message-ID: <" + evil + "@x>",
		"Subject: =?utf-8?q?=1B[31m=E2=80=AE?=" + evil, "Content-Type: text/plain; name=\"" + evil +
			"\"", "", "body \x1b[2J\x00 \xff " + evil, "",
	}, "\r\n")
	if g := c.send(mailbox, message); g.status != 202 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	for _, path := range []string{"/", "/messages/1"} {
		g := page(t, d, "GET", path, "")
		text := strings.Replace(string(g.body), `<script src="/script.js" defer></script>`, "", 1)
		if g.status != 200 || strings.Contains(text, "<script") || strings.ContainsAny(text, "\x1b\x00\u202e") ||
			!strings.Contains(text, "&lt;script&gt;") || !strings.Contains(text, "\u241b[31m\\u{202e}") {
			t.Errorf("%s: %d %s", path, g.status, text)
		}
		csp := g.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") ||
			g.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v", g.header)
		}
		if strings.Contains(text, "style=") || strings.Contains(text, "http://") || strings.Contains(text, "https://") {
			t.Errorf("%s: the policy forbids what the page has: %s", path, text)
		}
	}
	if g := page(t, d, "GET", "/api/messages/1/raw", ""); string(g.body) != message ||
		g.header.Get("Content-Type") != "message/rfc822" ||
		!strings.HasPrefix(g.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v %q", g.header, g.body)
	}
}

func TestPageOfLargeAndForgottenMessages(t *testing.T) {
	d := startPage(t, sandbox.Options{KeepBytes: 100 << 10})
	c := signIn(t, d)
	for range 2 {
		if g := c.send(mailbox, simple+strings.Repeat("x", 80<<10)); g.status != 202 {
			t.Fatalf("%d", g.status)
		}
	}
	if g := page(t, d, "GET", "/messages/1", ""); g.status != 200 ||
		!strings.Contains(string(g.body), "not kept any more") {
		t.Errorf("%d", g.status)
	}
	if g := page(t, d, "GET", "/messages/2", ""); g.status != 200 || !strings.Contains(string(g.body), "Cut here") ||
		len(g.body) > 70<<10 {
		t.Errorf("%d, %d octets", g.status, len(g.body))
	}
	for path, status := range map[string]int{
		"/messages/3": 404, "/messages/x": 404, "/api/messages/1/raw": 404, "/api/messages/0": 404, "/style.css": 200,
		"/nothing": 404,
	} {
		if g := page(t, d, "GET", path, ""); g.status != status {
			t.Errorf("%s: %d", path, g.status)
		}
	}
}

// A page from elsewhere can neither read nor change anything.
func TestForeignPages(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	for _, row := range []struct {
		method, host, origin, contentType string
		status                            int
	}{
		{"GET", "", "", "", 200},
		{"GET", "localhost:1", "", "", 200},
		{"GET", "[::1]:1", "", "", 200},
		{"GET", "evil.example", "", "", 403},
		{"GET", "127.0.0.1.evil.example:80", "", "", 403},
		{"GET", "[fe80::1]", "", "", 403},
		{"POST", "", "", "application/json", 204},
		{"POST", "", "http://evil.example", "application/json", 403},
		{"POST", "", "null", "application/json", 403},
		{"POST", "", "", "text/plain", 400},
	} {
		path := "/api/latency"
		if row.method == "GET" {
			path = "/api/stats"
		}
		r, _ := http.NewRequest(row.method, d.PageURL()+path, strings.NewReader(`{"latency":"0s"}`))
		r.Host = row.host
		for name, value := range map[string]string{"Origin": row.origin, "Content-Type": row.contentType} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if g := read(t, response); g.status != row.status {
			t.Errorf("%+v: %d", row, g.status)
		}
	}
}

func TestPaging(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	sendAll(t, signIn(t, d), 5)
	var seen []int
	for after := 0; ; {
		var answer struct {
			Count    int
			Next     int
			Messages []sandbox.Message
		}
		if err := json.Unmarshal(page(t, d, "GET", fmt.Sprintf("/api/messages?limit=2&after=%d", after), "").body,
			&answer); err != nil || answer.Count != 5 {
			t.Fatalf("%v %+v", err, answer)
		}
		for _, m := range answer.Messages {
			seen = append(seen, m.ID)
		}
		if after = answer.Next; after == 0 {
			break
		}
	}
	if fmt.Sprint(seen) != "[1 2 3 4 5]" {
		t.Errorf("%v", seen)
	}
	if g := page(t, d, "GET", "/api/messages/2/delivered", ""); strings.Contains(string(g.body), "Bcc") ||
		g.status != 200 {
		t.Errorf("%s", g.body)
	}
	if g := page(t, d, "GET", "/api/ledger", ""); !strings.Contains(string(g.body), `:1`) {
		t.Errorf("%s", g.body)
	}
	if g := page(t, d, "GET", "/api/ledger?id="+url.QueryEscape("<2@x>"),
		""); strings.TrimSpace(string(g.body)) != `{"\u003c2@x\u003e":1}` {
		t.Errorf("%s", g.body)
	}
}

// The controls do what the methods of the same names do.
func TestControls(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	c := signIn(t, d)
	for _, row := range []struct {
		name, path, body string
		control          int
		status           int // of a message sent afterwards
	}{
		{"a fault", "/api/faults", `{"endpoint":"sendMail","status":503,"retry_after":"2s","count":1}`, 204, 503},
		{"over", "/api/latency", `{"latency":"1ms"}`, 204, 202},
		{"list of faults", "/api/faults", `[{"status":500,"count":1},{"status":502,"count":1}]`, 204, 500},
		{"the second", "/api/latency", `{"latency":"0s"}`, 204, 502},
		{"misspelt fault", "/api/faults", `{"statsu":503}`, 400, 202},
		{"list with a mistake", "/api/faults", `[{"status":500},{"status":1}]`, 400, 202},
		{"bad latency", "/api/latency", `{"latency":"soon"}`, 400, 202},
		{"nobody allowed", "/api/allowed", `{"allowed":[]}`, 204, 403},
		{"all allowed", "/api/allowed", `{"allowed":null}`, 204, 202},
		{"mailboxes", "/api/mailboxes", `{"mailboxes":["x@contoso.com"]}`, 204, 404},
		{"every mailbox", "/api/mailboxes", `{}`, 204, 202},
		{"revoked", "/api/revoke", `{}`, 204, 401},
	} {
		if g := page(t, d, "POST", row.path, row.body); g.status != row.control {
			t.Errorf("%s: %d %s", row.name, g.status, g.body)
		}
		if g := c.send(mailbox, simple); g.status != row.status {
			t.Errorf("%s: %d %s, want %d", row.name, g.status, g.body, row.status)
		}
	}
	if g := page(t, d, "POST", "/api/faults", `{"status":500,"latency":"1.5s"}`); g.status != 204 ||
		d.Faults()[0].Latency != 1500*time.Millisecond {
		t.Errorf("%s %v", g.body, d.Faults())
	}
	if g := page(t, d, "GET", "/api/faults", ""); !strings.Contains(string(g.body), `{"latency":"1.5s","status":500}`) {
		t.Errorf("%s", g.body)
	}
	if g := page(t, d, "DELETE", "/api/faults", ""); g.status != 204 || len(d.Faults()) != 0 {
		t.Errorf("%d", g.status)
	}
	if g := page(t, d, "POST", "/api/secret", `{"secret":"new"}`); g.status != 204 || d.Secret() != "new" {
		t.Errorf("%d", g.status)
	}
	if g := page(t, d, "POST", "/api/sendas",
		`{"mailbox":"relay@contoso.com","addresses":["x@contoso.com"]}`); g.status != 204 {
		t.Errorf("%d", g.status)
	}
	c.token = tokenFor(t, d)
	if g := c.send(mailbox, header("From: x@contoso.com", "To: a@example.com")); g.status != 202 {
		t.Errorf("%d %s", g.status, g.body)
	}
	var s sandbox.Stats
	if err := json.Unmarshal(page(t, d, "GET", "/api/stats", "").body, &s); err != nil || s.Messages != d.Count() ||
		s.Answers["sendMail"][503] != 1 {
		t.Errorf("%v %+v", err, s)
	}
	if g := page(t, d, "DELETE", "/api/messages", ""); g.status != 204 || d.Count() != 0 {
		t.Errorf("%d", g.status)
	}
}

func TestControlWait(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	c := signIn(t, d)
	sendAll(t, c, 1)
	for path, status := range map[string]int{
		"/api/wait?count=1": 200, "/api/wait?count=2&timeout=1ms": 408,
		"/api/wait": 400, "/api/wait?count=1&timeout=x": 400,
	} {
		if g := page(t, d, "GET", path, ""); g.status != status {
			t.Errorf("%s: %d %s", path, g.status, g.body)
		}
	}
}

// Shutdown lets a request finish; Close does not.
func TestShutdown(t *testing.T) {
	for _, gently := range []bool{true, false} {
		d := startPage(t, sandbox.Options{Latency: 200 * time.Millisecond})
		c := signIn(t, d)
		status := make(chan int)
		go func() { status <- quietly(c, mailbox) }()
		for d.Stats().Concurrent == 0 {
			time.Sleep(time.Millisecond)
		}
		want := 0
		if gently {
			want = 202
			if err := d.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		} else if err := d.Close(); err != nil {
			t.Error(err)
		}
		if got := <-status; got != want || d.Count() != b2i(gently) {
			t.Errorf("gently %t: %d, %d recorded", gently, got, d.Count())
		}
	}
}
