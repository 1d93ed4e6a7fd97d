package sandbox_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"graphrelay/relay/sandbox"
)

// What is accepted arrives in the mailboxes of the tenant, without its Bcc recipients, and with SetLost nowhere.
func TestMailArrivesInTheMailbox(t *testing.T) {
	d := startPage(t, sandbox.Options{Mailboxes: []string{"box@contoso.com", "check@contoso.com"}})
	c := signIn(t, d)
	send := func(to, bcc string) {
		t.Helper()
		if a := c.send("box@contoso.com", header("From: box@contoso.com", "To: "+to, "Bcc: "+bcc)); a.status != 202 {
			t.Fatal(a.status)
		}
	}
	send("Box@contoso.com, a@example.org", "check@contoso.com")
	for _, mailbox := range []string{"box@contoso.com", "check@contoso.com"} {
		list := d.Inbox(mailbox)
		if len(list) != 1 {
			t.Fatalf("%s has %+v", mailbox, list)
		}
		if raw := string(list[0].Raw); !strings.Contains(raw, "To: Box@") || strings.Contains(raw, "Bcc") {
			t.Errorf("%s has\n%s", mailbox, raw)
		}
	}
	if len(d.Inbox("a@example.org")) > 0 {
		t.Error("it is delivered outside the tenant")
	}
	if a := page(t, d, "POST", "/api/lost", `{"lost":true}`); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if send("box@contoso.com", "a@example.org"); len(d.Inbox("box@contoso.com")) != 1 {
		t.Error("what is lost arrives")
	}
	d.SetLost(false)
	for range 1001 {
		send("box@contoso.com", "a@example.org")
	}
	if n := len(d.Inbox("box@contoso.com")); n != 1000 {
		t.Errorf("%d are kept, want 1000", n)
	}
	d.SetMailboxes(nil) // every address is one, and nobody reads them all
	if send("check@contoso.com", "a@example.org"); len(d.Inbox("check@contoso.com")) != 0 {
		t.Error("it is delivered to an address that nobody named")
	}
}

// An NDR lies in the mailbox that sent, where it can be read as far as the permission goes.
func TestBounceLiesInTheMailbox(t *testing.T) {
	d := startPage(t, sandbox.Options{Granted: []string{"Mail.ReadBasic"}})
	c := signIn(t, d)
	mail := header("From: box@contoso.com", "To: a@example.org", "Message-ID: <1@x>")
	if a := c.send("box@contoso.com", mail); a.status != http.StatusAccepted {
		t.Fatal(a.status)
	}
	if a := page(t, d, "POST", "/api/bounces", `{"id":1,"shape":"exchange-german"}`); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, bad := range []string{`{"id":1,"shape":"none"}`, `{"id":2,"shape":"exchange"}`} {
		if a := page(t, d, "POST", "/api/bounces", bad); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
	if a := page(t, d, "GET", "/api/shapes", ""); !strings.Contains(string(a.body), "exchange-german") {
		t.Errorf("the shapes are %s", a.body)
	}
	get := func(path string) got {
		r := c.request("box@contoso.com", "", nil)
		r.Method, r.URL.Path = http.MethodGet, strings.Replace(r.URL.Path, "sendMail", path, 1)
		r.URL.RawQuery = url.Values{
			"$filter": {"receivedDateTime ge 2020-01-01T00:00:00Z"}, "$orderby": {"receivedDateTime"},
			"$select": {"internetMessageHeaders"},
		}.Encode()
		return c.do(r)
	}
	list := string(get("mailFolders/inbox/messages").body)
	if !strings.Contains(list, "X-MS-Exchange-Message-Is-Ndr") || !strings.Contains(list, `"\u003c1@x\u003e"`) {
		t.Errorf("the Inbox shows %s", list)
	}
	id := d.Inbox("box@contoso.com")[0].ID
	if a := get("messages/" + id + "/$value"); a.status != http.StatusForbidden {
		t.Errorf("Mail.ReadBasic reads content: %d", a.status)
	}
	d.SetGranted("Mail.Read")
	a := get("messages/" + id + "/$value")
	if !strings.Contains(string(a.body), "Final-Recipient: rfc822;a@example.org") {
		t.Errorf("the content is %d %s", a.status, a.body)
	}
}
