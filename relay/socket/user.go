package socket

import (
	"net"
	"strconv"
	"syscall"
)

// UserOf returns the decimal ID of the user who opened the other end of a unix
// socket (SO_PEERCRED). It is empty for other connections, and where the kernel
// does not know: it gives nobody a right, and serves only the log and the
// Received field.
func UserOf(nc net.Conn) string {
	unix, ok := nc.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return ""
	}
	user := ""
	_ = raw.Control(func(fd uintptr) {
		if who, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			user = strconv.FormatUint(uint64(who.Uid), 10)
		}
	})
	return user
}
