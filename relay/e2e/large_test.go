package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

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
	_ = c.Raw("From: " + harness.Sender +
		"\r\nMessage-ID: <huge@client.example>\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n" +
		"text\r\n" +
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
	if m.MessageID != "<huge@client.example>" || len(m.Attachments) != 1 || m.Attachments[0].Size != lines*57 ||
		m.Attachments[0].SHA256 != hex.EncodeToString(hash.Sum(nil)) {
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
	text := "From: " + harness.Sender + "\r\nMessage-ID: <x@client.example>\r\n\r\n" +
		strings.Repeat(strings.Repeat("x", 98)+"\r\n", 1000)
	c.Send(harness.Sender, []string{"a@example.org"}, text)
	r.WaitEmpty(patience)
	if all := d.Messages(); len(all) != 1 || all[0].Form != "draft" || all[0].Size < 100_000 ||
		d.Ledger()["<x@client.example>"] != 1 {
		t.Errorf("%+v", all)
	}
}

// A crash in the middle of an upload leaves a draft and an attempt whose outcome
// nobody knows. After the next start it is treated as the configuration says;
// the message goes out once, and the draft is gone.
func TestACrashAmidAnUpload(t *testing.T) {
	for _, unknown := range []string{"retry", "hold"} {
		t.Run(unknown, func(t *testing.T) {
			t.Parallel() // the retry waits for a minute
			d := harness.StartDouble(t, mayWrite)
			r := harness.StartRelay(t, d,
				harness.With("delivery", "large_messages: upload", "mime_limit: 128KiB", "unknown_outcome: "+unknown))
			file := crashAmidUpload(t, d, r)
			crashed := time.Now()
			r.Start()
			var entry harness.Entry
			harness.Until(t, 2*longPatience, "the message to be listed", func() bool {
				list := r.Queue()
				if len(list) == 1 {
					entry = list[0]
				}
				return len(list) == 1 && (unknown == "retry" || entry.State == "held")
			})
			if !entry.Unknown || d.Count() != 0 {
				t.Errorf("after the start: %+v, %d sent", entry, d.Count())
			}
			if unknown == "hold" {
				if !strings.Contains(entry.Reason, "may have been sent") || d.Drafts() != 1 {
					t.Errorf("held for %q, %d drafts", entry.Reason, d.Drafts())
				}
				if out, err := r.Run("queue", "release", entry.QueueID); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			r.WaitEmpty(2 * longPatience)
			if took := time.Since(crashed); unknown == "retry" && took < time.Minute {
				t.Errorf("sent again after %s, within the minute that an unknown outcome waits", took)
			}
			all := d.Messages()
			if len(all) != 1 || d.Drafts() != 0 || d.Ledger()["<crash@client.example>"] != 1 {
				t.Fatalf("%d messages, %d drafts: %+v", len(all), d.Drafts(), all)
			}
			if a := all[0].Attachments; len(a) != 1 || a[0].Size != int64(len(file)) ||
				a[0].SHA256 != hex.EncodeToString(sum(file)) {
				t.Errorf("arrived: %+v", a)
			}
			if !strings.Contains(r.Output(), "possible_duplicate=true") {
				t.Error("the log does not say that it may be a duplicate")
			}
		})
	}
}

func sum(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

// crashAmidUpload sends a message with a file, lets the double take a part of it
// and kills the relay.
func crashAmidUpload(t *testing.T, d *harness.Double, r *harness.Relay) (file []byte) {
	t.Helper()
	if err := d.Inject(sandbox.Fault{Endpoint: "upload", Skip: 2, Latency: time.Hour}); err != nil {
		t.Fatal(err)
	}
	file = []byte(strings.Repeat("0123456789abcdef", 600_000)) // four slices
	encoded := base64.StdEncoding.EncodeToString(file)
	var text strings.Builder
	text.WriteString("From: " + harness.Sender +
		"\r\nMessage-ID: <crash@client.example>\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n" +
		"text\r\n" +
		"--B\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for len(encoded) > 76 {
		text.WriteString(encoded[:76] + "\r\n")
		encoded = encoded[76:]
	}
	text.WriteString(encoded + "\r\n--B--\r\n")
	harness.Hello(t, r.Addr).Send(harness.Sender, []string{anyone}, text.String())
	harness.Until(t, patience, "two slices and a third under way", func() bool {
		s := d.Stats()
		return s.Answers["upload"][200] == 2 && s.Concurrent == 1
	})
	r.Kill()
	d.ClearFaults()
	if d.Drafts() != 1 || d.Count() != 0 {
		t.Fatalf("after the crash: %d drafts, %d messages", d.Drafts(), d.Count())
	}
	return file
}

// What is damaged in large mail arrives all the same: as it was meant, or in the
// original, and the history of the message says so.
func TestDamagedLargeMail(t *testing.T) {
	d := harness.StartDouble(t, mayWrite)
	r := harness.StartRelay(t, d, largeMail)
	c := harness.Hello(t, r.Addr)
	padding := strings.Repeat("Comments: "+strings.Repeat("padding ", 122)+"\r\n", 142)
	const parts = "--B\r\nContent-Type: text/plain\r\n\r\nthe words\r\n--B\r\nContent-Type: application/pdf; name=a" +
		".pdf\r\n"
	for _, m := range []struct{ id, header, body, name, file, history string }{
		{"other-boundary", "Content-Type: multipart/mixed; boundary=A", parts + "\r\nPDF\r\n--B--\r\n", "a.pdf", "PDF",
			"some of its delimiters are not those that its header names"},
		{"boundary-comment", "Content-Type: multipart/mixed; boundary=B (made by the device)",
			parts + "\r\nPDF\r\n--B--\r\n", "a.pdf", "PDF", "its delimiters"},
		{"uuencode", "Content-Type: multipart/mixed; boundary=B", parts +
			"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a.pdf\r\n#4$1&\r\n`\r\nend\r\n--B--\r\n", "a.pd" +
			"f", "PDF", ""},
		{"odd-line", "Content-Type: multipart/mixed; boundary=B", parts + "** checked **\r\nContent-ID: <a>\r\n\r\n" +
			"PDF\r\n--B--\r\n",
			"original-message.eml", "** checked **", "the original is attached"},
	} {
		c.Send(harness.Sender, []string{"a@example.org", "blind@example.org"}, "From: "+harness.Sender+"\r\nTo: a@e"+
			"xample.org\r\n"+
			"Message-ID: <"+m.id+"@client.example>\r\n"+padding+m.header+"\r\n\r\n"+m.body)
		r.WaitEmpty(patience)
		all := d.Messages()
		got := all[len(all)-1]
		if got.Form != "draft" || len(got.Attachments) != 1 || got.Attachments[0].Name != m.name {
			t.Errorf("%s: %+v", m.id, got)
			continue
		}
		content, err := d.AttachmentBytes(got.ID, 0)
		if err != nil || !strings.Contains(string(content), m.file) || strings.Contains(string(content), "blind@") {
			t.Errorf("%s: %q, %v", m.id, content, err)
		}
		if out, err := r.Run("trace", "<"+m.id+"@client.example>"); err != nil || !strings.Contains(out, m.history) {
			t.Errorf("%s: %v, %s", m.id, err, out)
		}
	}
}
