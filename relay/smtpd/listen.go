package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// DefaultSocketMode lets every local user submit, as a mail socket does; who
// may send what is decided later.
const DefaultSocketMode fs.FileMode = 0o666

// Listen opens address: "host:port", "[::1]:port", ":port" or "unix:/path". A
// unix socket gets mode (DefaultSocketMode when 0); a stale one that nobody
// serves is replaced, one that somebody serves is an error. The socket file is
// removed when the listener closes.
func Listen(ctx context.Context, address string, mode fs.FileMode) (net.Listener, error) {
	// Idle timeouts end dead connections; keep-alive would only cost four
	// system calls for each connection.
	lc := net.ListenConfig{KeepAlive: -1}
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		return lc.Listen(ctx, "tcp", address)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if mode == 0 {
		mode = DefaultSocketMode
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes the socket at path when nobody listens there.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is no socket: remove it, or listen elsewhere", path)
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = nc.Close()
		return fmt.Errorf("another program serves %s: stop it, or listen elsewhere", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Inherited returns the sockets that systemd opened for this process (see
// sd_listen_fds(3)), by the names that FileDescriptorName= gave them. It can be
// asked once. A socket that nobody wants must be closed by the caller.
func Inherited() (map[string][]net.Listener, error) {
	return activation.ListenersWithNames()
}
