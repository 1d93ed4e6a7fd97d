package smtpd

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/envelope"
)

const (
	quietWindow = 10 * time.Second
	// quietKeys bounds the memory: beyond it all other clients share a window.
	quietKeys = 1000
)

// Quiet keeps a flood of events from being a flood of log lines. Of each kind
// and client the first lines of ten seconds are written and the others counted;
// at the end of the ten seconds one line tells the count.
type Quiet struct {
	log   *slog.Logger
	lines int

	mu      sync.Mutex
	windows map[quietKey]*quietWin
}

type quietKey struct {
	kind   string
	client netip.Prefix // zero for unix sockets, and for all beyond quietKeys
}

type quietWin struct {
	left   int // lines that may still be written
	unsaid int
	end    *time.Timer
}

// NewQuiet writes to log at most lines lines of a kind and client in ten
// seconds, and one with a count.
func NewQuiet(log *slog.Logger, lines int) *Quiet {
	return &Quiet{log: log, lines: lines, windows: map[quietKey]*quietWin{}}
}

// Log writes an event of a kind, or counts it. An IPv6 client is its /64
// network: it has all of its addresses.
func (q *Quiet) Log(level slog.Level, kind string, client netip.Addr, msg string, attrs ...slog.Attr) {
	ctx := context.Background()
	if !q.log.Enabled(ctx, level) {
		return
	}
	if q.admits(quietKey{kind, envelope.NetworkOf(client)}) {
		q.log.LogAttrs(ctx, level, msg, attrs...)
	}
}

func (q *Quiet) admits(key quietKey) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[key]
	if w == nil && len(q.windows) >= quietKeys {
		key.client = netip.Prefix{}
		w = q.windows[key]
	}
	if w == nil {
		w = &quietWin{left: q.lines}
		w.end = time.AfterFunc(quietWindow, func() { q.endWindow(key, w) })
		q.windows[key] = w
	}
	if w.left == 0 {
		w.unsaid++
		return false
	}
	w.left--
	return true
}

func (q *Quiet) endWindow(key quietKey, w *quietWin) {
	q.mu.Lock()
	if q.windows[key] == w {
		delete(q.windows, key)
	}
	unsaid := w.unsaid
	w.unsaid = 0
	q.mu.Unlock()
	if unsaid == 0 {
		return
	}
	client := "several"
	if key.client.IsValid() {
		client = key.client.String()
	}
	q.log.Warn("more of the same, not logged one by one", "kind", key.kind, "client_network", client, "count", unsaid)
}

// Flush tells every count now; it is for the end of the program.
func (q *Quiet) Flush() {
	q.mu.Lock()
	all := make(map[quietKey]*quietWin, len(q.windows))
	for key, w := range q.windows {
		w.end.Stop()
		all[key] = w
	}
	q.mu.Unlock()
	for key, w := range all {
		q.endWindow(key, w)
	}
}
