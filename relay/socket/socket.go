// Package socket opens the sockets that the service listens on: TCP ports, unix
// sockets, and those that systemd passes on. It must not know which protocol is
// spoken there.
package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
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

// Open is Listen for an address of the configuration: its errors say what to do
// about them, and name the key of the address.
func Open(ctx context.Context, key, address string, mode fs.FileMode) (net.Listener, error) {
	l, err := Listen(ctx, address, mode)
	if err != nil {
		return nil, withRemedy(key, address, err)
	}
	return l, nil
}

func withRemedy(key, address string, err error) error {
	unix := strings.HasPrefix(address, "unix:")
	switch {
	case errors.Is(err, syscall.EACCES) && unix:
		return fmt.Errorf("%w; the user who runs this cannot write to the folder of %s: "+
			"chown the folder, or choose another path in %s", err, address, key)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w; a service needs a socket unit for ports below 1024: "+
			"write systemd:NAME of an enabled unit such as graphrelay-smtp.socket in %[2]s, "+
			"or a port such as 2525", err, key)
	case errors.Is(err, syscall.EADDRINUSE) && unix:
		return fmt.Errorf("%w; another program listens on %s: stop it (ss -lxp shows it), "+
			"or choose another path in %s", err, address, key)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another program listens on %s: stop it (ss -ltnp shows it; often postfix or exim4), "+
			"or choose another address in %s", err, address, key)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w; the folder of %s must exist: create it, or let systemd create it (RuntimeDirectory=)",
			err, address)
	}
	return err
}

// PeerOf asks the kernel which process opened the other end of a unix socket
// (SO_PEERCRED).
func PeerOf(nc net.Conn) (*syscall.Ucred, error) {
	unix, ok := nc.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("a %T is not a unix socket", nc)
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return nil, err
	}
	var who *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		who, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	return who, cmp.Or(err, asked)
}

// UserOf returns the decimal ID of the user who opened the other end of a unix
// socket (SO_PEERCRED). It is empty for other connections, and where the kernel
// does not know: it gives nobody a right, and serves only the log and the
// Received field.
func UserOf(nc net.Conn) string {
	who, err := PeerOf(nc)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(uint64(who.Uid), 10)
}
