package e2e_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

var opaque = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Each message has an opaque ID of its own, on the large path too, and no client can write it.
func TestEachMessageHasAnID(t *testing.T) {
	d := harness.StartDouble(t, mayWrite)
	r := harness.StartRelay(t, d, largeMail, harness.Watched())
	c := harness.Hello(t, r.Addr)
	head := "x-graphrelay-id: " + strings.Repeat("0", 32) + "\r\nX-Graphrelay-Odd: x\r\nX-One: 1\r\nX-Two: 2\r\n" +
		"X-Three: 3\r\nX-Four: 4\r\nX-Five: 5\r\nFrom: " + harness.Sender + "\r\nTo: a@example.org\r\n"
	c.Send(harness.Sender, []string{"a@example.org"}, head+"\r\nsmall\r\n")
	c.Send(harness.Sender, []string{"a@example.org"}, head+"\r\n"+
		strings.Repeat(strings.Repeat("x", 70)+"\r\n", 40_000))
	r.WaitEmpty(patience)
	var fields []string
	var draft struct {
		InternetMessageHeaders []struct{ Name, Value string }
	}
	for _, m := range d.Messages() {
		raw, err := d.Raw(m.ID)
		if m.Form == "mime" {
			fields, _ = harness.Split(string(raw))
		} else {
			err = errors.Join(err, json.Unmarshal(raw, &draft))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	small, large := harness.Field(fields, "X-Graphrelay-ID"), ""
	for _, h := range draft.InternetMessageHeaders {
		if strings.EqualFold(h.Name, "X-Graphrelay-ID") {
			large += h.Value
		}
	}
	if !opaque.MatchString(small) || !opaque.MatchString(large) || small == large || small == strings.Repeat("0", 32) {
		t.Errorf("the IDs are %q and, on the large path, %q in %+v", small, large, draft)
	}
	if harness.Field(fields, "X-Graphrelay-Odd") != "" {
		t.Error("a client wrote a field that only graphrelay writes")
	}
	if page := r.Page("/metrics"); !strings.Contains(page, `repair="graphrelay_field"} 2`) {
		t.Error("graphrelay_repairs_total does not count the fields that were removed")
	}
}
