package smtpd_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/smtpd"
)

// A client that ends its messages wrongly looks like one that hangs. The log
// distinguishes the two.
func TestTimeoutLogsTheWrongEnd(t *testing.T) {
	for sent, want := range map[string]string{
		"body\n.\n":               "ended with LF.LF,",
		"body\r\n.\n":             "ended with CRLF.LF,",
		"body\n.\r\n":             "ended with LF.CRLF,",
		"body\r.\r":               "ended with CR.CR,",
		"body\r\r\n.\r\r\n":       "ended with CRCRLF.CRCRLF,",
		"body":                    "sent nothing more",
		"a sentence.\r\n":         "sent nothing more",
		"a\r\n..\r\n":             "sent nothing more",
		"\n.":                     "sent nothing more",
		"a\n.\nand a second half": "sent nothing more",
	} {
		for _, step := range []int{1, 3, 1000} {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				h := &recorder{}
				s := smtpd.New(smtpd.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, h)
				l := &pipes{make(chan net.Conn), make(chan struct{})}
				go func() { _ = s.Serve(l, smtpd.ListenerOptions{}) }()
				defer func() { _ = s.Shutdown(t.Context()) }()
				ours, theirs := net.Pipe()
				l.conns <- theirs
				c := &client{t, ours, newReader(ours)}
				c.expect("220")
				c.say("EHLO x", "250-")
				c.begin()
				c.say("DATA", "354")
				for rest := sent; rest != ""; {
					n := min(step, len(rest))
					c.send(rest[:n])
					rest = rest[n:]
				}
				time.Sleep(time.Second)
				c.expect("421 4.4.2")
				c.expectEnd()
				if !strings.Contains(log.String(), want) || len(h.accepted()) > 0 {
					t.Errorf("%q by %d: log %q, want %q", sent, step, log.String(), want)
				}
			})
		}
	}
}
