package socket_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/socket"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := socket.Listen(t.Context(), "unix:"+path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socket.DefaultMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	_, err = socket.Listen(t.Context(), "unix:"+path, 0)
	if err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a served socket was taken: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	l, err = socket.Listen(t.Context(), "unix:"+path, 0o600)
	if err != nil {
		t.Fatalf("a stale socket was not replaced: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket stayed after Close")
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Listen(t.Context(), "unix:"+path, 0); err == nil {
		t.Error("a file was replaced by a socket")
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file was damaged")
	}
}
