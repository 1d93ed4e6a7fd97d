// Package refusals keeps the record of what was refused: it counts in memory and
// writes to the queue's store every few seconds, so that whoever is refused waits
// for no disk.
//
// # Promises
//
// Add never blocks on I/O. Memory is bounded, and so is what is written, whatever
// clients do: of one address, 50 different refusals an hour are recorded one by
// one, of all clients 5,000, of all strangers 1,000 more; the rest counts as various
// in sender, recipient and address. What is counted nowhere any more (the oldest rows, and what found no
// place) is counted in Dropped.
//
// # On failure
//
// What cannot be written stays in memory and is shown from there. A crash loses
// what was refused in the last seconds.
//
// The package knows neither SMTP nor why something is refused.
package refusals

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

const (
	writeEvery = 5 * time.Second
	writeRows  = 100    // in one commit, so that mail need not wait for it
	maxOfPlace = 50     // different refusals of one address in an hour
	maxOfHour  = 5000   // of all clients
	maxStrange = 1000   // of everybody else, who must not take the place of clients
	maxPending = 10_000 // rows that wait to be written
)

// Store is where the record is kept: a spool.Store.
type Store interface {
	spool.Refusals
	Refusals(ctx context.Context, f spool.RefusalFilter) ([]spool.Refusal, error)
}

// Record is the record. Make one with New; it is safe for concurrent use.
type Record struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	writing sync.Mutex // held while rows are neither in pending nor in the store

	mu      sync.Mutex
	pending map[spool.RefusalKey]*spool.Refusal
	seen    map[spool.RefusalKey]bool // in this hour
	strange int                       // how many of them are of no client
	places  map[netip.Prefix]int      // how many of them each place has
	hour    time.Time
	dropped uint64
	failing bool // the last write failed, and the log has it
}

// New makes a Record. Nothing is written before Run.
func New(store Store, now func() time.Time, log *slog.Logger) *Record {
	return &Record{store: store, now: now, log: log, pending: map[spool.RefusalKey]*spool.Refusal{}}
}

// Add counts a refusal that happened now; the Hour of k is filled in.
func (r *Record) Add(k spool.RefusalKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if k.Hour = spool.HourOf(now); !k.Hour.Equal(r.hour) {
		r.hour, r.seen, r.places, r.strange = k.Hour, map[spool.RefusalKey]bool{}, map[netip.Prefix]int{}, 0
	}
	r.put(spool.Refusal{RefusalKey: r.bound(k), First: now, Last: now, Count: 1})
}

// bound leaves out of a key what makes one too many.
func (r *Record) bound(k spool.RefusalKey) spool.RefusalKey {
	place, count, limit := envelope.NetworkOf(k.Addr), len(r.seen)-r.strange, maxOfHour
	if k.Client == "" {
		count, limit = r.strange, maxStrange
	}
	if !r.seen[k] && r.places[place] >= maxOfPlace {
		k.Addr, k.Sender, k.Domain = place.Addr(), envelope.Address{}, spool.Various
	}
	switch {
	case r.seen[k]:
	case count >= limit:
		k.Addr, k.Sender, k.Domain = netip.Addr{}, envelope.Address{}, spool.Various
	default:
		r.seen[k] = true
		r.places[place]++
		if k.Client == "" {
			r.strange++
		}
	}
	return k
}

// put adds to what waits to be written.
func (r *Record) put(row spool.Refusal) {
	switch known := r.pending[row.RefusalKey]; {
	case known != nil:
		known.Add(row)
	case len(r.pending) >= maxPending:
		r.dropped += uint64(row.Count)
	default:
		r.pending[row.RefusalKey] = &row
	}
}

// Dropped is how many refusals the record no longer counts for want of room.
func (r *Record) Dropped() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Run writes until ctx ends. Write then what is left, once SMTP has stopped.
func (r *Record) Run(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = r.Write(ctx) // logged there
		case <-ctx.Done():
			return
		}
	}
}

// Write hands what is pending to the store.
func (r *Record) Write(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	for batch := r.take(); len(batch) > 0; batch = r.take() {
		dropped, err := r.store.AddRefusals(ctx, batch)
		if first := r.wrote(batch, dropped, err); first {
			r.log.Warn("cannot record refusals; they are kept in memory", "error", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wrote notes how writing a batch went; first is true for the first failure.
func (r *Record) wrote(batch []spool.Refusal, dropped int, err error) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first = err != nil && !r.failing
	r.failing = err != nil
	r.dropped += uint64(dropped)
	if err != nil {
		for _, row := range batch {
			r.put(row)
		}
	}
	return first
}

// take removes some of what is pending.
func (r *Record) take() (batch []spool.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, row := range r.pending {
		batch = append(batch, *row)
		if delete(r.pending, k); len(batch) == writeRows {
			break
		}
	}
	return batch
}

// List reads a page of the record, as spool.Reader.Refusals does, what was refused
// just now included.
func (r *Record) List(ctx context.Context, f spool.RefusalFilter) ([]spool.Refusal, error) {
	if r.Write(ctx) == nil {
		return r.store.Refusals(ctx, f)
	}
	stored, err := r.store.Refusals(ctx, spool.RefusalFilter{Limit: spool.MaxPage})
	if err != nil {
		return nil, err
	}
	return r.merge(stored, f), nil
}

// merge adds what could not be written to the latest rows of the store, and
// selects.
func (r *Record) merge(stored []spool.Refusal, f spool.RefusalFilter) (found []spool.Refusal) {
	all := map[spool.RefusalKey]*spool.Refusal{}
	for _, row := range stored {
		all[row.RefusalKey] = &row
	}
	r.mu.Lock()
	for k, row := range r.pending {
		if all[k] == nil {
			all[k] = &spool.Refusal{RefusalKey: k, First: row.First, Last: row.Last}
		}
		all[k].Add(*row)
	}
	r.mu.Unlock()
	for _, row := range all {
		if f.Matches(*row) {
			found = append(found, *row)
		}
	}
	slices.SortFunc(found, spool.Later)
	first := min(f.Skip, len(found))
	return found[first:min(first+f.PageSize(), len(found))]
}
