package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/e2e/shapes"
	"graphrelay/relay/sandbox"
)

// largeMail lets what is above the least mime_limit go in parts.
var largeMail = harness.With("delivery", "large_messages: upload", "mime_limit: 128KiB")

// mayWrite gives the relay the permission that this needs.
func mayWrite(o *sandbox.Options) { o.Granted = []string{"Mail.ReadWrite"} }

// A hundred shapes of mail, as devices and programs send it: as MIME each
// arrives as it was sent, and in parts with every attachment octet for octet.
// Which parts there are is what another program says (interop tests it).
func TestHundredShapesOfMail(t *testing.T) {
	all := shapes.All()
	if len(all) < 100 {
		t.Fatalf("%d shapes", len(all))
	}
	d := harness.StartDouble(t, mayWrite)
	r := harness.StartRelay(t, d, largeMail)
	c := harness.Hello(t, r.Addr)
	to := []string{"a@example.org"}
	const padding = 140_000 // octets of header fields, which make any message large
	sealed := 0
	for _, s := range all {
		c.Send(harness.Sender, to, s.Message(harness.Sender, to[0], 0))
		c.Send(harness.Sender, to, s.Message(harness.Sender, to[0], padding))
		if s.IsSealed() {
			sealed++
		}
	}
	r.WaitEmpty(4 * patience)
	arrived := map[string]sandbox.Message{}
	for _, m := range d.Messages() {
		arrived[m.MessageID] = m
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			sent := s.Message(harness.Sender, to[0], 0)
			if m, ok := arrived["<"+s.Name+"-0@shapes.example>"]; !ok || m.Form != "mime" {
				t.Errorf("as MIME: %+v", m)
			} else if raw, err := d.Raw(m.ID); err != nil {
				t.Error(err)
			} else {
				harness.CompareMessage(t, harness.Sent{From: harness.Sender, To: to, Data: ended(sent)}, raw)
			}
			m, ok := arrived[fmt.Sprintf("<%s-%d@shapes.example>", s.Name, padding)]
			switch {
			case s.IsSealed() && ok:
				t.Errorf("taken apart: %+v", m)
			case !s.IsSealed() && (!ok || m.Form != "draft" || strings.Join(m.Recipients, " ") != to[0]):
				t.Errorf("in parts: %+v", m)
			case !s.IsSealed():
				comparePartsOf(t, d, s, m)
				if shown := strings.Contains(s.Body,
					"cid:"); shown != (len(m.Attachments) > 0 && m.Attachments[0].Inline) {
					t.Errorf("the text shows an image: %v; attachments %+v", shown, m.Attachments)
				}
			}
		})
	}
	failed := 0
	for _, e := range r.Queue() {
		if strings.Contains(e.Reason, "signed or encrypted") {
			failed++
		}
	}
	if failed != sealed || sealed == 0 {
		t.Errorf("%d of %d sealed messages failed for that reason", failed, sealed)
	}
	if d.Drafts() != 0 {
		t.Errorf("%d drafts are left", d.Drafts())
	}
}

// ended is a message as SMTP carries it: its last line has an end.
func ended(s string) string {
	if strings.HasSuffix(s, "\r\n") {
		return s
	}
	return s + "\r\n"
}

func comparePartsOf(t *testing.T, d *harness.Double, s shapes.Shape, m sandbox.Message) {
	t.Helper()
	golden, err := os.ReadFile("testdata/shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var leaves map[string][]shapes.Leaf
	if err := json.Unmarshal(golden, &leaves); err != nil {
		t.Fatal(err)
	}
	var files []shapes.File
	for i, a := range m.Attachments {
		content, err := d.AttachmentBytes(m.ID, i)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, shapes.File{Type: a.Type, Content: content})
	}
	if last := len(files) - 1; s.IsUnread() {
		if last < 0 || m.Attachments[last].Name != "original-message.eml" ||
			!strings.Contains(string(files[last].Content), s.Body) {
			t.Fatalf("no original is attached: %+v", m.Attachments)
		}
		files = files[:last]
	}
	if err := s.Compare(leaves[s.Name], files); err != nil {
		t.Error(err)
	}
}
