package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// memoryLimit is what bad input of any kind may make the relay use, in KiB.
const memoryLimit = 256 << 10

// bad is a dialog that must not leave a message behind. run speaks to a fresh
// connection after EHLO and judges the replies.
type bad struct {
	name string
	run  func(t *testing.T, c *harness.Conn)
}

// refused sends a message in a good envelope, in pieces, and wants a 5xx or
// 4xx reply, or a closed connection.
func refused(codes string, pieces ...string) func(*testing.T, *harness.Conn) {
	return func(t *testing.T, c *harness.Conn) {
		c.Envelope(harness.Sender, anyone)
		for _, p := range pieces {
			if c.Raw(p) != nil {
				break
			}
		}
		reply := c.Read()
		if !strings.Contains(codes, fmt.Sprint(reply.Code)) {
			t.Errorf("reply %.200q, want one of %s", reply, codes)
		}
	}
}

// dies sends bytes inside DATA and hangs up.
func dies(reset bool, data string) func(*testing.T, *harness.Conn) {
	return func(_ *testing.T, c *harness.Conn) {
		c.Envelope(harness.Sender, anyone)
		_ = c.Raw(data)
		if reset {
			c.Reset()
		} else {
			c.Close()
		}
	}
}

// says sends lines as commands; each must get an error or end the connection.
func says(lines ...string) func(*testing.T, *harness.Conn) {
	return func(t *testing.T, c *harness.Conn) {
		for _, line := range lines {
			_ = c.Raw(line + "\r\n")
			reply := c.Read()
			if reply.Code == 0 {
				return // a clean close
			}
			if reply.Code < 400 {
				t.Errorf("%.60q gets %.200q, want a refusal", line, reply)
			}
		}
	}
}

// accepted wraps a dialog that begins with an accepted MAIL.
func afterMail(lines ...string) func(*testing.T, *harness.Conn) {
	return func(t *testing.T, c *harness.Conn) {
		c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
		says(lines...)(t, c)
	}
}

func badDialogs() []bad {
	header := "From: " + harness.Sender + "\r\nTo: " + anyone + "\r\nSubject: bad\r\n"
	list := []bad{
		{"unknown commands", says("HELP ME", "GET / HTTP/1.1", "\x16\x03\x01\x02", "")},
		{"no address", says("MAIL FROM:", "MAIL FROM:<", "MAIL", "MAIL TO:<"+harness.Sender+">")},
		{"RCPT first", says("RCPT TO:<" + anyone + ">")},
		{"DATA first", says("DATA")},
		{"control characters in MAIL", says("MAIL FROM:<a\x00\rb@c\x01>", "MAIL FROM:<notifications\x07@contoso.com>")},
		{"control characters in RCPT",
			afterMail("RCPT TO:<a\x00@example.org>", "RCPT TO:<a\x01b@example.org>", "RCPT TO:<a@exam\x0bple.org>")},
		{"bare CR in a command", afterMail("RCPT TO:<a\r@example.org>")},
		{"two addresses", afterMail("RCPT TO:<a@example.org,b@example.org>",
			"RCPT TO:<a@example.org> <b@example.org>")},
		{"a command of 4 MB", says("EHLO " + strings.Repeat("x", 4<<20))},
		{"4 MB without a line end",
			func(t *testing.T, c *harness.Conn) { _ = c.Raw(strings.Repeat("y", 4<<20)); c.Close() }},
		{"declared size too large",
			says("MAIL FROM:<"+harness.Sender+"> SIZE=99999999", "MAIL FROM:<"+harness.Sender+
				"> SIZE=99999999999999999999")},
		{"NUL in the header", refused("550 554", harness.DotStuff(header+"X-N: a\x00b\r\n\r\nBody\r\n"))},
		{"NUL in the body", refused("550 554", harness.DotStuff(header+"\r\na\x00b\r\n"))},
		{"NUL as the empty line", refused("550 554", harness.DotStuff(header+"\x00\r\nBcc: a@example.org\r\n"))},
		{"two From by a bare CR", refused("550 554", harness.DotStuff("From: x@example.org\r"+header+"\r\nBody\r\n"))},
		{"a header line without a colon",
			refused("550 554", harness.DotStuff(header+"no colon here\r\nX-After: 1\r\n\r\nBody\r\n"))},
		{"a header of 10 MB", refused("550 552 554", manyFields(header, 10<<20))},
		{"a header line of 10 MB",
			refused("550 552 554", header, "X-Long: ", strings.Repeat("z", 10<<20), "\r\n\r\nBody\r\n.\r\n")},
		{"a body above the limit",
			refused("552", header+"\r\n", strings.Repeat("0123456789abcdef\r\n", 300_000), ".\r\n")},
		{"the connection dies in the header", dies(false, "From: "+harness.Sender+"\r\nSubj")},
		{"the connection dies in the body", dies(false, header+"\r\nHalf a mess")},
		{"the connection dies after a line", dies(false, header+"\r\nHalf a message\r\n")},
		{"the connection dies after CRLF.", dies(false, header+"\r\nHalf a message\r\n.")},
		{"the connection dies after CRLF.CR", dies(false, header+"\r\nHalf a message\r\n.\r")},
		{"a reset in the body", dies(true, header+"\r\nHalf a message\r\n")},
		{"BDAT cut short", func(_ *testing.T, c *harness.Conn) {
			c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
			c.Want(c.Say("RCPT TO:<"+anyone+">"), 250)
			_ = c.Raw("BDAT 1000 LAST\r\n" + header + "\r\nHalf")
			c.Close()
		}},
	}
	for _, end := range []string{"\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n\x00.\r\n",
		"\r\n.\r\r\n", "\r\r\n.\r\r\n"} {
		list = append(list, bad{fmt.Sprintf("smuggling by %q", end), smuggle(header, end)})
	}
	return list
}

// smuggle puts a second message behind something that looks like the end of
// the first, and hangs up: nothing may be accepted.
func smuggle(header, end string) func(*testing.T, *harness.Conn) {
	return func(_ *testing.T, c *harness.Conn) {
		c.Envelope(harness.Sender, anyone)
		_ = c.Raw(header + "\r\nfirst" + end + "MAIL FROM:<" + harness.Sender +
			">\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n" + header + "\r\nsmuggled")
		c.Close()
	}
}

func manyFields(header string, size int) string {
	line := "X-Filler: " + strings.Repeat("f", 60) + "\r\n"
	return header + strings.Repeat(line, size/len(line)) + "\r\nBody\r\n.\r\n"
}

// Whatever comes in, the relay answers clearly or closes, takes no part of a
// message, stays up within bounded memory, and its queue is untouched.
func TestBadInputLeavesTheQueueUntouched(t *testing.T) {
	r, d := start(t)
	for _, b := range badDialogs() {
		t.Run(b.name, func(t *testing.T) {
			c := harness.Hello(t, r.Addr)
			b.run(t, c)
			c.Close()
			if r.Ended() {
				t.Fatalf("the relay died\n%s", r.Tail())
			}
		})
	}
	// One good message goes through last and alone: whatever had been accepted
	// before it would have been queued before it.
	harness.Hello(t, r.Addr).Send(harness.Sender, []string{anyone}, plain("the-only-one"))
	r.WaitEmpty(patience)
	if got := d.Received(); len(got) != 1 {
		for _, m := range got {
			t.Logf("arrived: %.300q", m.Raw)
		}
		t.Errorf("%d messages arrived, want only the good one", len(got))
	}
	if list := r.Queue(); len(list) > 0 {
		t.Errorf("left in the queue: %+v", list)
	}
	if peak := r.Memory("VmHWM"); peak > memoryLimit {
		t.Errorf("bad input made the relay use %d KiB, limit %d", peak, memoryLimit)
	}
	if strings.Contains(r.Output(), "goroutine ") {
		t.Errorf("a panic was logged:\n%s", r.Tail())
	}
}

// 10,000 recipients: those above the limit get 452 and the rest the message.
func TestTenThousandRecipients(t *testing.T) {
	r, d := start(t)
	c := harness.Hello(t, r.Addr)
	c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
	var taken []string
	for i := range 10_000 {
		to := fmt.Sprintf("r%d@example.org", i)
		reply := c.Say("RCPT TO:<" + to + ">")
		if reply.Code == 0 {
			break // closed: tolerable after so many refusals
		}
		switch c.Want(reply, 250, 452).Code {
		case 250:
			taken = append(taken, to)
		}
	}
	if len(taken) != 500 {
		t.Errorf("%d recipients were taken, want max_recipients, 500", len(taken))
	}
	if reply := c.Say("DATA"); reply.Code == 354 {
		_ = c.Raw(harness.DotStuff("From: " + harness.Sender + "\r\nSubject: many\r\n\r\nBody\r\n"))
		c.Want(c.Read(), 250)
		got := d.WaitFor(t, 1, patience)[0]
		if list := harness.Folded(got.Recipients); strings.Join(list, " ") != strings.Join(harness.Folded(taken), " ") {
			t.Errorf("%d recipients arrived, want the %d that were taken", len(list), len(taken))
		}
	}
	if peak := r.Memory("VmHWM"); peak > memoryLimit {
		t.Errorf("the relay used %d KiB, limit %d", peak, memoryLimit)
	}
}

// Odd but legal: these must arrive unchanged.
func TestOddMessagesArriveUnchanged(t *testing.T) {
	header := "From: " + harness.Sender + "\r\nTo: " + anyone + "\r\nSubject: odd\r\n"
	nested := header + "MIME-Version: 1.0\r\n" + nest(1000)
	r, d := start(t)
	for _, c := range []struct{ name, message string }{
		{"MIME nested a thousand deep", nested},
		{"a line of 1.5 MB", header + "\r\n" + strings.Repeat("l", 1500<<10) + "\r\n"},
		{"dots at the start of lines", header + "\r\n.\r\n..\r\n.x\r\n"},
		{"8-bit text", header + "\r\nGr\xc3\xbc\xc3\x9fe, \xe9\xff\r\n"},
		{"no body", header + "\r\n"},
		{"bare LF in the body", header + "\r\nline\nline\r\n"},
		{"no header", "\r\nBody alone\r\n"},
		{"folded recipients", "From: " + harness.Sender + "\r\nTo:\r\n\t\"Admin, the\"\r\n\t<" + anyone +
			">\r\n\r\nBody\r\n"},
		{"a group", "From: " + harness.Sender + "\r\nTo: undisclosed-recipients:;\r\n\r\nBody\r\n"},
		{"signed", header + "Content-Type: multipart/signed; boundary=b;\r\n " +
			"protocol=\"application/pgp-signature\"\r\n\r\n--b\r\n\r\nBody \t\r\n--b\r\nContent-Type: " +
			"application/pgp-signature\r\n\r\nxyz\r\n--b--\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(d.Received())
			harness.Hello(t, r.Addr).Send(harness.Sender, []string{anyone}, c.message)
			got := d.WaitFor(t, before+1, patience)[before]
			want := c.message
			if c.name == "no header" {
				want = "From: " + harness.Sender + "\r\n" + want // repaired: missing_from
			}
			harness.CompareMessage(t, harness.Sent{From: harness.Sender, To: []string{anyone}, Data: want}, got.Raw)
		})
	}
	if peak := r.Memory("VmHWM"); peak > memoryLimit {
		t.Errorf("the relay used %d KiB, limit %d", peak, memoryLimit)
	}
}

// nest makes parts within parts.
func nest(depth int) string {
	var head, foot strings.Builder
	for i := range depth {
		fmt.Fprintf(&head, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&foot, "--b%d--\r\n", i)
	}
	return head.String() + "Content-Type: text/plain\r\n\r\nInnermost\r\n" + foot.String()
}
