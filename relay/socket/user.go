package socket

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

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
