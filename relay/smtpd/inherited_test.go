package smtpd_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
)

// TestInherited runs this program again as systemd would: with sockets at 3 and
// up, and their names in the environment.
func TestInherited(t *testing.T) {
	if os.Getenv("SMTPD_TEST_INHERIT") != "" {
		serveInherited(t)
		return
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	tcpFile, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	unixFile, err := unix.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run='^TestInherited$'`, os.Args[0])
	cmd.Env = append(os.Environ(), "SMTPD_TEST_INHERIT=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=smtp:submit")
	cmd.ExtraFiles = []*os.File{tcpFile, unixFile}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, to := range []net.Addr{tcp.Addr(), unix.Addr()} {
		nc, err := net.Dial(to.Network(), to.String())
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t, nc, newReader(nc)}
		c.expect("220")
		c.say("QUIT", "221")
		nc.Close()
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
	for _, want := range []string{"peer smtp 127.0.0.1 unix=false", "peer submit unix unix=true"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

// serveInherited serves each inherited socket until it had one connection.
func serveInherited(t *testing.T) {
	sockets, err := socket.Inherited()
	if err != nil {
		t.Fatal(err)
	}
	h := &recorder{}
	s := smtpd.New(smtpd.Config{}, h)
	for name, list := range sockets {
		for _, l := range list {
			go func() { _ = s.Serve(l, smtpd.ListenerOptions{Name: name}) }()
		}
	}
	for s.Stats().Accepted < 2 || s.Stats().Connections > 0 {
	}
	for i := range 2 {
		p := h.peer(i)
		fmt.Println("peer", p.Listener, p.String(), "unix="+fmt.Sprint(p.Unix))
	}
	if again, _ := socket.Inherited(); len(again) > 0 {
		t.Error("the sockets can be had twice")
	}
}
