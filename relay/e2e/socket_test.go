package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// Every user of the host may submit at a unix socket; which one it was stands
// in the log and in the message.
func TestASocketTellsTheUser(t *testing.T) {
	dir, err := os.MkdirTemp("", "gr") // short: a socket's path has 108 octets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "submit.sock")
	r, d := start(t, harness.With("smtp", "  - {address: \"unix:"+path+"\"}"))
	nc, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	in := bufio.NewReader(nc)
	for _, step := range []struct {
		text string
		code int
	}{{"", 220}, {ehlo, 250}, {mailFrom, 250}, {rcptTo, 250}, {"DATA", 354}, {headFrom + "\r\ntext\r\n.", 250}} {
		if step.text != "" {
			_ = nc.SetWriteDeadline(time.Now().Add(patience))
			if _, err := nc.Write([]byte(step.text + "\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		if reply, err := harness.ReadReply(nc, in); err != nil || reply.Code != step.code {
			t.Fatalf("%q is answered %q, %v", step.text, reply, err)
		}
	}
	user := fmt.Sprint(os.Getuid())
	if got := string(d.WaitFor(t, 1, patience)[0].Raw); !strings.Contains(got, "(local socket, user "+user+")") {
		t.Errorf("Received does not tell the user:\n%s", got)
	}
	if !strings.Contains(r.Output(), "client_user="+user) {
		t.Errorf("the log does not tell the user:\n%s", r.Tail())
	}
}
