//go:build postgres

package nodes_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// block is the code of the manual's page of two machines that has a line.
func block(t *testing.T, line string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(harness.ModuleDir(t), "packaging", "doc", "two-machines.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(page), "\n```") {
		_, code, _ := strings.Cut(part, "\n")
		if i%2 == 1 && strings.Contains("\n"+code+"\n", "\n"+line+"\n") {
			return code + "\n"
		}
	}
	t.Fatalf("the page has no code with %q", line)
	return ""
}

// replaced replaces each old text, which must be there.
func replaced(t *testing.T, text string, oldAndNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldAndNew); i += 2 {
		if !strings.Contains(text, oldAndNew[i]) {
			t.Fatalf("there is no %q in:\n%s", oldAndNew[i], text)
		}
		text = strings.Replace(text, oldAndNew[i], oldAndNew[i+1], 1)
	}
	return text
}

// What the page shows for HAProxy sends connections to both nodes, which know the clients by their
// own addresses, and goes on with one when the other dies.
func TestHAProxyInFront(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Fatal("HAProxy is not installed: apt-get install haproxy")
	}
	listener := block(t, "      proxy_protocol: [10.1.2.9]")
	key := strings.TrimSpace(listener[strings.Index(listener, "proxy_protocol"):])
	key, _, _ = strings.Cut(key, "\n")
	c := newCluster(t, nil, harness.With("smtp", "    "+replaced(t, key, "10.1.2.9", "127.0.0.1")))
	one, other := c.join(), c.join()
	front := harness.FreeAddr(t)
	server := func(n *node) string {
		_, port, _ := net.SplitHostPort(n.Watch)
		return n.Addr + " port " + port
	}
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	harness.WriteFile(t, config, replaced(t, block(t, "frontend smtp"), "bind :25", "bind "+front,
		"10.1.2.11:25", server(one), "10.1.2.12:25", server(other)))
	harness.Start(t, exec.Command(haproxy, "-db", "-f", config))
	harness.Until(t, patience, "HAProxy to listen", func() bool {
		nc, err := net.Dial("tcp", front)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	sent := 0
	send := func() {
		t.Helper()
		conn := harness.HelloFrom(t, "127.0.0.7", front)
		conn.Send(harness.Sender, []string{"to@contoso.com"}, fmt.Sprintf("From: %s\r\nTo: to@contoso.com\r\n"+
			"Message-ID: <%d@front.example>\r\n\r\nbody of <%d@front.example>\r\n", harness.Sender, sent, sent))
		conn.Close()
		sent++
	}
	accepted := func(n *node) bool { return strings.Contains(n.Output(), "127.0.0.7") }
	for range 10 {
		send()
	}
	if !accepted(one) || !accepted(other) {
		t.Errorf("of 10 connections one node got none\n%s\n%s", one.Tail(), other.Tail())
	}
	c.double.WaitFor(t, sent, patience) // so that no attempt is interrupted
	one.Kill()
	for range 10 { // from this moment, whether HAProxy has noticed or not
		send()
	}
	c.double.WaitFor(t, sent, patience)
}

// keepalived reads what the page shows without a word, which it does not do with a mistake in it.
func TestKeepalivedReadsTheExample(t *testing.T) {
	keepalived, err := exec.LookPath("keepalived")
	if err != nil {
		t.Fatal("keepalived is not installed: apt-get install keepalived")
	}
	all, err := net.Interfaces()
	card := slices.IndexFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback == 0 })
	if err != nil || card < 0 {
		t.Fatalf("no interface but that of loopback: %v", err)
	}
	example := replaced(t, block(t, "vrrp_script relay {"), "interface eth0", "interface "+all[card].Name,
		"/usr/bin/curl", "/bin/true")
	says := func(text string) string {
		config := filepath.Join(t.TempDir(), "keepalived.conf")
		harness.WriteFile(t, config, text)
		out, _ := exec.Command(keepalived, "--config-test", "--use-file", config).CombinedOutput()
		return string(out) // Debian's 2.2.7 ends by a signal in any case
	}
	if got := says(example); got != "" {
		t.Errorf("keepalived says %s", got)
	}
	if got := says(replaced(t, example, "priority", "prioritee")); !strings.Contains(got, "prioritee") {
		t.Errorf("keepalived says %q of a word that it does not know", got)
	}
}
