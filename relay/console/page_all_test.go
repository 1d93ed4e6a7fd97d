package console

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

// What a search finds is changed together, after a page that says how many messages
// that are, and what came after that page was made is left out.
func TestAllThatMatch(t *testing.T) {
	seen := noon.Add(time.Second)
	other := record(3, spool.Held)
	other.Client.Name, other.Mailbox = "scanner", addr("b@example.org")
	b := newBench(t, record(1, spool.Held), record(2, spool.Held), other, record(4, spool.Sent)).logIn()
	b.now = seen
	token := b.token()
	list := b.get("/messages?state=held").Body.String()
	for _, want := range []string{"/messages/all/release?state=held", "/messages/all/delete?state=held"} {
		if !strings.Contains(list, `href="`+want+`"`) {
			t.Errorf("the list lacks %s", want)
		}
	}
	if strings.Contains(list, "/messages/all/hold") {
		t.Error("held messages can be held")
	}
	for query, want := range map[string]int{"state=held": 3, "state=held&q=erp": 2,
		"state=held&mailbox=b@example.org": 1, "q=to@example.net": 3, "q=nobody@example.net": 0, "": 3} {
		asked := b.get("/messages/all/delete?" + query).Body.String()
		heading := regexp.MustCompile(`<h1>Delete: (\d+) messages?\?</h1>`).FindStringSubmatch(asked)
		until := regexp.MustCompile(`name="until" value="([^"]+)"`).FindStringSubmatch(asked)
		if heading == nil || heading[1] != string("0123456789"[want]) || (until == nil) != (want == 0) {
			t.Errorf("%q asks %v, until %v, want %d", query, heading, until, want)
		}
	}
	b.now = noon.Add(time.Minute) // before somebody clicks
	w := b.do(http.MethodPost, "/messages/all/release?state=held&q=erp",
		url.Values{"token": {token}, "until": {seen.Format(time.RFC3339Nano)}})
	if text := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(text, "Released: 2 messages") ||
		!strings.Contains(text, "Skipped because they changed in the meantime: 1.") {
		t.Errorf("%d %s", w.Code, text)
	}
	if len(b.changes) != 1 || b.changes[0].Action != operator.Release || b.changes[0].By != "console" ||
		b.changes[0].Filter.Find != "erp" || !b.changes[0].Filter.Until.Equal(seen) {
		t.Errorf("done: %+v", b.changes)
	}
}

// A search for an address means its messages once each, one for a queue ID this message; one
// that finds nothing changes nothing, not everything.
func TestAllOfAnAddress(t *testing.T) {
	self := record(1, spool.Held)
	self.Envelope.Recipients = append(self.Envelope.Recipients, self.From)
	b := newBench(t, self, record(2, spool.Held)).logIn()
	b.now = noon.Add(time.Second)
	token := url.Values{"token": {b.token()}}
	b.do(http.MethodPost, "/messages/all/delete?q=a@example.org", token)
	if len(b.changes) != 1 || b.selects(b.changes[0]) != 2 {
		t.Errorf("done: %+v", b.changes)
	}
	b.do(http.MethodPost, "/messages/all/delete?q="+string(self.ID), token)
	if last := b.changes[len(b.changes)-1]; len(last.IDs) != 1 || last.IDs[0] != self.ID {
		t.Errorf("a queue ID selects %+v", last)
	}
	b.do(http.MethodPost, "/messages/all/delete?q=nobody@example.org", token)
	if last := b.changes[len(b.changes)-1]; len(last.IDs) > 0 || b.selects(last) != 0 {
		t.Errorf("a search without a result changes %+v", last)
	}
}

// What a state does not allow, and what nobody confirmed, is not done.
func TestAllIsRefused(t *testing.T) {
	b := newBench(t, record(1, spool.Sent), record(2, spool.Held)).logIn()
	for _, path := range []string{"/messages/all/delete?state=sent", "/messages/all/explode",
		"/messages/all/hold?state=held", "/messages/all/delete?state=exploded"} {
		if w := b.get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s = %d", path, w.Code)
		}
	}
	if w := b.do(http.MethodPost, "/messages/all/delete", url.Values{}); w.Code != http.StatusForbidden ||
		len(b.changes) > 0 {
		t.Errorf("without a token: %d", w.Code)
	}
	b.err = errors.New("disk I/O error")
	if w := b.get("/messages/all/delete"); w.Code != http.StatusInternalServerError {
		t.Errorf("a store that does not answer: %d", w.Code)
	}
}
