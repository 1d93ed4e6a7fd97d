package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"

	"graphrelay/config"
)

// newLog returns the log on w, and the level that a reload may change.
func newLog(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelOf(c))
	o := &slog.HandlerOptions{Level: level}
	if w == io.Writer(os.Stderr) {
		if ok, err := journal.StderrIsJournalStream(); ok && err == nil {
			return slog.New(newJournalHandler(w, c, o)), level
		}
	}
	return slog.New(newHandler(w, c, o)), level
}

func levelOf(c config.Log) slog.Level {
	return map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
		"error": slog.LevelError}[c.Level]
}

func newHandler(w io.Writer, c config.Log, o *slog.HandlerOptions) slog.Handler {
	if c.Format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// levelAlert is above slog.LevelError: somebody should act now.
const levelAlert = slog.LevelError + 4

// journalHandler writes lines as sd-daemon(3) has them: the priority first, and
// no time, because journald stamps each line. It has a handler for each
// priority, in the order of levels.
type journalHandler []leveled

type leveled struct {
	from slog.Level
	slog.Handler
}

func newJournalHandler(w io.Writer, c config.Log, o *slog.HandlerOptions) journalHandler {
	bare := *o
	bare.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	line := new(sync.Mutex)
	var h journalHandler
	for _, p := range []struct {
		from     slog.Level
		priority int
	}{{levelAlert, 1}, {slog.LevelError, 3}, {slog.LevelWarn, 4}, {slog.LevelInfo, 6}, {slog.LevelDebug, 7}} {
		h = append(h, leveled{p.from, newHandler(&prefixWriter{w, line, fmt.Sprintf("<%d>", p.priority)}, c, &bare)})
	}
	return h
}

// prefixWriter puts the priority before a line; slog writes each at once.
type prefixWriter struct {
	w      io.Writer
	mu     *sync.Mutex
	prefix string
}

func (p *prefixWriter) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func (h journalHandler) at(l slog.Level) slog.Handler {
	for _, x := range h {
		if l >= x.from {
			return x.Handler
		}
	}
	return h[len(h)-1].Handler
}

// Enabled implements slog.Handler.
func (h journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.at(l).Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.at(r.Level).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(x slog.Handler) slog.Handler { return x.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(x slog.Handler) slog.Handler { return x.WithGroup(name) })
}

func (h journalHandler) each(f func(slog.Handler) slog.Handler) journalHandler {
	next := make(journalHandler, len(h))
	for i, x := range h {
		next[i] = leveled{x.from, f(x.Handler)}
	}
	return next
}
