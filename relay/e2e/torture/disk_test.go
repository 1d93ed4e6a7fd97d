//go:build torture

package torture

import (
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

// tmpfs mounts a small file system in memory and returns its mount point.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	foreign.NeedRoot(t, "it mounts a file system")
	foreign.Need(t, "mount", "umount", "mountpoint")
	d := &disk{t: t, point: filepath.Join(t.TempDir(), "tmpfs")}
	if err := os.Mkdir(d.point, 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-t", "tmpfs", "-o", options+",mode=0700", "tmpfs", d.point)
	t.Cleanup(d.unmount)
	return d.point
}

// fill writes a file until only leave octets are free, and returns its path.
func fill(t *testing.T, dir string, leave uint64) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for free(t, dir) > leave {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	return path
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Bavail * uint64(st.Bsize)
}

func letterOf(n int, size int) (id, message, body string) {
	id = fmt.Sprintf("<full-%d@torture.example.org>", n)
	body = strings.Repeat(fmt.Sprintf("message %d 0123456789012345678901234567890123456789\r\n", n), size/60+1)
	return id, "From: " + harness.Sender + "\r\nTo: a@example.org\r\nSubject: full\r\nMessage-ID: " + id +
		"\r\n\r\n" + body, body
}

// submit sends a message and notes the answer; it returns the last reply and
// the command that got it.
func submit(t *testing.T, r *harness.Relay, l *ledger, n, size int) (command string, reply harness.Reply) {
	t.Helper()
	id, message, body := letterOf(n, size)
	c := harness.Hello(t, r.Addr)
	defer c.Close()
	for _, command = range []string{"MAIL FROM:<" + harness.Sender + fmt.Sprintf("> SIZE=%d", len(message)),
		"RCPT TO:<a@example.org>", "DATA"} {
		if reply = c.Say(command); reply.Code != 250 && reply.Code != 354 {
			return command[:4], reply
		}
	}
	l.written(id, body)
	_ = c.Raw(harness.DotStuff(message))
	if reply = c.Read(); reply.Code == 250 {
		l.acked(id)
	}
	return "body", reply
}

// Clients that announce much and send little keep no room from others. A message that
// meets the full disk in its middle is read to its end, and its connection goes on.
func TestRoomGoesToWhatArrives(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "size=200m")
	const size = 20 << 20
	d := harness.NewDouble(t, harness.NoThrottling())
	r := harness.StartRelay(t, d, harness.StoreAt(filepath.Join(dir, "queue.db")),
		harness.With("queue", "min_free_space: 100MiB"), harness.With("smtp", "max_message_size: 25MiB"),
		harness.With("delivery", "large_messages: upload"))
	begin := func(declared string) *harness.Conn {
		c := harness.Hello(t, r.Addr)
		c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"+declared), 250)
		c.Want(c.Say("RCPT TO:<a@example.org>"), 250)
		c.Want(c.Say("DATA"), 354)
		_ = c.Raw("From: " + harness.Sender + "\r\nTo: a@example.org\r\n\r\nthe first line\r\n")
		return c
	}
	for range 17 {
		begin(fmt.Sprintf(" SIZE=%d", size))
	}
	other := begin(fmt.Sprintf(" SIZE=%d", size))
	other.Want(other.Say("."), 250)

	for _, declared := range []string{"", fmt.Sprintf(" SIZE=%d", size)} {
		c := begin(declared)
		filler := fill(t, dir, 50<<20)
		time.Sleep(1500 * time.Millisecond) // a measurement of the disk is used for a second
		half := strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/2/72)
		_ = c.Raw(half)
		_ = c.Raw(half)
		c.Want(c.Say("."), 452)
		c.Want(c.Say("NOOP"), 250)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, time.Minute, "the connection to take mail again", func() bool {
			time.Sleep(200 * time.Millisecond) // too many commands without a message end a connection
			return c.Say("MAIL FROM:<"+harness.Sender+">").Code == 250
		})
	}
}

// A disk that fills up: 452 at MAIL, everything accepted before still goes out
// while the disk is full, and mail is taken again once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "size=48m")
	l := newLedger()
	d := harness.NewDouble(t, harness.NoThrottling()) // not listening: the mail stays
	d.Watch(l.arrived)
	r := harness.StartRelay(t, d, harness.StoreAt(filepath.Join(dir, "queue.db")),
		harness.With("queue", "min_free_space: 4MiB"))
	for n := range 20 {
		if at, reply := submit(t, r, l, n, 40_000); reply.Code != 250 {
			t.Fatalf("with room %s gets %q", at, reply)
		}
	}
	filler := fill(t, dir, 0)
	// The relay may look at the disk now and then only, so the first may still
	// get as far as the body; none may get 250 and be lost.
	refusedAtMail := 0
	for n := 100; n < 120; n++ {
		at, reply := submit(t, r, l, n, 400_000)
		switch {
		case reply.Code == 452 && at == "MAIL":
			refusedAtMail++
		case reply.Code != 452 && reply.Code != 250:
			t.Errorf("full disk: %s gets %q, want 452", at, reply)
		}
	}
	if refusedAtMail < 15 {
		t.Errorf("only %d of 20 were refused at MAIL\n%s", refusedAtMail, r.Tail())
	}
	d.Listen(t)
	if !harness.Holds(2*time.Minute, func() bool { return l.pending() == 0 }) {
		t.Errorf("on the full disk %d accepted messages are not sent\n%s", l.pending(), r.Tail())
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	number := 200
	harness.Until(t, time.Minute, "mail to be taken again", func() bool {
		number++
		_, reply := submit(t, r, l, number, 1000)
		return reply.Code == 250
	})
	finish(t, r, l)
	if v := l.judge(); v.faults() != "" {
		t.Errorf("%s%s", v, v.faults())
	}
}

// A queue that has filled its disk and is sent takes mail again at once, not only after the five minutes
// until the next sweep.
func TestDrainedDiskTakesMail(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "size=64m")
	l := newLedger()
	d := harness.NewDouble(t, harness.NoThrottling()) // not listening: the mail stays
	d.Watch(l.arrived)
	r := harness.StartRelay(t, d, harness.StoreAt(filepath.Join(dir, "queue.db")),
		harness.With("queue", "min_free_space: 4MiB"))
	n := 0
	for reply := (harness.Reply{Code: 250}); reply.Code == 250; n++ {
		if _, reply = submit(t, r, l, n, 1_000_000); n > 64 || reply.Code != 250 && reply.Code != 452 {
			t.Fatalf("message %d gets %q", n, reply)
		}
	}
	d.Listen(t)
	finish(t, r, l)
	harness.Until(t, 2*time.Minute, "mail to be taken again", func() bool {
		n++
		_, reply := submit(t, r, l, n, 1_000_000)
		return reply.Code == 250
	})
	finish(t, r, l)
	if v := l.judge(); v.faults() != "" {
		t.Errorf("%s%s", v, v.faults())
	}
}

// The disk fills while bodies come in: 452, never 250 for what is not
// safe, and after kill -9 on the full disk all that was accepted goes out.
func TestDiskFillsInData(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "size=40m")
	l := newLedger()
	d := harness.NewDouble(t, harness.NoThrottling())
	d.Watch(l.arrived)
	r := harness.StartRelay(t, d, harness.StoreAt(filepath.Join(dir, "queue.db")),
		harness.With("queue", "min_free_space: 4MiB"))
	for n := range 5 {
		submit(t, r, l, n, 10_000)
	}
	var open []*harness.Conn
	for n := 10; n < 18; n++ {
		id, message, body := letterOf(n, 1_500_000)
		c := harness.Hello(t, r.Addr)
		c.Envelope(harness.Sender, "a@example.org")
		l.written(id, body)
		_ = c.Raw(message[:300_000])
		open = append(open, c)
	}
	filler := fill(t, dir, 0)
	for i, c := range open {
		id, message, _ := letterOf(10+i, 1_500_000)
		_ = c.Raw(message[300_000:] + ".\r\n")
		switch reply := c.Read(); reply.Code {
		case 250:
			l.acked(id)
		case 452:
		default:
			t.Errorf("full disk in DATA: %q, want 452", reply)
		}
	}
	r.Kill()
	l.next()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.Start()
	d.Listen(t)
	finish(t, r, l)
	v := l.judge()
	t.Log(v)
	if v.faults() != "" {
		t.Errorf("%s", v.faults())
	}
}

// No inodes left: files that the store needs cannot be made; nothing is lost.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "size=64m,nr_inodes=12")
	l := newLedger()
	d := harness.NewDouble(t, harness.NoThrottling())
	d.Watch(l.arrived)
	r := harness.StartRelay(t, d, harness.StoreAt(filepath.Join(dir, "queue.db")),
		harness.With("queue", "min_free_space: 4MiB"))
	submit(t, r, l, 1, 1000)
	var used []string
	for i := range 20 {
		path := filepath.Join(dir, fmt.Sprint("inode", i))
		if os.WriteFile(path, nil, 0o600) != nil {
			break
		}
		used = append(used, path)
	}
	for n := 2; n < 12; n++ {
		if _, reply := submit(t, r, l, n, 50_000); reply.Code != 250 && reply.Code != 451 && reply.Code != 452 {
			t.Errorf("without inodes: %q", reply)
		}
	}
	r.Kill()
	l.next()
	r.Launch() // without inodes it may or may not start; it must lose nothing
	harness.Holds(5*time.Second, func() bool { return r.Ended() || r.Ready() })
	r.Kill()
	for _, path := range used {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	r.Start()
	d.Listen(t)
	finish(t, r, l)
	if v := l.judge(); v.faults() != "" {
		t.Errorf("%s%s", v, v.faults())
	}
}
