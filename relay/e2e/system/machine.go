//go:build system

package system

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// bootLimit bounds the boot of a machine.
const bootLimit = 5 * time.Minute

// patience bounds each wait for what comes soon where the machine is not busy.
const patience = 3 * time.Minute

// booted counts the machines, so that each has a name of its own.
var booted atomic.Int32

// machine is a booted Debian.
type machine struct {
	mail
	t      *testing.T
	root   string // its file system
	leader int    // its PID 1, as the host counts
	dials  chan call
}

// debian returns an archive of a small Debian, made once and kept in the cache.
func debian(t *testing.T) string {
	t.Helper()
	dir := foreign.CacheDir(t)
	defer harness.LockFile(t, filepath.Join(dir, "debian-root.lock"))()
	archive := filepath.Join(dir, "debian-root-bookworm-local-dbus.tar")
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	root := t.TempDir()
	host(t, "debootstrap", "--variant=minbase",
		"--include=systemd,systemd-sysv,dbus,ca-certificates,cron,at,mdadm,php-cli", "bookworm", root)
	host(t, "tar", "-C", root, "-cf", archive+".part", ".")
	if err := os.Rename(archive+".part", archive); err != nil {
		t.Fatal(err)
	}
	return archive
}

// host runs a program on this host.
func host(t *testing.T, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// boot boots a new machine, which ends with the test.
func boot(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: filepath.Join(t.TempDir(), "root")}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	host(t, "tar", "-C", m.root, "-xf", debian(t))
	cmd := exec.Command("systemd-nspawn", "--quiet", "--boot", "--directory="+m.root, "--register=no", "--keep-unit",
		"--private-network", "--console=pipe", fmt.Sprintf("--machine=graphrelay-%d-%d", os.Getpid(), booted.Add(1)))
	p := harness.Start(t, cmd)
	t.Cleanup(func() { // before the process is killed: PID 1 takes its machine with it
		if m.leader != 0 {
			_ = unix.Kill(m.leader, unix.SIGKILL)
		}
	})
	harness.Until(t, bootLimit, "the machine to boot", func() bool {
		if p.Ended() {
			t.Fatalf("systemd-nspawn ended: %s", p.Tail())
		}
		m.leader = childOf(p.PID())
		if m.leader == 0 {
			return false
		}
		state, _ := m.try("systemctl", "is-system-running")
		return strings.TrimSpace(state) == "running" || strings.TrimSpace(state) == "degraded"
	})
	m.enterNetwork()
	return m
}

// childOf is the child of systemd-nspawn that is PID 1 of the machine; 0 before
// there is one. A child before that is still on this host.
func childOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	its, errIts := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", child))
	ours, errOurs := os.Readlink("/proc/self/ns/pid")
	if errIts != nil || errOurs != nil || its == ours {
		return 0
	}
	return child
}

// try runs a program in the machine.
func (m *machine) try(command ...string) (string, error) {
	cmd := exec.Command("nsenter",
		append([]string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "--"}, command...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"SYSTEMD_PAGER="}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run is try for what must succeed.
func (m *machine) run(command ...string) string {
	m.t.Helper()
	out, err := m.try(command...)
	if err != nil {
		journal, _ := m.try("journalctl", "-q", "-n", "40", "--no-pager", "-u", "graphrelay.service")
		m.t.Fatalf("in the machine: %s: %v\n%s\n%s", strings.Join(command, " "), err, out, journal)
	}
	return out
}

// write writes a file of the machine.
func (m *machine) write(path, text string, mode os.FileMode) {
	m.t.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

// read reads a file of the machine.
func (m *machine) read(path string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.root, path))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// call asks for a connection within the machine's network.
type call struct {
	address string
	answer  chan dialed
}

// dialed is what came of a call.
type dialed struct {
	nc  net.Conn
	err error
}

// enterNetwork starts the one goroutine that connects within the machine's own
// network. Its thread enters that network and is kept until the process ends: a
// thread that ended would take with it the programs that it has started.
func (m *machine) enterNetwork() {
	m.t.Helper()
	m.dials = make(chan call)
	m.load.dial, m.limit = m.dial, patience
	entered := make(chan error)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.leader))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		entered <- err
		for c := range m.dials {
			nc, err := net.DialTimeout("tcp", c.address, patience)
			if err == nil {
				err = nc.SetDeadline(time.Now().Add(patience))
			}
			c.answer <- dialed{nc, err}
		}
	}()
	if err := <-entered; err != nil {
		m.t.Fatal(err)
	}
}

// dial connects to port 25 of the machine.
func (m *machine) dial() (net.Conn, error) { return m.dialTo("127.0.0.1:25") }

func (m *machine) dialTo(address string) (net.Conn, error) {
	c := call{address, make(chan dialed)}
	m.dials <- c
	d := <-c.answer
	return d.nc, d.err
}

// property is a property of a unit.
func (m *machine) property(unit, name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("systemctl", "show", "--value", "-p", name, unit))
}

// install installs a package of the host's.
func (m *machine) install(deb string) (string, error) {
	m.t.Helper()
	b, err := os.ReadFile(deb)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("/root/"+filepath.Base(deb), string(b), 0o644)
	return m.try("dpkg", "--install", "/root/"+filepath.Base(deb))
}
