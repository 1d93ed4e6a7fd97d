// Package loglimit keeps a flood of events from becoming a flood of log lines.
// Anyone who can reach a port can cause a refusal; without a limit they could
// fill the disk with lines about it. The log still says that events occurred,
// how many, and from which network.
//
// Memory is bounded however many clients there are. The package must not know
// what the events are.
package loglimit

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/envelope"
)

const (
	period = 10 * time.Second
	// maxWindows bounds the memory: beyond it, all other clients share a window.
	maxWindows = 1000
)

// Limiter writes the first lines of each kind and client within ten seconds and
// counts the rest. At the end of the ten seconds it logs the count in one line.
// Methods may be called at the same time.
type Limiter struct {
	log   *slog.Logger
	lines int

	mu      sync.Mutex
	windows map[key]*window
}

type key struct {
	kind   string
	client netip.Prefix // zero for unix sockets, and for all beyond maxWindows
}

type window struct {
	left    int // lines that may still be written
	skipped int
	end     *time.Timer
}

// New returns a Limiter that writes to log at most lines lines of a kind and
// client in ten seconds, and one more with a count.
func New(log *slog.Logger, lines int) *Limiter {
	return &Limiter{log: log, lines: lines, windows: map[key]*window{}}
}

// Log writes an event of a kind, or counts it. An IPv6 client is represented by
// its /64 network, since it has all addresses of that network.
func (l *Limiter) Log(level slog.Level, kind string, client netip.Addr, msg string, attrs ...slog.Attr) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	if l.admits(key{kind, envelope.NetworkOf(client)}) {
		l.log.LogAttrs(ctx, level, msg, attrs...)
	}
}

func (l *Limiter) admits(k key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.windows[k]
	if w == nil && len(l.windows) >= maxWindows {
		k.client = netip.Prefix{}
		w = l.windows[k]
	}
	if w == nil {
		w = &window{left: l.lines}
		w.end = time.AfterFunc(period, func() { l.close(k, w) })
		l.windows[k] = w
	}
	if w.left == 0 {
		w.skipped++
		return false
	}
	w.left--
	return true
}

func (l *Limiter) close(k key, w *window) {
	l.mu.Lock()
	if l.windows[k] == w {
		delete(l.windows, k)
	}
	skipped := w.skipped
	w.skipped = 0
	l.mu.Unlock()
	if skipped == 0 {
		return
	}
	client := "several"
	if k.client.IsValid() {
		client = k.client.String()
	}
	l.log.Warn("more events of this kind, not logged one by one",
		"kind", k.kind, "client_network", client, "count", skipped)
}

// Flush logs every count now. Call it when the program stops.
func (l *Limiter) Flush() {
	l.mu.Lock()
	all := maps.Clone(l.windows)
	l.mu.Unlock()
	for k, w := range all {
		w.end.Stop()
		l.close(k, w)
	}
}
