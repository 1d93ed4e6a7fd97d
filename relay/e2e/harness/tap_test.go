package harness_test

import (
	"reflect"
	"testing"

	"graphrelay/relay/e2e/harness"
)

func TestReadTalkFindsWhatWasSent(t *testing.T) {
	talk := "EHLO x\r\nMAIL FROM:<a@b> SIZE=3\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\nS: " +
		"x\r\n\r\n..dot\r\nend\r\n.\r\n" +
		"MAIL FROM:<lost@b>\r\nRSET\r\n" +
		"mail from: <>\r\nrcpt to: <c@d>\r\nBDAT 4\r\nabcdBDAT 2 LAST\r\n\r\nQUIT\r\n"
	want := []harness.Sent{
		{From: "a@b", To: []string{"c@d", "e@f"}, Data: "S: x\r\n\r\n.dot\r\nend\r\n"},
		{From: "", To: []string{"c@d"}, Data: "abcd\r\n"},
	}
	if got := harness.ReadTalk(talk); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := harness.ReadTalk("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\ncut short\r\n"); len(got) != 0 {
		t.Errorf("a message cut short counts as sent: %q", got)
	}
}

func TestDotStuffIsUndone(t *testing.T) {
	for _, message := range []string{"", "a\r\n", ".\r\n", "..\r\n.x\r\n", "\r\n.\r\n"} {
		talk := "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + harness.DotStuff(message)
		got := harness.ReadTalk(talk)
		if len(got) != 1 || got[0].Data != message {
			t.Errorf("%q becomes %q", message, got)
		}
	}
}
