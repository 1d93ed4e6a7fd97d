package main

import (
	"bytes"
	"io"
	"log/slog"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How many lines wait for a reader that is slow, and for how long at the end.
const (
	maxLines  = 4096
	lastWords = 2 * time.Second
)

// logLines takes the lines of a log without ever blocking or ending the service: those
// that standard error does not take, because nobody reads it or because its reader
// is gone, are lost and counted.
type logLines struct {
	w     io.Writer
	lines chan []byte
	lost  atomic.Uint64
	done  chan struct{}

	mu     sync.Mutex
	closed bool
}

// newLogLines writes to w until Close. It makes a reader of standard error that is gone
// an error of a write, in place of the end of the process.
func newLogLines(w io.Writer) *logLines {
	signal.Ignore(syscall.SIGPIPE)
	l := &logLines{w: w, lines: make(chan []byte, maxLines), done: make(chan struct{})}
	go l.write()
	return l
}

// Write implements io.Writer. It does not block, and always succeeds.
func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return len(line), nil
	}
	select {
	case l.lines <- bytes.Clone(line):
	default:
		l.lost.Add(1)
	}
	return len(line), nil
}

func (l *logLines) write() {
	defer close(l.done)
	for line := range l.lines {
		if _, err := l.w.Write(line); err != nil {
			l.lost.Add(1)
		}
	}
}

// Lost is how many lines were lost.
func (l *logLines) Lost() uint64 { return l.lost.Load() }

// reportTo logs how many lines were lost, once lines are taken again, until Close.
func (l *logLines) reportTo(log *slog.Logger, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for reported := uint64(0); ; {
		select {
		case <-l.done:
			return
		case <-tick.C:
		}
		if lost := l.Lost(); lost > reported && len(l.lines) == 0 {
			log.Warn("log lines were lost: standard error did not take them", "lines", lost-reported)
			reported = lost
		}
	}
}

// Close writes what waits, if somebody reads it.
func (l *logLines) Close() {
	l.mu.Lock()
	l.closed = true
	close(l.lines)
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-time.After(lastWords):
	}
}
