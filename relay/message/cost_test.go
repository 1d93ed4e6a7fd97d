package message

import (
	"io"
	"strings"
	"testing"

	"graphrelay/relay/costtest"
	"graphrelay/relay/envelope"
)

// No header costs more than its length: not to read, to mend, to judge or to edit.
func TestCostOfHeaders(t *testing.T) {
	to := addrs(t, "a@x.example b@x.example")
	read := func(in string) {
		h, body, err := Read(strings.NewReader(in), Options{})
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, body)
		h, _ = h.QuoteNames()
		h, _ = h.MendLists()
		h, _ = h.NameDaemon()
		h, _ = h.ExpandAliases(func(envelope.Address) (envelope.Address, bool) { return to[0], true })
		_, _ = h.Authors()
		_, _, _ = h.Subject(), h.MessageID(), h.CheckLoop("relay.example")
		_, _, _ = h.Apply(Edits{Recipients: to})
	}
	tokens := []string{`"`, `\`, "(", "<", ">", ",", ";", "@", "a@x.example,", "=?utf-8?q?a", "\r\n ", "\r\nTo: "}
	for _, field := range []string{"From", "To"} {
		costtest.Linear(t, tokens, func(text string) string {
			return field + ": " + text + "\r\nFrom: a@x.example\r\n\r\nx\r\n"
		}, read)
	}
	costtest.Shape(t, "long labels", func(size int) string {
		const many = 32
		label := "xn--" + strings.Repeat("a", 20) + strings.Repeat("b9z", size/many/3)
		return "To: " + strings.Repeat("a@"+label+".example,", many) +
			"\r\nFrom: a@x.example\r\n\r\n"
	}, read)
	lines := []string{"a:\r\n", " \r\n", "\r", "\n", "\x00", "From \r\n", "Received: x\r\n", "name=value\r\n",
		"Content-Type: a/b;\r\n"}
	costtest.Linear(t, lines, func(text string) string { return text + "\r\nx\r\n" }, read)
}
