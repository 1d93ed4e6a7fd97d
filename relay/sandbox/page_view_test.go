package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"graphrelay/relay/sandbox"
)

// pixel is an inline image, as far as a test needs one.
const pixel = "iVBORw0KGgo="

// formatted is a mail with text, HTML in an old character set, and an image in it.
var formatted = strings.Join([]string{"From: relay@contoso.com", "To: a@example.com", "Subject: Gr\u00fc\u00dfe",
	"Message-ID: <html@x>", `Content-Type: multipart/related; boundary="r"`, "",
	"--r", `Content-Type: multipart/alternative; boundary="a"`, "",
	"--a", "Content-Type: text/plain", "", "plain", "--a", "Content-Type: text/html; charset=iso-8859-1",
	"Content-Transfer-Encoding: quoted-printable", "",
	"<p onclick=3D\"x()\">Gr=FC=DFe</p><script>top.owned=3D1</script><img src=3D\"cid:logo@x\">=",
	"<img src=3D\"https://tracker.example/1.gif\">", "--a--", "",
	"--r", "Content-Type: image/png", "Content-ID: <logo@x>", "Content-Transfer-Encoding: base64", "", pixel, "--r--",
	"",
}, "\r\n")

// The HTML of a message is shown as its sender wrote it, in a frame in which no
// script runs and nothing is loaded from elsewhere.
func TestHTMLView(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	c := signIn(t, d)
	for _, m := range []string{formatted, simple} {
		if g := c.send(mailbox, m); g.status != 202 {
			t.Fatalf("%d %s", g.status, g.body)
		}
	}
	frame := `<iframe sandbox src="/messages/1/html"`
	if g := page(t, d, "GET", "/messages/1", ""); !strings.Contains(string(g.body), frame) {
		t.Errorf("no frame without rights: %s", g.body)
	}
	g := page(t, d, "GET", "/messages/1/html", "")
	if want := "<p onclick=\"x()\">Gr\xfc\xdfe</p>"; !strings.HasPrefix(string(g.body), want) ||
		g.header.Get("Content-Type") != "text/html; charset=iso-8859-1" {
		t.Errorf("%s %q", g.header.Get("Content-Type"), g.body)
	}
	if want := `<img src="data:image/png;base64,` + pixel + `">`; !strings.Contains(string(g.body), want) {
		t.Errorf("the inline image is not in it: %q", g.body)
	}
	csp := g.header.Get("Content-Security-Policy")
	for _, want := range []string{"sandbox;", "default-src 'none'", "img-src data:;", "frame-ancestors 'self'"} {
		if !strings.Contains(csp, want) || strings.Contains(csp, "script-src") || strings.Contains(csp, "allow-") {
			t.Errorf("policy %q lacks %q, or allows scripts", csp, want)
		}
	}
	if g := page(t, d, "GET", "/messages/2", ""); strings.Contains(string(g.body), "iframe") {
		t.Error("a message without HTML has a frame")
	}
	if g := page(t, d, "GET", "/messages/2/html", ""); g.status != 404 {
		t.Errorf("the HTML of a message without any: %d", g.status)
	}
}

// HTML of a message that came as JSON is shown too.
func TestHTMLViewOfJSON(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	c := signIn(t, d)
	body := `{"message":{"subject":"s","body":{"contentType":"HTML","content":"<b>bold</b>"},` +
		`"toRecipients":[{"emailAddress":{"address":"a@example.com"}}]}}`
	if g := c.do(c.request(mailbox, "application/json", []byte(body))); g.status != 202 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if g := page(t, d, "GET", "/messages/1/html", ""); string(g.body) != "<b>bold</b>" {
		t.Errorf("%d %q", g.status, g.body)
	}
}

// The list is searched by what it shows, has numbers that can be read, and can be
// cleared.
func TestListIsSearchedAndCleared(t *testing.T) {
	d := startPage(t, sandbox.Options{})
	c := signIn(t, d)
	for _, m := range []string{
		header("From: relay@contoso.com", "To: anna@example.com", "Subject: Backup") + strings.Repeat("x", 12345),
		header("From: relay@contoso.com", "To: bob@example.com", "Subject: Invoice"),
	} {
		if g := c.send(mailbox, m); g.status != 202 {
			t.Fatalf("%d %s", g.status, g.body)
		}
	}
	for query, want := range map[string]string{"": "12", "BACKUP": "1", "bob@": "2", "relay%40contoso": "12",
		"nothing": ""} {
		text, got := string(page(t, d, "GET", "/?q="+query, "").body), ""
		for n, subject := range map[string]string{"1": ">Backup<", "2": ">Invoice<"} {
			if strings.Contains(text, subject) && n > got {
				got += n
			} else if strings.Contains(text, subject) {
				got = n + got
			}
		}
		if got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	if text := string(page(t, d, "GET", "/", "").body); !strings.Contains(text, "12,4") {
		t.Errorf("no grouped number in %s", text)
	}
	if g := page(t, d, "POST", "/clear", ""); g.status != 200 || d.Count() != 0 ||
		!strings.Contains(string(g.body), "Nothing yet") {
		t.Errorf("%d, %d kept: %s", g.status, d.Count(), g.body)
	}
	r, _ := http.NewRequest("POST", d.PageURL()+"/clear", nil)
	r.Header.Set("Origin", "http://evil.example")
	if response, err := http.DefaultClient.Do(r); err != nil || response.StatusCode != 403 {
		t.Errorf("a foreign page clears the list: %v %v", response, err)
	}
}

// What was refused is counted, and listed with the service's words.
func TestRefusalsAreShown(t *testing.T) {
	d := startPage(t, sandbox.Options{Allowed: []string{mailbox}})
	c := signIn(t, d)
	if g := c.send("ceo@contoso.com", simple); g.status != 403 {
		t.Fatalf("%d", g.status)
	}
	if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Status: 503, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if g := c.send(mailbox, simple); g.status != 503 {
		t.Fatalf("%d", g.status)
	}
	link := `href="/refusals">2 refused or failed`
	if text := string(page(t, d, "GET", "/", "").body); !strings.Contains(text, link) {
		t.Errorf("no link to the refusals: %s", text)
	}
	text := string(page(t, d, "GET", "/refusals", "").body)
	first, second := strings.Index(text, "503 ServiceUnavailable"), strings.Index(text, "403 ErrorAccessDenied")
	if first < 0 || second < first || !strings.Contains(text, "sendMail of ceo@contoso.com") ||
		!strings.Contains(text, "Blocked by tenant") {
		t.Errorf("the refusals, newest first: %s", text)
	}
	if g := page(t, d, "GET", "/api/refusals", ""); !strings.HasPrefix(string(g.body), `{"count":2,"refusals":[{`) {
		t.Errorf("%s", g.body)
	}
	for range 250 {
		c.send("ceo@contoso.com", simple)
	}
	if list, count := d.Refusals(); len(list) != 200 || count != 252 {
		t.Errorf("%d kept of %d", len(list), count)
	}
}
