package refusals_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/refusals"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

// bench is a Record on a store in memory, and its clock.
type bench struct {
	*refusals.Record
	t   *testing.T
	mem *spooltest.Mem
	now time.Time
	log bytes.Buffer
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, mem: spooltest.NewMem(nil), now: time.Date(2026, 11, 25, 16, 40, 0, 0, time.UTC)}
	b.Record = refusals.New(b.mem, func() time.Time { return b.now }, slog.New(slog.NewTextHandler(&b.log, nil)))
	return b
}

func (b *bench) list(f spool.RefusalFilter) []spool.Refusal {
	b.t.Helper()
	list, err := b.List(b.t.Context(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// total is the number of rows, and of the refusals that they count.
func (b *bench) total() (rows, count int) {
	b.t.Helper()
	f := spool.RefusalFilter{Limit: spool.MaxPage}
	for {
		page := b.list(f)
		for _, r := range page {
			count += r.Count
		}
		if f.Skip += len(page); len(page) < f.Limit {
			return f.Skip, count
		}
	}
}

func key(addr string) spool.RefusalKey {
	return spool.RefusalKey{Addr: netip.MustParseAddr(addr), Client: "printers", Reason: "recipient not allowed"}
}

// What was refused just now is listed, with the times of the first and the last.
func TestRefusalsAreListedAtOnce(t *testing.T) {
	b := newBench(t)
	b.Add(key("10.1.2.3"))
	b.now = b.now.Add(time.Minute)
	b.Add(key("10.1.2.3"))
	list := b.list(spool.RefusalFilter{Client: "printers"})
	if len(list) != 1 || list[0].Count != 2 || list[0].Last.Sub(list[0].First) != time.Minute {
		t.Fatalf("%+v", list)
	}
	b.now = b.now.Add(time.Hour)
	b.Add(key("10.1.2.3"))
	if rows, count := b.total(); rows != 2 || count != 3 {
		t.Errorf("%d rows count %d: another hour is another row", rows, count)
	}
}

// One client with a thousand senders fills no table: beyond fifty they are counted
// together, and no refusal is lost.
func TestOneClientCannotFillTheRecord(t *testing.T) {
	b := newBench(t)
	for n := range 1000 {
		k := key("10.1.2.3")
		k.Domain = fmt.Sprintf("d%d.example", n)
		b.Add(k)
	}
	other := key("10.1.2.4")
	other.Domain = "other.example"
	b.Add(other)
	if rows, count := b.total(); rows != 52 || count != 1001 {
		t.Errorf("%d rows count %d", rows, count)
	}
	found := b.list(spool.RefusalFilter{Addr: netip.MustParseAddr("10.1.2.3"), Domain: "d999.example"})
	if len(found) != 1 || found[0].Domain != spool.Various || found[0].Count != 950 {
		t.Errorf("%+v", found)
	}
	if found = b.list(spool.RefusalFilter{Domain: "other.example", Addr: other.Addr}); len(found) != 1 {
		t.Errorf("another client: %+v", found)
	}
	b.now = b.now.Add(time.Hour)
	b.Add(other)
	if rows, _ := b.total(); rows != 53 {
		t.Errorf("%d rows in the next hour", rows)
	}
}

// However many addresses there are, an hour has some thousand rows; an IPv6 network
// of one peer counts as one address.
func TestManyAddressesCannotFillTheRecord(t *testing.T) {
	b := newBench(t)
	for n := range 20_000 {
		b.Add(spool.RefusalKey{Addr: netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)}), Reason: "x"})
	}
	if rows, count := b.total(); rows != 1001 || count != 20_000 || b.Dropped() != 0 {
		t.Errorf("%d rows count %d, dropped %d", rows, count, b.Dropped())
	}
	for n := range 20_000 { // strangers have not taken the place of clients
		k := key("10.0.0.1")
		k.Addr = netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		b.Add(k)
	}
	if rows, count := b.total(); rows != 6002 || count != 40_000 {
		t.Errorf("with clients: %d rows count %d", rows, count)
	}
	b = newBench(t)
	for n := range 1000 {
		b.Add(spool.RefusalKey{Addr: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n)), Reason: "x"})
	}
	if rows, count := b.total(); rows != 51 || count != 1000 {
		t.Errorf("one IPv6 network: %d rows count %d", rows, count)
	}
}

// While the store takes nothing, refusals stay in memory, bounded, and are listed
// from there; the log says so once.
func TestRefusalsWaitForTheStore(t *testing.T) {
	b := newBench(t)
	b.Add(key("10.1.2.3"))
	b.list(spool.RefusalFilter{})
	full := func(string, envelope.QueueID) error { return spool.ErrFull }
	b.mem.Inject(func(f *spooltest.Faults) { f.FailIf = full })
	b.Add(key("10.1.2.3"))
	b.Add(key("10.1.2.4"))
	if list := b.list(spool.RefusalFilter{}); len(list) != 2 || list[0].Count+list[1].Count != 3 {
		t.Errorf("with a full disk: %+v", list)
	}
	one := spool.RefusalFilter{Addr: netip.MustParseAddr("10.1.2.3")}
	if list := b.list(one); len(list) != 1 || list[0].Count != 2 {
		t.Errorf("of one address: %+v", list)
	}
	for range 5 {
		for n := range 5000 {
			k := key("10.0.0.1")
			k.Addr = netip.AddrFrom4([4]byte{127, 0, byte(n >> 8), byte(n)})
			b.Add(k)
		}
		b.now = b.now.Add(time.Hour)
	}
	if _, count := b.total(); count+int(b.Dropped()) != 25_003 || b.Dropped() == 0 {
		t.Errorf("%d counted, %d dropped", count, b.Dropped())
	}
	if n := strings.Count(b.log.String(), "cannot record refusals"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &b.log)
	}
	dropped := b.Dropped()
	b.mem.Inject(func(f *spooltest.Faults) { *f = spooltest.Faults{} })
	if _, count := b.total(); count+int(dropped) != 25_003 || b.Dropped() != dropped {
		t.Errorf("with space again: %d counted", count)
	}
}

// tight is a store that drops seven old refusals at each write.
type tight struct{ *spooltest.Mem }

func (tight) AddRefusals(context.Context, []spool.Refusal) (int, error) { return 7, nil }

func TestWhatTheStoreDropsIsCounted(t *testing.T) {
	r := refusals.New(tight{spooltest.NewMem(nil)}, time.Now, slog.New(slog.DiscardHandler))
	for range 3 {
		r.Add(key("10.1.2.3"))
		if err := r.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r.Dropped() != 21 {
		t.Errorf("dropped %d", r.Dropped())
	}
}

// slow is a store that hangs.
type slow struct {
	*spooltest.Mem
	hang chan struct{}
}

func (s slow) AddRefusals(context.Context, []spool.Refusal) (int, error) {
	<-s.hang
	return 0, errors.New("gave up")
}

// Whoever is refused waits for no disk: refusals are counted while a write hangs.
func TestAddWaitsForNoDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{spooltest.NewMem(nil), make(chan struct{})}
		r := refusals.New(s, time.Now, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { r.Run(ctx) })
		r.Add(key("10.1.2.3"))
		time.Sleep(time.Minute) // the write has begun
		synctest.Wait()
		for range 100 {
			all.Go(func() { r.Add(key("10.1.2.4")) })
		}
		synctest.Wait()
		close(s.hang)
		stop()
		all.Wait()
		if list, err := r.List(t.Context(), spool.RefusalFilter{}); err != nil || len(list) != 2 ||
			list[0].Count+list[1].Count != 101 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
