package alert

import (
	"context"
	"time"

	"graphrelay/relay/pacing"
)

// The pauses after failed requests.
const (
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
)

// Run notifies the webhook until ctx ends. Without a webhook it does nothing.
func (b *Board) Run(ctx context.Context) {
	if b.cfg.URLFile == "" {
		<-ctx.Done()
		return
	}
	pause := firstPause
	for ctx.Err() == nil {
		n, ok, wait := b.next(b.cfg.Now())
		if !ok {
			b.rest(ctx, wait)
			continue
		}
		err := b.post(ctx, n)
		if ctx.Err() != nil {
			return
		}
		b.cfg.OnPost(err)
		if err == nil {
			b.accepted(n, b.cfg.Now())
			pause = firstPause
			continue
		}
		b.refused(n.Key, b.cfg.Now())
		b.cfg.Log.Warn("alert webhook request failed", "key", n.Key, "error", err, "retry_in", pause.String())
		_ = pacing.Sleep(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// rest waits until something changes, or for wait where that is not 0.
func (b *Board) rest(ctx context.Context, wait time.Duration) {
	var timer <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-timer:
	}
}
