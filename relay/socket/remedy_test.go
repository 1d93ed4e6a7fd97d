package socket

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// An address that cannot be listened on is named by its key.
func TestRemedies(t *testing.T) {
	for _, c := range []struct {
		key, address string
		err          error
		want         string
	}{
		{"console.address", "127.0.0.1:8025", syscall.EADDRINUSE, "choose another address in console.address"},
		{"admin.address", "unix:/run/graphrelay/admin.sock", syscall.EADDRINUSE, "ss -lxp shows it"},
		{"smtp.listeners", "127.0.0.1:25", syscall.EACCES, "systemd:NAME of an enabled unit"},
		{"admin.address", "unix:/run/x/admin.sock", syscall.EACCES,
			"cannot write to the folder of unix:/run/x/admin.sock"},
		{"admin.address", "unix:/run/x/admin.sock", syscall.ENOENT, "must exist"},
	} {
		err := withRemedy(c.key, c.address, c.err)
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.key, err)
		}
	}
}
