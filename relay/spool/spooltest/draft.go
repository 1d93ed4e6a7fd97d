package spooltest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

func commitKeepsEverything(_ *testing.T, f *fixture) {
	plain := f.message("box@example.org")
	odd := f.message("Big.Box@example.org")
	odd.Envelope.ReversePath = envelope.Address{} // the null reverse-path
	odd.Envelope.UTF8 = true
	odd.Envelope.Recipients = []envelope.Address{
		addr(`"a b"@example.net`),
		addr("jürgen@bücher.example"),
		addr("x@[192.0.2.1]"),
	}
	odd.Envelope.Unreported = odd.Envelope.Recipients[1:]
	odd.Client = envelope.Client{Name: "local"}
	odd.From, odd.MessageID, odd.Subject, odd.ConfiguredFrom = addr("Other@example.org"), "", "", true
	for _, m := range []spool.Message{plain, odd} {
		f.put(m)
		r := f.get(m.ID)
		m.Size = int64(len("A: b\r\n\r\nbody\r\n"))
		if !reflect.DeepEqual(r.Message, m) {
			f.Errorf("stored\n%+v, want\n%+v", r.Message, m)
		}
		want := spool.Record{Message: m, State: spool.Queued, NextAttempt: r.NextAttempt}
		if !reflect.DeepEqual(r, want) {
			f.Errorf("record is\n%+v, want\n%+v", r, want)
		}
		if r.NextAttempt.After(f.clock) {
			f.Errorf("due at %v, want at once", r.NextAttempt)
		}
	}
}

// commitOfBodies tries lengths around every power of two and sum that an
// engine may cut a body at, and one of several MiB.
func commitOfBodies(_ *testing.T, f *fixture) {
	sizes := []int{0, 1, 100}
	for _, edge := range []int{4 << 10, 32 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20} {
		sizes = append(sizes, edge-1, edge, edge+1)
	}
	sizes = append(sizes, 5<<20+12345)
	for i, size := range sizes {
		m, body := f.message("box@example.org"), noise(size, uint64(i))
		f.must(store(f.ctx, f.store, m, body))
		if got := f.body(m.ID); !bytes.Equal(got, body) {
			f.Errorf("body of %d bytes came back with %d bytes or changed", size, len(got))
		}
		if r := f.get(m.ID); r.Size != int64(size) {
			f.Errorf("Size is %d, want %d", r.Size, size)
		}
	}
}

func draftEndsOnce(_ *testing.T, f *fixture) {
	for _, size := range []int{10, 1 << 20} {
		d, err := f.store.Begin(f.ctx, "", 0)
		f.must(err)
		_, err = d.Write(noise(size, 1))
		f.must(err)
		m := f.message("box@example.org")
		f.must(d.Commit(f.ctx, m))
		d.Abort()
		f.wantState(m.ID, spool.Queued)
		if len(f.body(m.ID)) != size {
			f.Error("Abort after Commit harmed the message")
		}
		if err := d.Commit(f.ctx, f.message("box@example.org")); err == nil {
			f.Error("a draft could be committed twice")
		}

		d, err = f.store.Begin(f.ctx, "", int64(size))
		f.must(err)
		_, err = d.Write(noise(size, 1))
		f.must(err)
		d.Abort()
		m = f.message("box@example.org")
		if err := d.Commit(f.ctx, m); err == nil {
			f.Error("an aborted draft could be committed")
		}
		_, err = f.store.Get(f.ctx, m.ID)
		f.wants(err, spool.ErrNotFound)
	}
}

func duplicateID(_ *testing.T, f *fixture) {
	m := f.accept("box@example.org")
	if err := store(f.ctx, f.store, m, noise(1<<20, 9)); err == nil {
		f.Fatal("a queue ID was taken twice")
	}
	if got := f.body(m.ID); string(got) != "A: b\r\n\r\nbody\r\n" {
		f.Errorf("the first message was harmed: %d bytes", len(got))
	}
	f.accept("box@example.org")
}

func seekAndRead(_ *testing.T, f *fixture) {
	body, m := noise(1<<20+77, 3), f.message("box@example.org")
	f.must(store(f.ctx, f.store, m, body))
	r, err := f.store.Open(f.ctx, m.ID)
	f.must(err)
	for _, c := range []struct {
		offset int64
		whence int
		want   int64
	}{
		{0, io.SeekStart, 0}, {256<<10 - 3, io.SeekStart, 256<<10 - 3}, {1000, io.SeekCurrent, 256<<10 + 1004},
		{-5, io.SeekEnd, int64(len(body)) - 5}, {0, io.SeekEnd, int64(len(body))}, {10, io.SeekStart, 10},
	} {
		at, err := r.Seek(c.offset, c.whence)
		f.must(err)
		if at != c.want {
			f.Fatalf("Seek(%d, %d) = %d, want %d", c.offset, c.whence, at, c.want)
		}
		piece := make([]byte, 10)
		n, err := io.ReadFull(r, piece)
		if want := body[at:min(at+10, int64(len(body)))]; !bytes.Equal(piece[:n], want) {
			f.Errorf("read at %d differs", at)
		}
		if n < 10 && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			f.Errorf("at the end: %v", err)
		}
		_, err = r.Seek(c.want+7, io.SeekStart) // so that SeekCurrent above has a known place
		f.must(err)
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		f.Error("Seek before the first byte")
	}
	f.must(r.Close())
	if _, err := r.Read(make([]byte, 1)); err == nil {
		f.Error("Read after Close")
	}
}

func openErrors(_ *testing.T, f *fixture) {
	_, err := f.store.Open(f.ctx, envelope.NewQueueID(f.clock))
	f.wants(err, spool.ErrNotFound)
	sent := f.active("box@example.org")
	reader, err := f.store.Open(f.ctx, sent.ID)
	f.must(err)
	f.must(f.settle(sent, spool.Sent))
	_, err = f.store.Open(f.ctx, sent.ID)
	f.wants(err, spool.ErrNotFound)
	f.must(reader.Close())
	_, err = f.store.Get(f.ctx, envelope.NewQueueID(f.clock))
	f.wants(err, spool.ErrNotFound)
	_, err = f.store.History(f.ctx, envelope.NewQueueID(f.clock))
	f.wants(err, spool.ErrNotFound)
}

func cancelledContext(_ *testing.T, f *fixture) {
	m := f.accept("box@example.org")
	ctx, cancel := context.WithCancel(f.ctx)
	d, err := f.store.Begin(f.ctx, "", 10)
	f.must(err)
	cancel()
	late := f.message("box@example.org")
	if err := d.Commit(ctx, late); err == nil {
		f.Error("Commit with a cancelled context")
	}
	_, err = f.store.Get(f.ctx, late.ID)
	f.wants(err, spool.ErrNotFound)
	if _, err := f.store.Begin(ctx, "", 10); !errors.Is(err, context.Canceled) {
		f.Errorf("Begin: %v", err)
	}
	_, err = f.store.Claim(ctx, spool.Claim{Mailbox: m.Mailbox, Now: f.clock, Limit: 1})
	if !errors.Is(err, context.Canceled) {
		f.Errorf("Claim: %v", err)
	}
	f.wantState(m.ID, spool.Queued)
}

func closed(_ *testing.T, f *fixture) {
	m := f.accept("box@example.org")
	d, err := f.store.Begin(f.ctx, "", 10)
	f.must(err)
	f.must(f.store.Close())
	f.wants(d.Commit(f.ctx, f.message("box@example.org")), spool.ErrUnhealthy)
	_, err = f.store.Get(f.ctx, m.ID)
	f.wants(err, spool.ErrUnhealthy)
	f.wants(f.store.Move(f.ctx, m.ID, spool.Held, f.clock, "late", f.clock), spool.ErrUnhealthy)
}
