package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// maxAdded is the memory, in KiB, that a message of 100 MB may cost.
const maxAdded = 64 << 10

// 100 MB go through, octet for octet, and cost less than 64 MB of memory.
func TestHundredMegabytes(t *testing.T) {
	d := harness.StartDouble(t, mayWrite, func(o *sandbox.Options) { o.KeepBytes = 1 << 20 })
	r := harness.StartRelay(t, d, largeMail, harness.With("smtp", "max_message_size: 150MiB"))
	c := harness.Hello(t, r.Addr)
	c.Send(harness.Sender, []string{"a@example.org"}, "From: "+harness.Sender+"\r\n\r\nsmall\r\n")
	r.WaitEmpty(patience)
	before := r.Memory("VmRSS")

	const lines = 1_300_000 // of 57 octets, written as 76 characters: 74 MB, and 101 MB on the wire
	c.Envelope(harness.Sender, "a@example.org")
	_ = c.Raw("From: " + harness.Sender + "\r\nMessage-ID: <huge@client.example>\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\ntext\r\n" +
		"--B\r\nContent-Type: application/pdf; name=huge.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	hash := sha256.New()
	var chunk strings.Builder
	for i := range lines {
		line := []byte(strings.Repeat(string(rune('a'+i%26)), 57))
		line[0], line[1], line[2] = byte(i), byte(i>>8), byte(i>>16)
		hash.Write(line)
		chunk.WriteString(base64.StdEncoding.EncodeToString(line) + "\r\n")
		if chunk.Len() > 1<<20 || i == lines-1 {
			if err := c.Raw(chunk.String()); err != nil {
				t.Fatal(err)
			}
			chunk.Reset()
		}
	}
	_ = c.Raw("--B--\r\n.\r\n")
	c.Want(c.Read(), 250)
	r.WaitEmpty(4 * patience)

	all := d.Messages()
	m := all[len(all)-1]
	if m.MessageID != "<huge@client.example>" || len(m.Attachments) != 1 || m.Attachments[0].Size != lines*57 || m.Attachments[0].SHA256 != hex.EncodeToString(hash.Sum(nil)) {
		t.Errorf("arrived: %+v", m)
	}
	added := r.Memory("VmHWM") - before
	t.Logf("a message of 101 MB costs %d KiB of memory", added)
	if added > maxAdded {
		t.Errorf("it costs %d KiB of memory, more than %d", added, maxAdded)
	}
}

// A message that is too large for the relay is refused before it travels.
func TestLargeMailIsRefusedByItsSize(t *testing.T) {
	for _, c := range []struct {
		settings []harness.Setting
		size     string
	}{
		{nil, "2150400"},
		{[]harness.Setting{largeMail}, "36700160"},
		{[]harness.Setting{largeMail, harness.With("smtp", "max_message_size: 150MiB")}, "157286400"},
	} {
		r, _ := start(t, c.settings...)
		conn := harness.Hello(t, r.Addr)
		if hello := conn.Say("EHLO x"); !strings.Contains(hello.String(), "SIZE "+c.size) {
			t.Errorf("EHLO says %s", hello)
		}
		conn.Want(conn.Say("MAIL FROM:<"+harness.Sender+"> SIZE="+c.size+"0"), 552)
	}
}

// Graph answers 200 to MIME that it does not send, and 413 to more than it
// takes: both go in parts then, in the same attempt.
func TestWhatGraphCallsTooLargeGoesInParts(t *testing.T) {
	d := harness.StartDouble(t, mayWrite, func(o *sandbox.Options) { o.SilentAbove = 50_000 })
	r := harness.StartRelay(t, d, harness.With("delivery", "large_messages: upload", "mime_limit: 3MiB"))
	c := harness.Hello(t, r.Addr)
	text := "From: " + harness.Sender + "\r\nMessage-ID: <x@client.example>\r\n\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 1000)
	c.Send(harness.Sender, []string{"a@example.org"}, text)
	r.WaitEmpty(patience)
	if all := d.Messages(); len(all) != 1 || all[0].Form != "draft" || all[0].Size < 100_000 || d.Ledger()["<x@client.example>"] != 1 {
		t.Errorf("%+v", all)
	}
}
