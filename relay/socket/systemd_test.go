package socket

import (
	"log/slog"
	"net"
	"strings"
	"testing"
)

// The sockets of a name are taken together, and closed if nobody takes them.
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
	var log strings.Builder
	p.Close(slog.New(slog.NewTextHandler(&log, nil)))
	if c, err := net.Dial("tcp", other.Addr().String()); err == nil {
		c.Close()
		t.Error("a socket that nobody took is open")
	}
	if c, err := net.Dial("tcp", one.Addr().String()); err != nil {
		t.Errorf("a socket that was taken is closed: %v", err)
	} else {
		c.Close()
	}
	if !strings.Contains(log.String(), "name=unknown") || len(p) != 0 {
		t.Errorf("left %v, log %q", p, log.String())
	}
	if _, err := Passed(nil).Take("smtp"); err == nil || !strings.Contains(err.Error(), "(it passed: none)") {
		t.Errorf("without systemd: %v", err)
	}
}
