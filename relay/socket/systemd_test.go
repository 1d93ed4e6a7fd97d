package socket

import (
	"net"
	"strings"
	"testing"
)

// The sockets of a name are taken together, and stay with whoever has p if nobody takes them.
func TestSocketsOfSystemd(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	one, two, other := listen(), listen(), listen()
	p := Passed{"smtp": {one, two}, "unknown": {other}}
	if list, err := p.Take("smtp"); err != nil || len(list) != 2 || list[0] != one || list[1] != two {
		t.Errorf("%v, %v", list, err)
	}
	_, err := p.Take("smtp")
	if err == nil || !strings.Contains(err.Error(), "(it passed: unknown)") ||
		!strings.Contains(err.Error(), "FileDescriptorName=smtp") {
		t.Errorf("a name that is not there: %v", err)
	}
	if len(p) != 1 || p["unknown"][0] != other {
		t.Errorf("left %v, want the socket that nobody took", p)
	}
	if _, err := Passed(nil).Take("smtp"); err == nil || !strings.Contains(err.Error(), "(it passed: none)") {
		t.Errorf("without systemd: %v", err)
	}
}
