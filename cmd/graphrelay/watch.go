package main

import (
	"context"
	"os"
	"time"

	"graphrelay/relay"
	"graphrelay/relay/watchfile"
)

const (
	lookEvery    = 2 * time.Second  // at the file of --watch-config
	firstRetry   = 10 * time.Second // of a refused file; doubled each time
	slowestRetry = time.Hour
)

// configWatch decides when to reload a configuration file that others change, as
// Kubernetes changes a mounted ConfigMap.
type configWatch struct {
	files    *watchfile.Files
	changing bool          // when last looked at
	retry    time.Time     // of a refused file; zero if the file is in force
	pause    time.Duration // before retry
}

// due reports whether to reload. A file that has changed is left alone until it
// has stayed the same from one look to the next: it may be half-written, or
// missing while another takes its place. A refused file is tried again without a
// change, because what it names, such as a mounted Secret, may arrive after it.
func (w *configWatch) due(now time.Time) bool {
	if w.files.Changed() {
		w.changing = true
		return false
	}
	settled := w.changing
	if settled {
		w.changing, w.pause = false, 0
	}
	return settled || !w.changing && !w.retry.IsZero() && !now.Before(w.retry)
}

// reloaded notes how a reload ended.
func (w *configWatch) reloaded(err error, now time.Time) {
	if err == nil {
		w.retry, w.pause = time.Time{}, 0
		return
	}
	w.pause = min(max(2*w.pause, firstRetry), slowestRetry)
	w.retry = now.Add(w.pause)
}

// reloadOn reloads at each signal and, with files to watch, when they have
// changed; the outcome is in the log.
func reloadOn(ctx context.Context, hup <-chan os.Signal, r *relay.Relay, files *watchfile.Files) {
	watch := &configWatch{files: files}
	var look <-chan time.Time
	if files != nil {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case <-hup:
		case <-look:
			if !watch.due(time.Now()) {
				continue
			}
		case <-ctx.Done():
			return
		}
		watch.reloaded(r.Reload(ctx), time.Now())
	}
}
