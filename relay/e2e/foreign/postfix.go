package foreign

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// Postfix is a running Postfix out of an unpacked package.
type Postfix struct {
	Addr  string // of its SMTP server, on loopback
	Queue string // its queue directory
	log   string
	cmd   *exec.Cmd
	tree  Tree
	conf  string
}

// StartPostfix runs Postfix with its queue and configuration below dir and
// extra lines of main.cf, and stops it when the test ends. It needs root, for
// Postfix changes users, and leaves no trace outside dir. With logging set it
// logs to dir/maillog; else it logs to the system's log, as a default one does.
func StartPostfix(t testing.TB, dir string, logging bool, extra ...string) *Postfix {
	t.Helper()
	NeedRoot(t, "Postfix runs its parts under other users")
	p := &Postfix{Addr: harness.FreeAddr(t), Queue: filepath.Join(dir, "queue"), conf: filepath.Join(dir, "etc"),
		tree: Debian(t, postfixPackages)}
	if logging {
		p.log = filepath.Join(dir, "maillog")
		extra = append(extra, "maillog_file = "+p.log, "maillog_file_prefixes = "+dir)
	}
	p.layout(t, dir)
	write(t, filepath.Join(p.conf, "main.cf"), p.mainCf(dir)+strings.Join(extra, "\n")+"\n")
	write(t, filepath.Join(p.conf, "master.cf"), p.masterCf())
	p.start(t)
	return p
}

// layout makes the folders of a queue as post-install would.
func (p *Postfix) layout(t testing.TB, dir string) {
	t.Helper()
	uid, gid := owner(t, "mail", "mail")
	_, setgid := owner(t, "mail", "games")
	openUp(t, dir)
	mkdir(t, p.conf, 0o755, 0, 0)
	mkdir(t, p.Queue, 0o755, 0, 0)
	mkdir(t, filepath.Join(dir, "data"), 0o700, uid, gid)
	for _, d := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
		"private", "saved", "trace"} {
		mkdir(t, filepath.Join(p.Queue, d), 0o700, uid, 0)
	}
	mkdir(t, filepath.Join(p.Queue, "pid"), 0o755, 0, 0)
	mkdir(t, filepath.Join(p.Queue, "maildrop"), 0o730, uid, setgid)
	mkdir(t, filepath.Join(p.Queue, "public"), 0o710, uid, setgid)
}

func (p *Postfix) mainCf(dir string) string {
	lib := p.tree.Path("/usr/lib/postfix")
	return strings.Join([]string{
		"compatibility_level = 3.6",
		"queue_directory = " + p.Queue,
		"data_directory = " + filepath.Join(dir, "data"),
		"daemon_directory = " + filepath.Join(lib, "sbin"),
		"shlib_directory = " + lib,
		"command_directory = " + p.tree.Path("/usr/sbin"),
		"meta_directory = " + p.tree.Path("/etc/postfix"),
		"import_environment = LD_LIBRARY_PATH=" + p.tree.Libraries() + " SASL_PATH=" + p.tree.SASL() + " MAIL_CONFIG",
		"mail_owner = mail", "setgid_group = games", "default_privs = nobody",
		"myhostname = satellite.example.org", "mydestination =", "mynetworks = 127.0.0.0/8",
		"inet_interfaces = 127.0.0.1", "inet_protocols = ipv4",
		"alias_maps =", "alias_database =", "local_recipient_maps =", "smtputf8_enable = yes",
		"smtp_tls_security_level = none", "smtpd_tls_security_level = none",
		"smtp_host_lookup = native", "disable_dns_lookups = yes",
		"smtpd_client_connection_count_limit = 0", "smtpd_client_connection_rate_limit = 0",
		"", // the caller's lines follow
	}, "\n")
}

func (p *Postfix) masterCf() string {
	return fmt.Sprintf(`%s inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`, p.Addr)
}

func (p *Postfix) start(t testing.TB) {
	t.Helper()
	p.cmd = p.tree.Command("/usr/lib/postfix/sbin/master", "-c", p.conf, "-d")
	p.cmd.Env = append(p.cmd.Env, "MAIL_CONFIG="+p.conf)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	var out strings.Builder
	p.cmd.Stdout, p.cmd.Stderr = &out, &out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(gone) })
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.DialTimeout("tcp", p.Addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("Postfix ended at once: %v\n%s\n%s", err, out.String(), p.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("Postfix does not listen\n%s\n%s", out.String(), p.Log())
		}
	}
}

// stop ends the master, which ends its children, and then the whole process
// group, should one of them have outlived it.
func (p *Postfix) stop(gone <-chan error) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// Log returns what Postfix has logged, if it logs to a file.
func (p *Postfix) Log() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// Queued counts the messages in its queue.
func (p *Postfix) Queued() int {
	n := 0
	for _, d := range []string{"maildrop", "incoming", "active", "deferred"} {
		_ = filepath.WalkDir(filepath.Join(p.Queue, d), func(_ string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return nil
		})
	}
	return n
}
