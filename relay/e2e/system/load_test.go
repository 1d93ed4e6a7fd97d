package system

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// The judge of restarts and upgrades must see what it is there to see: here the
// relay is a listener that takes mail, and misbehaves once.

// listen serves dialogs at an address with final in answer to the message.
func listen(t *testing.T, address, final string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go dialog(nc, final)
		}
	}()
	return l
}

func dialog(nc net.Conn, final string) {
	defer nc.Close()
	fmt.Fprint(nc, "220 relay\r\n")
	for in := bufio.NewScanner(nc); in.Scan(); {
		switch line := in.Text(); {
		case line == "DATA":
			fmt.Fprint(nc, "354 go on\r\n")
		case line == ".":
			fmt.Fprint(nc, final+"\r\n")
		case strings.HasPrefix(line, "HELO"), strings.HasPrefix(line, "MAIL"), strings.HasPrefix(line, "RCPT"):
			fmt.Fprint(nc, "250 ok\r\n")
		}
	}
}

// judged runs a load over do and returns the faults that it finds.
func judged(t *testing.T, address string, do func(l *load)) string {
	t.Helper()
	l := &load{limit: time.Minute, dial: func() (net.Conn, error) {
		nc, err := net.DialTimeout("tcp", address, time.Minute)
		if err == nil {
			err = nc.SetDeadline(time.Now().Add(time.Minute))
		}
		return nc, err
	}}
	return strings.Join(l.during(func() { do(l) }), "; ")
}

func (l *load) noted(faults *[]error) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(*faults)
}

func TestTheLoadFindsNoFaultWhereThereIsNone(t *testing.T) {
	address := listen(t, "127.0.0.1:0", "250 taken").Addr().String()
	if got := judged(t, address, func(*load) {}); got != "" {
		t.Error(got)
	}
}

func TestTheLoadSeesARefusedConnection(t *testing.T) {
	address := harness.FreeAddr(t)
	before := listen(t, address, "250 taken")
	got := judged(t, address, func(l *load) {
		before.Close() // nobody listens: the kernel refuses
		harness.Until(t, time.Minute, "a connection to be refused", func() bool { return l.noted(&l.refused) > 0 })
		listen(t, address, "250 taken")
	})
	if !strings.Contains(got, "were not taken") || !strings.Contains(got, "connection refused") {
		t.Errorf("the faults are %q", got)
	}
}

func TestTheLoadSeesAnotherAnswer(t *testing.T) {
	address := harness.FreeAddr(t)
	before := listen(t, address, "250 taken")
	got := judged(t, address, func(l *load) {
		before.Close()
		bad := listen(t, address, "554 no")
		harness.Until(t, time.Minute, "a dialog to end oddly", func() bool { return l.noted(&l.odd) > 0 })
		bad.Close()
		listen(t, address, "250 taken")
	})
	if !strings.Contains(got, "ended oddly") || !strings.Contains(got, "554") {
		t.Errorf("the faults are %q", got)
	}
}

// 421 is how a relay that stops says so.
func TestTheLoadAllows421(t *testing.T) {
	nc, server := net.Pipe()
	go dialog(server, "421 stopping")
	l := &load{}
	if _, ok := l.submit(nc).(broken); !ok || l.count() > 0 {
		t.Errorf("421 counts as odd, or as taken (%d)", l.count())
	}
}
