package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
)

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
		return fmt.Errorf("%w; ports below 1024 need CAP_NET_BIND_SERVICE (systemd/graphrelay.service gives it): "+
			"use that unit, or choose a port such as 2525 in %s", err, key)
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
