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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// bootLimit bounds the boot of a machine.
const bootLimit = 90 * time.Second

// machine is a booted Debian.
type machine struct {
	t      *testing.T
	root   string // its file system
	leader int    // its PID 1, as the host counts
}

// debian returns an archive of a small Debian, made once and kept in the cache.
func debian(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GRAPHRELAY_CACHE")
	if dir == "" {
		dir = filepath.Join(moduleDir(t), ".cache")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer harness.LockFile(t, filepath.Join(dir, "debian-root.lock"))()
	archive := filepath.Join(dir, "debian-root-bookworm.tar")
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	root := t.TempDir()
	host(t, "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,ca-certificates", "bookworm", root)
	host(t, "tar", "-C", root, "-cf", archive+".part", ".")
	if err := os.Rename(archive+".part", archive); err != nil {
		t.Fatal(err)
	}
	return archive
}

func moduleDir(t *testing.T) string {
	t.Helper()
	return filepath.Dir(strings.TrimSpace(host(t, "go", "env", "GOMOD")))
}

// host runs a program on this host.
func host(t *testing.T, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "../../.."
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
	for _, program := range []string{"debootstrap", "systemd-nspawn", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			foreign.LeaveOut(t, "%s is not installed", program)
		}
	}
	if os.Geteuid() != 0 {
		foreign.LeaveOut(t, "a machine is booted as root")
	}
	m := &machine{t: t, root: filepath.Join(t.TempDir(), "root")}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	host(t, "tar", "-C", m.root, "-xf", debian(t))
	cmd := exec.Command("systemd-nspawn", "--quiet", "--boot", "--directory="+m.root, "--register=no", "--keep-unit",
		"--private-network", "--console=pipe", "--machine=graphrelay-test")
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
	return m
}

// childOf is the only child of a process; 0 before it has one.
func childOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	child, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return child
}

// try runs a program in the machine.
func (m *machine) try(command ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "--"}, command...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER="}
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

// dial connects within the machine's own network: the thread of this goroutine
// enters it, and is given up afterwards.
func (m *machine) dial(addr string) (net.Conn, error) {
	type result struct {
		nc  net.Conn
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.leader))
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- result{nil, err}
			return
		}
		nc, err := net.DialTimeout("tcp", addr, 60*time.Second)
		done <- result{nc, err}
	}()
	r := <-done
	return r.nc, r.err
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
