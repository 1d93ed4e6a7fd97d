package socket

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
)

// The kernel says which user of this host is at the other end of a loopback connection.
func TestUserAt(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		l, err := Listen(t.Context(), at, 0)
		if err != nil {
			t.Logf("without %s: %v", at, err) // a host without IPv6
			continue
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		host, _, _ := net.SplitHostPort(at)
		if host == "::" {
			host = "127.0.0.1" // whose address is mapped at this end
		}
		client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		remote, local := c.RemoteAddr().(*net.TCPAddr).AddrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort()
		if got := UserAt(remote, local); got != strconv.Itoa(os.Getuid()) {
			t.Errorf("%s: user %q", at, got)
		}
		if got := UserAt(local, local); got != "" {
			t.Errorf("%s: nobody's connection is of user %q", at, got)
		}
	}
	far := netip.MustParseAddrPort("192.0.2.1:25")
	if got := UserAt(far, far); got != "" {
		t.Errorf("another host's user is %q", got)
	}
}

func TestEndpoint(t *testing.T) {
	for s, want := range map[string]string{
		"0100007F:0019":                         "127.0.0.1:25",
		"0000000000000000FFFF00000100007F:0019": "127.0.0.1:25",
		"00000000000000000000000001000000:FFFF": "[::1]:65535",
	} {
		if got := endpoint(s).String(); got != want {
			t.Errorf("%s is %s, want %s", s, got, want)
		}
	}
	for _, s := range []string{"", ":", "01:19", "0100007F:19999", "x100007F:0019", "local_address"} {
		if got := endpoint(s); got.IsValid() {
			t.Errorf("%q is %s", s, got)
		}
	}
}
