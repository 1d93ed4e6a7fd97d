//go:build torture

package torture

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// tracer is an strace attached to a running relay.
type tracer struct {
	*harness.Process
	log string
}

// attach traces the relay with options until detach.
func attach(t *testing.T, r *harness.Relay, options ...string) *tracer {
	t.Helper()
	tr := &tracer{log: filepath.Join(t.TempDir(), "trace")}
	args := append([]string{"-f", "-y", "-s", "70000", "-o", tr.log}, options...)
	tr.Process = harness.Start(t, foreign.Strace(t)(append(args, "-p", fmt.Sprint(r.PID()))...))
	harness.Until(t, 20*time.Second, "strace to be attached to every thread", func() bool {
		if tr.Ended() {
			foreign.LeaveOut(t, "strace cannot attach: %s", tr.Tail())
		}
		return traced(r.PID())
	})
	return tr
}

// traced tells whether every thread of a process has a tracer.
func traced(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || bytes.Contains(b, []byte("TracerPid:\t0\n")) {
			return false
		}
	}
	return len(files) > 0
}

// detach ends strace, which lets the relay go on untraced.
func (tr *tracer) detach(t *testing.T) {
	t.Helper()
	if tr.Ended() {
		return
	}
	_ = syscall.Kill(tr.PID(), syscall.SIGTERM)
	_ = tr.Wait(20 * time.Second)
}

// quiet is a relay whose only mailbox is on hold, so that nothing but the
// message under test writes to the store.
func quiet(t *testing.T, d *harness.Double, settings ...harness.Setting) *harness.Relay {
	t.Helper()
	r := harness.StartRelay(t, d, settings...)
	submit(t, r, newLedger(), 0, 1000)
	harness.Until(t, time.Minute, "the mailbox to be on hold", func() bool {
		list := r.Queue()
		return len(list) == 1 && list[0].State == "held" || strings.Contains(r.Output(), "held")
	})
	return r
}

func refusing(t *testing.T) *harness.Double {
	t.Helper()
	d := harness.StartDouble(t)
	d.SetAllowed([]string{}) // 403 for every mailbox: hold
	return d
}

// An fsync stands between the last write of a message and its 250.
func TestFlushBefore250(t *testing.T) {
	r := quiet(t, refusing(t))
	for n, size := range []int{500, 10_000, 900_000} {
		if err := flushOf(t, r, 10+n, size); err != nil {
			t.Errorf("%d octets: %v", size, err)
		}
	}
}

// The same look must see a store that does not flush.
func TestFlushBefore250SeesAMissingFlush(t *testing.T) {
	r := quiet(t, refusing(t), harness.Tags("unsafe_sync"), harness.Env("GRAPHRELAY_UNSAFE_SYNCHRONOUS=off"))
	if flushOf(t, r, 10, 10_000) == nil {
		t.Error("a flush was seen with synchronous=OFF")
	}
}

// flushOf traces the relay while it accepts one message.
func flushOf(t *testing.T, r *harness.Relay, number, size int) error {
	t.Helper()
	tr := attach(t, r, "-e", "trace=write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync")
	at, reply := submit(t, r, newLedger(), number, size)
	tr.detach(t)
	if reply.Code != 250 {
		t.Fatalf("%s gets %q", at, reply)
	}
	log, err := os.ReadFile(tr.log)
	if err != nil {
		t.Fatal(err)
	}
	return flushedBefore(readTrace(string(log)), r.Store, fmt.Sprintf("message %d 0123456789", number))
}

// The flush of a commit fails with EIO: the client sees 451, and the message is
// neither sent nor back after a restart, though its bytes were written. once
// lets the recovery succeed; for ever leaves the store unhealthy until the
// restart.
func TestFailedFlush(t *testing.T) {
	for _, c := range []struct{ name, when string }{{"once", "when=1"}, {"for ever", "when=1+"}} {
		t.Run(c.name, func(t *testing.T) {
			d := harness.NewDouble(t) // not listening: nothing leaves
			r := harness.StartRelay(t, d)
			l := newLedger()
			d.Watch(l.arrived)
			submit(t, r, l, 1, 2000)

			tr := attach(t, r, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:"+c.when)
			at, reply := submit(t, r, l, 2, 2000)
			if reply.Code != 451 {
				t.Errorf("%s gets %q, want 451", at, reply)
			}
			log, _ := os.ReadFile(tr.log)
			if !bytes.Contains(log, []byte("INJECTED")) {
				t.Errorf("no flush failed; nothing is proven:\n%s", log)
			}
			if c.when == "when=1+" {
				if at, reply := submit(t, r, l, 3, 2000); reply.Code != 451 {
					t.Errorf("an unhealthy store: %s gets %q, want 451", at, reply)
				}
			}
			if r.Ended() {
				t.Fatalf("the relay died\n%s", r.Tail())
			}
			tr.detach(t)
			r.Kill()
			l.next()
			r.Start()
			if _, reply := submit(t, r, l, 4, 2000); reply.Code != 250 {
				t.Errorf("after the restart: %q\n%s", reply, r.Tail())
			}
			d.Listen(t)
			finish(t, r, l)
			v := l.judge()
			if v.faults() != "" || v.Acked != 2 {
				t.Errorf("%s%s", v, v.faults())
			}
		})
	}
}

// After a flush that failed once the same process must recover by itself.
func TestRecoversWithoutARestart(t *testing.T) {
	d := harness.NewDouble(t)
	r := harness.StartRelay(t, d)
	l := newLedger()
	d.Watch(l.arrived)
	tr := attach(t, r, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when=1")
	_, reply := submit(t, r, l, 1, 2000)
	tr.detach(t)
	if reply.Code != 451 {
		t.Errorf("%q, want 451", reply)
	}
	n := 1
	if !harness.Holds(90*time.Second, func() bool {
		n++
		_, reply := submit(t, r, l, n, 2000)
		return reply.Code == 250
	}) {
		t.Errorf("mail is not taken again\n%s", r.Tail())
	}
	d.Listen(t)
	finish(t, r, l)
	if v := l.judge(); v.faults() != "" {
		t.Errorf("%s%s", v, v.faults())
	}
}
