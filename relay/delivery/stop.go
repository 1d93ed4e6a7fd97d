package delivery

import (
	"context"
	"strings"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// stopPrefix begins the keys of the holds that Stop makes.
const stopPrefix = "audit:"

func stopKey(identity string) string { return stopPrefix + identity }

// Stopped tells which identity the hold with this key stops by Stop, if it is
// one of these: no probe ends it, only Resume does.
func Stopped(key string) (identity string, ok bool) { return strings.CutPrefix(key, stopPrefix) }

// Stop holds everything that an identity sends until Resume: no message of it
// is tried, not even as a probe. text is for the operator and ends in a remedy.
// The hold survives a restart. Stop waits until Run has read the holds of
// earlier runs, or ctx ends.
func (d *Delivery) Stop(ctx context.Context, identity, text string) error {
	if err := d.awaitRestored(ctx); err != nil {
		return err
	}
	h := StopHold(identity, text, d.cfg.Now())
	if d.holds.set(h) {
		d.logHoldBegins(h)
	}
	d.saveHold(h.Key)
	d.wakeAll() // what was claimed ahead goes back
	return nil
}

// StopHold is the hold that Stop makes, for who writes it into the store before
// Run reads it.
func StopHold(identity, text string, now time.Time) spool.Hold {
	return spool.Hold{Key: stopKey(identity), Identity: identity, Status: reply.Enhanced{4, 7, 1}, Text: text, Since: now, NextProbe: now.Add(maxBackoff)}
}

// Resume ends what Stop began; without it, nothing happens.
func (d *Delivery) Resume(ctx context.Context, identity string) error {
	if err := d.awaitRestored(ctx); err != nil {
		return err
	}
	if h, ok := d.holds.end(stopKey(identity)); ok {
		d.endHold(h)
	}
	return nil
}

func (d *Delivery) awaitRestored(ctx context.Context) error {
	select {
	case <-d.restored:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
