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
	"graphrelay/relay/text"
)

// newLog returns the log on w, and the level that a reload may change. secrets
// are kept out of its lines; nil knows none.
func newLog(w io.Writer, c config.Log, secrets *text.Redactor) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelOf(c))
	o := &slog.HandlerOptions{Level: level}
	dest := w
	if l, ok := w.(*logLines); ok {
		dest = l.w
	}
	if dest == io.Writer(os.Stderr) {
		if ok, err := journal.StderrIsJournalStream(); ok && err == nil {
			return slog.New(newJournalHandler(secrets.Writer(w), c, o)), level
		}
	}
	return slog.New(newHandler(secrets.Writer(w), c, o)), level
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
// no time, because journald stamps each line.
type journalHandler struct {
	slog.Handler
	line *prefixWriter // of all handlers that With makes
}

func newJournalHandler(w io.Writer, c config.Log, o *slog.HandlerOptions) journalHandler {
	bare := *o
	bare.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	line := &prefixWriter{w: w}
	return journalHandler{newHandler(line, c, &bare), line}
}

// prefixWriter puts the priority before a line; slog writes each at once.
type prefixWriter struct {
	w      io.Writer
	mu     sync.Mutex // of the line that is written
	prefix string
}

func (p *prefixWriter) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func priority(l slog.Level) int {
	switch {
	case l >= levelAlert:
		return 1
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// Handle implements slog.Handler.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.prefix = fmt.Sprintf("<%d>", priority(r.Level))
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journalHandler{h.Handler.WithAttrs(attrs), h.line}
}

// WithGroup implements slog.Handler.
func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.Handler.WithGroup(name), h.line}
}
