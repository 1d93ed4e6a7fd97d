// Package socket opens the sockets that the service listens on: TCP ports, unix
// sockets, and those that systemd passes on. It must not know which protocol is
// spoken there.
package socket

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
)

// DefaultMode of a unix socket lets every local user connect, as is usual for
// mail; who may send what is decided later.
const DefaultMode fs.FileMode = 0o666

// Listen opens address: "host:port", "[::1]:port", ":port" or "unix:/path". A
// unix socket gets mode, or DefaultMode if mode is 0. A stale socket file that
// no program serves is replaced; one in use is an error. The socket file is
// removed when the listener closes.
func Listen(ctx context.Context, address string, mode fs.FileMode) (net.Listener, error) {
	// Idle timeouts end dead connections; keep-alive would cost four more
	// system calls per connection.
	lc := net.ListenConfig{KeepAlive: -1}
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		return lc.Listen(ctx, "tcp", address)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if mode == 0 {
		mode = DefaultMode
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes the socket at path if no program listens there.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket: remove it, or listen elsewhere", path)
	}
	dialer := net.Dialer{Timeout: time.Second}
	nc, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		_ = nc.Close()
		return fmt.Errorf("another program serves %s: stop it, or listen elsewhere", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Serve has srv, such as an http.Server, serve on l until ctx ends; then it closes
// srv and returns nil.
func Serve(ctx context.Context, l net.Listener, srv interface {
	Serve(net.Listener) error
	Close() error
}) error {
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
