package wire

import (
	"testing"

	"graphrelay/relay/costtest"
)

// No command and no message costs more than its length to read.
func TestCostOfWire(t *testing.T) {
	costtest.Linear(t, []string{`"`, `\`, "<", ">", "@", " ", "SIZE=99999999999 ", "ORCPT=a;b ", ":"},
		func(text string) string { return "RCPT TO:" + text }, func(in string) {
			if c, ok := ParseCommand([]byte(in)); ok && !c.Glued() {
				_, _ = c.CutNotify()
				_ = c.ForLibrary(nil)
			}
		})
	costtest.Linear(t, []string{"\r", "\n", ".", "\r\n..", "\r\n.\r", "a"}, func(text string) string { return text },
		func(in string) {
			var d DataDecoder
			var dst [4096]byte
			for src, end := []byte(in), false; !end && len(src) > 0; {
				var used int // of what the buffer of a connection holds
				if _, used, end = d.Decode(dst[:], src[:min(len(src), 4096)]); used == 0 {
					return
				}
				src = src[used:]
			}
		})
}
