//go:build torture

package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// disk is a file system of its own in an image file.
type disk struct {
	t     *testing.T
	image string
	point string
}

// newDisk makes an ext4 file system and mounts it.
func newDisk(t *testing.T, size string) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "live.img")}
	must(t, "truncate", "-s", size, d.image)
	must(t, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image)
	d.mount()
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	d.point = filepath.Join(filepath.Dir(d.image), "mnt-"+filepath.Base(d.image))
	if err := os.MkdirAll(d.point, 0o755); err != nil {
		d.t.Fatal(err)
	}
	must(d.t, "mount", "-o", "loop", d.image, d.point)
	d.t.Cleanup(d.unmount)
}

// unmount is harmless where nothing is mounted (any more).
func (d *disk) unmount() {
	if mounted(d.point) {
		_ = exec.Command("umount", "-l", d.point).Run()
	}
}

// afterPowerCut copies the image as it is now, while it is mounted and in use,
// and mounts the copy: what a machine would find after losing power.
func (d *disk) afterPowerCut() *disk {
	d.t.Helper()
	c := &disk{t: d.t, image: filepath.Join(filepath.Dir(d.image), "copy.img")}
	must(d.t, "cp", "--sparse=always", d.image, c.image)
	c.mount()
	return c
}

// store makes the folder of a store on the disk and returns the store's path.
func (d *disk) store() string {
	d.t.Helper()
	dir := filepath.Join(d.point, "spool")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	return filepath.Join(dir, "queue.db")
}

func mounted(point string) bool {
	return exec.Command("mountpoint", "-q", point).Run() == nil
}

func must(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
}

func needDisks(t *testing.T) {
	t.Helper()
	foreign.NeedRoot(t, "it mounts file systems")
	foreign.Need(t, "mkfs.ext4", "mount", "umount", "mountpoint", "cp", "truncate")
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		foreign.LeaveOut(t, "needs loop devices: %v", err)
	}
}

// A power cut at a random moment under load: what was answered 250 is there
// when power comes back.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	needDisks(t)
	var sum verdict
	var mu sync.Mutex
	n := rounds(t, "POWER_ROUNDS", 50, 5)
	t.Run("rounds", func(t *testing.T) {
		for round := range n {
			t.Run(fmt.Sprint(round+1), func(t *testing.T) {
				t.Parallel()
				v := powerCut(t)
				t.Log(v)
				if f := v.faults(); f != "" {
					t.Errorf("%s", f)
				}
				mu.Lock()
				defer mu.Unlock()
				sum.add(v)
			})
		}
	})
	t.Logf("%d rounds: %s", n, sum)
	if sum.MostCut > len(mailboxes)*inFlight {
		t.Errorf("one cut left %d attempts without an outcome; only %d can be in flight", sum.MostCut,
			len(mailboxes)*inFlight)
	}
	if sum.Acked < 20*n {
		t.Errorf("only %d messages were acked in %d rounds: this proves nothing", sum.Acked, n)
	}
}

// The same test must see what happens without a flush; else it sees nothing.
func TestPowerCutSeesAMissingFlush(t *testing.T) {
	t.Parallel()
	needDisks(t)
	for round := range 10 {
		v := powerCut(t, harness.Tags("unsafe_sync"), harness.Env("GRAPHRELAY_UNSAFE_SYNCHRONOUS=off"))
		if len(v.Lost) > 0 {
			t.Logf("round %d lost %d of %d acked messages with synchronous=OFF, as it must", round+1,
				len(v.Lost), v.Acked)
			return
		}
	}
	t.Error("10 power cuts with synchronous=OFF lost nothing: this test cannot see a missing flush")
}

// powerCut is one round: load, freeze, copy, restart on the copy, judge.
func powerCut(t *testing.T, settings ...harness.Setting) verdict {
	live := newDisk(t, "192M")
	// A slow Graph leaves most of the mail in the queue when the power goes.
	d := harness.StartDouble(t, harness.Latency(150*time.Millisecond), harness.NoThrottling())
	defer d.Close()
	l := newLedger()
	d.Watch(l.arrived)
	settings = append(settings, harness.Senders(mailboxes...), harness.With("queue", "min_free_space: 16MiB"))
	r := harness.StartRelay(t, d, append(settings, harness.StoreAt(live.store()))...)
	load := startLoad(r.Addr, l, 8, 600, nil, mailboxes...)
	time.Sleep(time.Duration(50+rand.IntN(1200)) * time.Millisecond) // the random moment
	r.Freeze()
	after := live.afterPowerCut()
	load.cut()
	r.Kill()
	live.unmount()
	harness.Until(t, time.Minute, "the double to finish what it had read", func() bool { return idle(d) })
	l.next()

	d.SetLatency(2 * time.Millisecond)
	again := harness.NewRelay(t, d,
		append(settings, harness.StoreAt(filepath.Join(after.point, "spool", "queue.db")))...)
	again.Launch()
	if !harness.Holds(2*time.Minute, func() bool { return again.Ended() || again.Ready() }) || again.Ended() {
		t.Logf("the relay does not start on what the power cut left:\n%s", again.Tail())
		return l.judge()
	}
	harness.Holds(drainLimit, func() bool {
		backlog, held := again.Backlog() // with nothing left to send, what has not arrived never will
		return again.Ended() || l.pending() == 0 || backlog == held
	})
	v := l.judge()
	v.MostCut = max(v.MostCut, leftUnknown(t, again, l))
	again.Kill()
	after.unmount()
	must(t, "rm", "-f", live.image, after.image)
	return v
}

// leftUnknown counts the messages that wait because the power cut took the
// outcome of their attempt; nothing else may be left once all have arrived.
func leftUnknown(t *testing.T, r *harness.Relay, l *ledger) int {
	t.Helper()
	var list []harness.Entry
	if !harness.Holds(10*time.Second, func() bool {
		list = r.Queue()
		return !slices.ContainsFunc(list, func(e harness.Entry) bool { return !e.Unknown })
	}) {
		t.Errorf("left in the queue though all has arrived: %+v", list)
	}
	for _, e := range list {
		if l.arrivalsOf(e.MessageID) == 0 {
			t.Errorf("%s is in the queue and no ledger knows it as arrived", e.MessageID)
		}
	}
	return len(list)
}
