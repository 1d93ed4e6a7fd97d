package alert

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/state"
)

// maxKeys bounds the faults that are known at one time.
const maxKeys = 500

// Config is what a Board works with.
type Config struct {
	Host    func() string // names this relay in each post; nil: nameless
	URLFile string        // file that holds the webhook's URL; "": nobody is told
	Repeat  time.Duration // how often a fault that lasts is told; = 24 h
	OnPost  func(error)   // for metrics, after each post; may be nil
	Now     func() time.Time
	Log     *slog.Logger
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
	firing bool
	stage  string // how near it has come, where it comes by stages
	ended  time.Time
	told   bool      // the webhook knows that it is firing
	toldAt time.Time // zero: it knows another stage
	failed time.Time // when a post about it last failed
}

// New makes a Board. Nothing is told before Run.
func New(cfg Config) *Board {
	if cfg.Host == nil {
		cfg.Host = func() string { return "" }
	}
	if cfg.Repeat <= 0 {
		cfg.Repeat = 24 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnPost == nil {
		cfg.OnPost = func(error) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Board{cfg: cfg, wake: make(chan struct{}, 1), faults: map[string]*fault{}}
	b.post = newWebhook(cfg.URLFile).post
	return b
}

// Alarm says that the fault of this key is on (firing) or over. text is for the
// operator and ends with a remedy.
func (b *Board) Alarm(key, text string, firing bool) { b.set(key, text, "", firing) }

// Stage says that a fault is on that comes nearer by stages: each is logged and
// told once, and none is repeated. Alarm ends it, or makes it one like others.
func (b *Board) Stage(key, text, stage string) { b.set(key, text, stage, true) }

func (b *Board) set(key, text, stage string, firing bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.faults[key]
	switch {
	case firing && f == nil && len(b.faults) >= maxKeys:
		b.cfg.Log.Error("alarm", "key", key, "text", text, "not_told", "too many faults at one time")
		return
	case firing && f == nil:
		f = &fault{}
		b.faults[key] = f
		fallthrough
	case firing && !f.firing:
		f.Alarm, f.firing, f.stage = state.Alarm{Key: key, Text: text, Since: b.cfg.Now()}, true, stage
		b.cfg.Log.Error("alarm", "key", key, "text", text)
	case firing && f.stage == stage:
		f.Text = text
		return
	case firing:
		f.Text, f.stage, f.toldAt = text, stage, time.Time{}
		b.cfg.Log.Error("alarm", "key", key, "text", text)
	case f == nil || !f.firing:
		return
	default:
		f.firing, f.ended = false, b.cfg.Now()
		b.cfg.Log.Info("alarm is over", "key", key, "text", f.Text, "lasted", f.ended.Sub(f.Since).Round(time.Second).String())
		if !f.told {
			delete(b.faults, key)
		}
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Firing lists the faults that are on, the oldest first.
func (b *Board) Firing() []state.Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []state.Alarm
	for _, f := range b.faults {
		if f.firing {
			list = append(list, f.Alarm)
		}
	}
	slices.SortFunc(list, func(x, y state.Alarm) int { return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Key, y.Key)) })
	return list
}

// next is what the webhook should hear now; without anything, when to look
// again (0: when something changes).
func (b *Board) next(now time.Time) (n Notice, ok bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var first *fault
	for _, f := range b.faults {
		left := b.cfg.Repeat - now.Sub(f.toldAt)
		switch {
		case f.told && f.firing && f.stage != "" && !f.toldAt.IsZero(): // until its next stage
		case f.told && f.firing && left > 0:
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

// before tells which of two faults is told first: one that the webhook refuses
// stands back for the others.
func (f *fault) before(g *fault) bool {
	return cmp.Or(f.failed.Compare(g.failed), f.Since.Compare(g.Since), cmp.Compare(f.Key, g.Key)) < 0
}

// refused records that a post about a key failed.
func (b *Board) refused(key string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.faults[key]; f != nil {
		f.failed = now
	}
}

func (b *Board) notice(f *fault, now time.Time) Notice {
	n := Notice{Service: "graphrelay", Host: b.cfg.Host(), Key: f.Key, Status: "firing", Message: f.Text, Since: f.Since, At: now, Repeated: f.told, stage: f.stage}
	n.Text = "graphrelay on " + b.cfg.Host() + ": " + f.Text
	if !f.firing {
		n.Status, n.At, n.Repeated = "resolved", f.ended, false
		n.Text = "graphrelay on " + b.cfg.Host() + ": over after " + f.ended.Sub(f.Since).Round(time.Second).String() + ": " + f.Text
	}
	return n
}

// heard records that the webhook took n. The fault may have changed meanwhile.
func (b *Board) heard(n Notice, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.faults[n.Key]
	switch {
	case f == nil && n.Status == "firing": // it ended while it was being told: tell that too
		b.faults[n.Key] = &fault{
			Alarm: state.Alarm{Key: n.Key, Text: n.Message, Since: n.Since},
			ended: now, told: true, toldAt: now,
		}
	case f == nil:
	case n.Status == "firing" && n.stage == f.stage:
		f.told, f.toldAt = true, now
	case n.Status == "firing": // it came nearer while it was being told
		f.told = true
	case f.firing: // it began again: tell it anew
		f.told = false
	default:
		delete(b.faults, n.Key)
	}
}
