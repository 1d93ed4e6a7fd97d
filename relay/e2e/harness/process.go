package harness

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program under test and what it has said on stderr and stdout.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *lockedBuffer
	gone chan struct{} // closed when it has ended
	err  error         // valid once gone is closed
}

// Start runs cmd; it is killed at the latest when the test ends.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, out: new(lockedBuffer), gone: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(p.Kill)
	return p
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended tells whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// Stop asks the process to end by SIGTERM and returns what it ended with. One
// that has not ended after limit is killed and fails the test.
func (p *Process) Stop(limit time.Duration) error {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.Wait(limit)
}

// Wait waits for the end of the process; one that lives longer than limit is
// killed and fails the test.
func (p *Process) Wait(limit time.Duration) error {
	p.t.Helper()
	select {
	case <-p.gone:
		return p.err
	case <-time.After(limit):
		p.Kill()
		p.t.Fatalf("process %d did not end within %v\n%s", p.PID(), limit, p.Tail())
		return nil
	}
}

// Freeze stops the process where it stands and waits until all its threads are
// stopped.
func (p *Process) Freeze() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	Until(p.t, 10*time.Second, "the process to be frozen", func() bool { return p.stopped() })
}

// stopped reads the state of every thread: one may still be in a system call
// when the first already stands. A thread in uninterruptible sleep ("D") ends
// its call first.
func (p *Process) stopped() bool {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(p.PID()) + "/task/*/stat")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return false
		}
		rest := string(b[bytes.LastIndexByte(b, ')')+1:])
		if !strings.HasPrefix(rest, " T") {
			return false
		}
	}
	return len(files) > 0
}

// Output is everything the process has said.
func (p *Process) Output() string { return p.out.String() }

// Tail is the end of what the process has said, for messages of failed tests.
func (p *Process) Tail() string {
	s := p.Output()
	return s[max(0, len(s)-4000):]
}

// Memory returns a field of /proc/PID/status in KiB: VmRSS now, VmHWM at most.
func (p *Process) Memory(field string) int {
	p.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/status")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(v, "kB")))
			if err != nil {
				p.t.Fatal(err)
			}
			return n
		}
	}
	p.t.Fatalf("no %s in /proc/PID/status", field)
	return 0
}

// CPU returns the processor time that the process has used.
func (p *Process) CPU() time.Duration {
	p.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/stat")
	if err != nil {
		p.t.Fatal(err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// Until waits until fact holds and fails the test when it does not within limit.
func Until(t testing.TB, limit time.Duration, what string, fact func() bool) {
	t.Helper()
	if !Holds(limit, fact) {
		t.Fatalf("waited %v in vain for %s", limit, what)
	}
}

// Holds waits until fact holds and tells whether it did within limit.
func Holds(limit time.Duration, fact func() bool) bool {
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		if fact() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// lockedBuffer keeps the last few megabytes written to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  []byte
}

const maxOutput = 8 << 20

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if len(l.b) > maxOutput {
		l.b = append(l.b[:0], l.b[len(l.b)-maxOutput/2:]...)
	}
	return len(p), nil
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
