package socket

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// UserAt returns the decimal ID of the user of this host who opened the other end,
// remote, of a TCP connection over loopback. It is empty for other connections, and
// where the kernel does not say. It reads a table of all connections, so it is not for
// each of many.
func UserAt(remote, local netip.AddrPort) string {
	if !remote.Addr().Unmap().IsLoopback() {
		return ""
	}
	for _, table := range []string{"tcp", "tcp6"} {
		if user := userIn("/proc/self/net/"+table, unmapped(remote), unmapped(local)); user != "" {
			return user
		}
	}
	return ""
}

func userIn(path string, own, peer netip.AddrPort) string {
	for row := range rows(path) {
		if endpoint(row[1]) == own && endpoint(row[2]) == peer {
			return row[7]
		}
	}
	return ""
}

// Listening returns the inodes of the sockets that listen on a TCP port, by the
// kernel's tables in a folder, /proc/net. A host without IPv6 has only one of them.
func Listening(folder string, port uint16) (inodes []string) {
	const listens = "0A"
	for _, table := range []string{"tcp", "tcp6"} {
		for row := range rows(filepath.Join(folder, table)) {
			if row[3] == listens && endpoint(row[1]).Port() == port {
				inodes = append(inodes, row[9])
			}
		}
	}
	return inodes
}

// rows reads a table of the kernel (proc(5)): "sl local_address rem_address st
// tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...". One that cannot be
// read has no rows.
func rows(path string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		f, err := os.Open(path)
		if err != nil {
			return
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if row := strings.Fields(lines.Text()); len(row) > 9 && row[0] != "sl" && !yield(row) {
				return
			}
		}
	}
}

// endpoint reads "0100007F:0019": words of four bytes as the processor has them, and
// the port. It is zero for anything else.
func endpoint(s string) netip.AddrPort {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	n, bad := strconv.ParseUint(port, 16, 16)
	if err != nil || bad != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return unmapped(netip.AddrPortFrom(a, uint16(n)))
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
