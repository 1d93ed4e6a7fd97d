package harness

import (
	"net"
	"strconv"
	"testing"
)

// A port is nobody else's while the test runs that got it, though nothing
// listens there, and free afterwards.
func TestFreeAddrIsKept(t *testing.T) {
	var port int
	t.Run("its owner", func(t *testing.T) {
		_, text, err := net.SplitHostPort(FreeAddr(t))
		if port, _ = strconv.Atoi(text); err != nil || port == 0 {
			t.Fatal(text, err)
		}
		if reserve(t, port) {
			t.Error("a second test gets it")
		}
	})
	if !reserve(t, port) {
		t.Error("it is not free after the test")
	}
}
