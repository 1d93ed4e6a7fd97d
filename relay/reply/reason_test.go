package reply_test

import (
	"os"
	"strings"
	"testing"

	"graphrelay/relay/reply"
)

// Every refusal of the manual has a cause that fits into a line, the same whatever
// the client wrote, and a remedy.
func TestEveryRefusalHasAReason(t *testing.T) {
	manual, err := os.ReadFile("../../packaging/doc/replies.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(manual)) {
		cells := strings.Split(line, " | ")
		if len(cells) < 5 || !strings.Contains(cells[1], ".") {
			continue
		}
		rows++
		text := strings.TrimSuffix(cells[2], " (*)")
		var status reply.Enhanced
		for i, digit := range strings.Split(cells[1], ".") {
			status[i] = int(digit[0] - '0')
		}
		one := reply.New(550, status, strings.ReplaceAll(text, "…", "evil@one.example")).Reason()
		two := reply.New(550, status, strings.ReplaceAll(text, "…", "12")).Reason()
		if one != two || one.Cause == "" || len(one.Cause) > 100 || strings.ContainsAny(one.Cause, "@…;") {
			t.Errorf("%s: %+v and %+v", text, one, two)
		}
		if one.Remedy == "" || one.Remedy != reply.Remedy(status, one.Cause) || strings.HasPrefix(one.Cause, "Access") {
			t.Errorf("%s: %+v, remedy by its cause %q", text, one, reply.Remedy(status, one.Cause))
		}
	}
	if rows < 60 {
		t.Errorf("found only %d refusals in the manual", rows)
	}
}

func TestReasons(t *testing.T) {
	for text, want := range map[string]string{
		"Recipient address x@y.example not allowed for this client; ask the administrator of this relay to add it to " +
			"the client's recipients": "recipient not allowed",
		"From address x@y.example not allowed here; ask the administrator of this relay to add it to senders": "From " +
			"not allowed",
		"Reverse-path not allowed here; ask the administrator of this relay to add it to senders": "sender not allowed",
		"From address has no domain; set a full address, as in user@example.org, in the program that " +
			"sends": "sender without a domain",
		"Header line 17 has no colon": "Header line has no colon",
		"Too many connections, try again later; ask the administrator of this relay for " +
			"more": "max_connections of the client reached",
		"Too many connections, try again later": "smtp.max_connections reached",
		"Something new: x@y.example 7":          "Something new",
	} {
		if got := reply.New(550, reply.Enhanced{5, 7, 1}, text).Reason(); got.Cause != want || got.Remedy == "" {
			t.Errorf("%s: %+v, want %q", text, got, want)
		}
	}
}
