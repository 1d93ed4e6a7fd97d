package alert

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/state"
)

// How often a Watcher takes a snapshot, at the latest and at the earliest.
const (
	watchEvery  = 15 * time.Second
	watchPause  = time.Second
	lookupScope = "lookup" // of the alarm that an identity may not search its mailboxes
)

// WatchConfig is what a Watcher works with; every field is required.
type WatchConfig struct {
	Board       *Board
	Snapshot    func(context.Context) (state.Snapshot, error)
	Sampled     func(state.Snapshot)   // is given each snapshot
	HasIdentity func(name string) bool // whether the configuration has it
	Log         *slog.Logger
}

// Watcher raises and clears the alarms that follow from the state of the service.
type Watcher struct {
	WatchConfig
	soon   chan struct{}
	faulty atomic.Bool // as of the last look
}

// NewWatcher makes a Watcher.
func NewWatcher(c WatchConfig) *Watcher {
	return &Watcher{WatchConfig: c, soon: make(chan struct{}, 1)}
}

// Notice makes the Watcher look earlier than planned: bad news may be a fault,
// and good news the end of one, if there is any. It never blocks.
func (w *Watcher) Notice(bad bool) {
	if !bad && !w.faulty.Load() {
		return
	}
	select {
	case w.soon <- struct{}{}:
	default:
	}
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.soon:
			_ = pacing.Sleep(ctx, watchPause)
		}
	}
}

func (w *Watcher) look(ctx context.Context) {
	s, err := w.Snapshot(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.Log.Warn("cannot take a snapshot of the service; alarms may be out of date", "error", err)
		}
		return
	}
	w.Sampled(s)
	now := time.Now()
	found := state.Faults(s, now)
	maps.DeleteFunc(found, func(_ string, f state.Fault) bool { return f.AlertAfter.After(now) })
	w.faulty.Store(len(found) > 0)
	w.Board.Follow(found)
	w.clearOrphans()
}

// clearOrphans clears the alarms of identities that are no longer configured:
// whatever raised them is gone too.
func (w *Watcher) clearOrphans() {
	for _, a := range w.Board.Firing() {
		kind, name, _ := strings.Cut(a.Key, ":")
		if (kind == state.ScopeAudit || kind == lookupScope) && !w.HasIdentity(name) {
			w.Board.Alarm(a.Key, "identity "+name+" is no longer configured", false)
		}
	}
}

// Follow raises these faults, and clears those of the previous call that are not
// among them.
func (b *Board) Follow(found map[string]state.Fault) {
	for key, f := range found {
		b.set(key, f, true)
	}
	b.mu.Lock()
	before := b.followed
	b.followed = found
	b.mu.Unlock()
	for key := range before {
		if _, still := found[key]; !still {
			b.Alarm(key, "", false)
		}
	}
}
