//go:build torture

package torture

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
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

// quiet is a relay that Graph has told to send nothing for half an hour, so
// that nothing but the message under test writes to the store.
func quiet(t *testing.T, settings ...harness.Setting) *harness.Relay {
	t.Helper()
	d := harness.StartDouble(t)
	if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Status: http.StatusTooManyRequests,
		RetryAfter: delivery.MaxDelay}); err != nil {
		t.Fatal(err)
	}
	r := harness.StartRelay(t, d, settings...)
	submit(t, r, newLedger(), 0, 1000)
	harness.Until(t, time.Minute, "the mailbox to be paused", func() bool {
		list := r.Queue()
		return len(list) == 1 && list[0].State == "deferred" && list[0].Attempts == 1
	})
	return r
}

// settled is a relay that has sent one message and has nothing left to do: its
// store is idle until the next message comes.
func settled(t *testing.T, d *harness.Double, l *ledger) *harness.Relay {
	t.Helper()
	d.Watch(l.arrived)
	r := harness.StartRelay(t, d)
	if at, reply := submit(t, r, l, 1, 2000); reply.Code != 250 {
		t.Fatalf("%s gets %q", at, reply)
	}
	r.WaitEmpty(time.Minute)
	return r
}

// An fsync stands between the last write of a message and its 250.
func TestFlushBefore250(t *testing.T) {
	r := quiet(t)
	for n, size := range []int{500, 10_000, 900_000} {
		if err := flushOf(t, r, 10+n, size); err != nil {
			t.Errorf("%d octets: %v", size, err)
		}
	}
}

// The same look must see a store that does not flush.
func TestFlushBefore250SeesAMissingFlush(t *testing.T) {
	r := quiet(t, harness.Tags("unsafe_sync"), harness.Env("GRAPHRELAY_UNSAFE_SYNCHRONOUS=off"))
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

// failing makes flushes fail: the first of each thread, or all.
func failing(t *testing.T, r *harness.Relay, when string) *tracer {
	t.Helper()
	return attach(t, r, "-e", "trace=pwrite64,fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when="+when)
}

// failedAt ends a tracer of failing and fails the test unless the first flush
// that failed was that of the message whose number is given.
func (tr *tracer) failedAt(t *testing.T, store string, number int) {
	t.Helper()
	tr.detach(t)
	log, err := os.ReadFile(tr.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := failedFlushOf(readTrace(string(log)), store, fmt.Sprintf("message %d 0123456789", number)); err != nil {
		t.Fatalf("nothing is proven: %v\n%.4000s", err, log)
	}
}

// notStored is what the client reads when the store cannot keep its message.
const notStored = "451 4.3.0 Mail system not able to store mail, try again later"

// The flush of a commit fails with EIO: the client sees 451, and the message is
// neither sent nor back after a restart, though its bytes were written. once
// lets the recovery succeed; for ever leaves the store unhealthy until the
// restart.
func TestFailedFlush(t *testing.T) {
	for _, c := range []struct{ name, when string }{{"once", "1"}, {"for ever", "1+"}} {
		t.Run(c.name, func(t *testing.T) {
			d, l := harness.StartDouble(t), newLedger()
			r := settled(t, d, l)

			tr := failing(t, r, c.when)
			at, reply := submit(t, r, l, 2, 2000)
			if got := reply.String(); got != notStored {
				t.Errorf("%s gets %q, want %q", at, got, notStored)
			}
			if c.when == "1+" {
				if at, reply := submit(t, r, l, 3, 2000); reply.String() != notStored {
					t.Errorf("an unhealthy store: %s gets %q, want %q", at, reply, notStored)
				}
			}
			if r.Ended() {
				t.Fatalf("the relay died\n%s", r.Tail())
			}
			tr.failedAt(t, r.Store, 2)
			r.Kill()
			l.next()
			r.Start()
			if _, reply := submit(t, r, l, 4, 2000); reply.Code != 250 {
				t.Errorf("after the restart: %q\n%s", reply, r.Tail())
			}
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
	d, l := harness.StartDouble(t), newLedger()
	r := settled(t, d, l)
	tr := failing(t, r, "1")
	if at, reply := submit(t, r, l, 2, 2000); reply.Code != 451 {
		t.Errorf("%s gets %q, want 451", at, reply)
	}
	tr.failedAt(t, r.Store, 2)
	n := 2
	if !harness.Holds(90*time.Second, func() bool {
		n++
		_, reply := submit(t, r, l, n, 2000)
		return reply.Code == 250
	}) {
		t.Errorf("mail is not taken again\n%s", r.Tail())
	}
	finish(t, r, l)
	if v := l.judge(); v.faults() != "" || v.Acked != 2 {
		t.Errorf("%s%s", v, v.faults())
	}
}

// Reading fails with EIO for a while: the message is tried again, sent whole, and never
// called damaged.
func TestFailedRead(t *testing.T) {
	l := newLedger()
	d := harness.NewDouble(t, harness.NoThrottling()) // not listening: the mail stays
	d.Watch(l.arrived)
	r := harness.StartRelay(t, d)
	if at, reply := submit(t, r, l, 1, 900_000); reply.Code != 250 {
		t.Fatalf("%s gets %q", at, reply)
	}
	r.Kill()
	l.next()
	r.Start() // with nothing of the message in its memory
	// Every second read fails: what leads to the message is found after some tries, its body never whole.
	tr := attach(t, r, "-P", r.Store, "-P", r.Store+"-wal", "-e", "trace=pread64",
		"-e", "inject=pread64:error=EIO:when=1+2")
	d.Listen(t)
	asked := time.Time{}
	harness.Until(t, time.Minute, "a read to fail", func() bool {
		log, err := os.ReadFile(tr.log)
		return err == nil && bytes.Contains(log, []byte("INJECTED"))
	})
	harness.Until(t, 5*time.Minute, "a message that cannot be read", func() bool {
		if time.Since(asked) > 15*time.Second { // each change empties what is in memory
			asked = time.Now()
			_, _ = r.Run("queue", "retry", "--all")
		}
		return strings.Contains(r.Output(), "cannot be read")
	})
	tr.detach(t)
	finish(t, r, l)
	if v := l.judge(); v.faults() != "" || v.Acked != 1 {
		t.Errorf("%s%s", v, v.faults())
	}
	if strings.Contains(r.Output(), "a stored message is damaged") {
		t.Errorf("it was called damaged\n%s", r.Tail())
	}
}

// While every read and write fails, status and the probes answer with what was known
// last, the cause and what to do.
func TestStatusWhileReadingFails(t *testing.T) {
	r := quiet(t, harness.Watched())
	for _, c := range []struct{ calls, headline string }{
		{"pread64", "Queue cannot be read: the disk fails"},
		{"pread64,pwrite64,fsync,fdatasync", "Queue cannot be written: the disk fails"},
	} {
		tr := attach(t, r, "-P", r.Store, "-P", r.Store+"-wal",
			"-e", "trace="+c.calls, "-e", "inject="+c.calls+":error=EIO")
		n, out := 10, ""
		harness.Until(t, time.Minute, c.headline, func() bool {
			n++
			if c.calls != "pread64" {
				submit(t, r, newLedger(), n, 500)
			}
			var err error
			out, err = r.Run("status")
			return err == nil && strings.Contains(out, c.headline)
		})
		if !strings.Contains(out, "repair the disk of queue.store") || !strings.Contains(out, "1 deferred") {
			t.Errorf("%s: status: %s", c.calls, out)
		}
		res, err := http.Get("http://" + r.Watch + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(page), `"key":"store"`) {
			t.Errorf("%s: /readyz: %s %s", c.calls, res.Status, page)
		}
		tr.detach(t)
	}
}

// One client sends messages of 10 KB, one after the other, while they are delivered: what
// is flushed and written for each. At least one flush is on the way to each 250.
func TestWritesPerMessage(t *testing.T) {
	const messages, before = 200, 500 // the store is one that has been used
	d, l := harness.StartDouble(t, harness.NoThrottling()), newLedger()
	r := settled(t, d, l)
	stream := func(first, messages int) {
		for n := range messages {
			if at, reply := submit(t, r, l, first+n, 10_000); reply.Code != 250 {
				t.Fatalf("%s gets %q", at, reply)
			}
		}
	}
	stream(10, before)
	tr := attach(t, r, "-e", "trace=pwrite64,fsync,fdatasync")
	stream(10+before, messages)
	r.WaitEmpty(time.Minute)
	tr.detach(t)
	log, err := os.ReadFile(tr.log)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, c := range readTrace(string(log)) {
		if c.syncs() {
			count["flush"]++
		} else {
			count[c.name]++
		}
	}
	t.Logf("for each message: %.2f flushes, %.1f pwrite64", float64(count["flush"])/messages,
		float64(count["pwrite64"])/messages)
	if count["flush"] < messages {
		t.Errorf("%d flushes for %d messages", count["flush"], messages)
	}
}
