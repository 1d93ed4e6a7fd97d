// Package alert keeps the faults that an operator must know about now, and
// notifies a webhook when one begins, now and then while it lasts, and when it is
// over. Its Watcher finds those that follow from the state of the service.
//
// A fault has a key ("hold:mailbox:a@b", "disk"). Whoever notices it calls Alarm
// with firing set, as often as it likes, and again without when it is over. Follow
// is for all that follows from the state of the service; of these a fault may
// approach in stages, as the expiry of a credential does. Firing lists the faults
// that are on.
//
// # Promises
//
// Alarm never blocks on the network. Each key is notified once when it begins,
// again after 24 hours while it lasts (in stages: at each), and once when it
// is over; a fault that began and ended while the webhook was down is only in the
// log. Memory is bounded: at most maxKeys faults are known at one time, and a
// further one is logged and not notified. Failed requests are retried after 5 s,
// 10 s, ... 10 min, with the latest state of each key, not its past.
//
// The webhook's URL is a secret: it is read from its file for each request, never
// logged and never in an error, not even where the server echoes it. It is https, or http on a loopback address;
// redirects are not followed. Alerts do not go through the relay's own mail,
// which they may be about.
//
// Notifications are not stored: after a restart, ongoing faults are reported
// again. The package knows nothing of mail.
package alert

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

const (
	maxKeys     = 500 // bounds the faults that are known at one time
	repeatEvery = 24 * time.Hour
)

// Config is what a Board works with; only URLFile may be empty.
type Config struct {
	Host    func() string // names this relay in each notification
	URLFile string        // file that holds the webhook's URL; "": no notifications
	OnPost  func(error)   // for metrics, after each request
	Log     *slog.Logger
	Secrets *text.Redactor // what no notification may show; gets to know the URL
}

// Board holds the faults. Make one with New; it is safe for concurrent use.
type Board struct {
	cfg  Config
	post func(context.Context, Notice) error // replaced by tests
	wake chan struct{}

	mu       sync.Mutex
	faults   map[string]*fault
	followed map[string]state.Fault // by the last call of Follow
}

type fault struct {
	state.Alarm
	firing     bool
	ended      time.Time
	notified   bool      // the webhook knows that it is firing
	notifiedAt time.Time // zero: it knows another stage
	failed     time.Time // when a request about it last failed
}

// lasted is how long a fault was on.
func (f *fault) lasted() string { return f.ended.Sub(f.Since).Round(time.Second).String() }

// New makes a Board. Nobody is notified before Run.
func New(cfg Config) *Board {
	return &Board{
		cfg: cfg, post: newWebhook(cfg.URLFile, cfg.Secrets).post, wake: make(chan struct{}, 1),
		faults: map[string]*fault{},
	}
}

// Alarm raises the fault of this key (firing), or clears it. cause is the line of
// a text.Cause.
func (b *Board) Alarm(key, cause string, firing bool) { b.set(key, state.FaultOf(cause), firing) }

// set is Alarm for a fault that may approach in stages: each stage is logged and
// notified once, and none is repeated. Without a stage it is a fault like others.
func (b *Board) set(key string, now state.Fault, firing bool) {
	for _, s := range []*string{&now.Headline, &now.Remedy, &now.Meanwhile, &now.Detail} {
		*s = b.cfg.Secrets.Clean(*s)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.faults[key]
	switch {
	case firing && f == nil && len(b.faults) >= maxKeys:
		b.log(key, now, "not_notified", "too many faults at one time")
		return
	case firing && f == nil:
		f = &fault{}
		b.faults[key] = f
		fallthrough
	case firing && !f.firing:
		now.Since = cmp.Or(now.Since, time.Now())
		f.Alarm, f.firing = state.Alarm{Key: key, Fault: now}, true
		b.log(key, now)
	case firing && f.Stage == now.Stage:
		now.Since = cmp.Or(now.Since, f.Since)
		f.Fault = now
		return
	case firing:
		now.Since = cmp.Or(now.Since, f.Since)
		f.Fault, f.notifiedAt = now, time.Time{}
		b.log(key, now)
	case f == nil || !f.firing:
		return
	default:
		f.firing, f.ended = false, time.Now()
		b.cfg.Log.Info("alarm is over", "error", f.Headline, "lasted", f.lasted(), "key", key)
		if !f.notified {
			delete(b.faults, key)
		}
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// log writes an alarm into the log; a warning is not an error.
func (b *Board) log(key string, f state.Fault, more ...any) {
	level := slog.LevelError
	if f.Warning {
		level = slog.LevelWarn
	}
	attrs := append([]any{"error", f.Headline, "remedy", f.Remedy}, more...)
	if f.Detail != "" {
		attrs = append(attrs, "detail", f.Detail)
	}
	b.cfg.Log.Log(context.Background(), level, "alarm", append(attrs, "key", key)...)
}

// Firing lists the faults that are on, oldest first.
func (b *Board) Firing() []state.Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []state.Alarm
	for _, f := range b.faults {
		if f.firing {
			list = append(list, f.Alarm)
		}
	}
	slices.SortFunc(list, func(x, y state.Alarm) int {
		return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Key, y.Key))
	})
	return list
}

// next is the notification that is due; if there is none, wait is when to look
// again (0: when something changes).
func (b *Board) next(now time.Time) (n Notice, ok bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var first *fault
	for _, f := range b.faults {
		left := repeatEvery - now.Sub(f.notifiedAt)
		switch {
		case f.notified && f.firing && f.Stage != "" && !f.notifiedAt.IsZero(): // until its next stage
		case f.notified && f.firing && left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
		case first == nil || f.before(first):
			first = f
		}
	}
	if first == nil {
		return Notice{}, false, wait
	}
	return b.notice(first, now), true, 0
}

// before orders notifications: a fault that the webhook refuses yields to the
// others.
func (f *fault) before(g *fault) bool {
	return cmp.Or(f.failed.Compare(g.failed), f.Since.Compare(g.Since), cmp.Compare(f.Key, g.Key)) < 0
}

// refused records that a request about a key failed.
func (b *Board) refused(key string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.faults[key]; f != nil {
		f.failed = now
	}
}

func (b *Board) notice(f *fault, now time.Time) Notice {
	host := b.cfg.Host()
	n := Notice{
		Service: "graphrelay", Host: host, Key: f.Key, Status: "firing", Fault: f.Fault,
		At: now, Repeated: f.notified, Text: f.Cause().String() + "; graphrelay on " + host,
	}
	if !f.firing {
		n.Status, n.At, n.Repeated = "resolved", f.ended, false
		n.Text = "Over after " + f.lasted() + ": " + f.Headline + "; graphrelay on " + host
	}
	return n
}

// accepted records that the webhook accepted n. The fault may have changed in the
// meantime.
func (b *Board) accepted(n Notice, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.faults[n.Key]
	switch {
	case f == nil && n.Status == "firing": // it ended during the request: notify that too
		b.faults[n.Key] = &fault{
			Alarm: state.Alarm{Key: n.Key, Fault: n.Fault},
			ended: now, notified: true, notifiedAt: now,
		}
	case f == nil:
	case n.Status == "firing" && n.Stage == f.Stage:
		f.notified, f.notifiedAt = true, now
	case n.Status == "firing": // it reached another stage during the request
		f.notified = true
	case f.firing: // it is on again: notify again
		f.notified = false
	default:
		delete(b.faults, n.Key)
	}
}
