package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/state"
)

// Audited is one identity under audit.
type Audited struct {
	Name   string
	Denied envelope.Address // zero: nothing can be proven, and a warning says so once
	Reads  bool             // the configuration needs Mail.ReadWrite, so reading is tried as well
	Client Prober

	Submission Submitter // nil where large mail does not go there
}

// AuditConfig is what an Auditor works with.
type AuditConfig struct {
	Identities []Audited
	Every      time.Duration
	Now        func() time.Time // = time.Now
	Log        *slog.Logger     // = none

	// Alarm raises the alarm of an identity, or ends it; may be nil. Keys are those
	// of state.AuditKey.
	Alarm func(key, text string, firing bool)
	// Stop and Resume let delivery stop for an identity; nil where an accepted
	// probe only raises the alarm. They are called again with each result.
	Stop   func(ctx context.Context, identity, text string) error
	Resume func(ctx context.Context, identity string) error

	// Shared is the store of several nodes, one of which audits for all; nil where this
	// node is alone.
	Shared Shared
}

// Shared is what is needed of a spool.
type Shared interface {
	Leads() bool
	Note(ctx context.Context, key, text string) error
	Noted(ctx context.Context, key string) (string, error)
}

// Audit is the last result for an identity.
type Audit struct {
	Identity string
	Denied   string // the mailbox tried; "" where none is named
	Verdict  Verdict
	Text     string    // in one line; ends in a remedy unless Restricted
	At       time.Time // of the last try; zero before the first

	// The last try that proved something, one way or the other: what counts
	// while Graph cannot be asked. Concluded is zero before the first.
	Concluded time.Time
	Passed    bool   // Graph refused
	Proof     string // its Text
}

// Alarming reports whether the identity may use a mailbox that it must not.
func (a Audit) Alarming() bool { return !a.Concluded.IsZero() && !a.Passed }

// Auditor tries the denied mailbox of each identity while the relay runs.
type Auditor struct {
	cfg AuditConfig
	now []chan struct{} // by identity: TryNow

	mu   sync.Mutex
	last []Audit
}

// retryUnclear is how soon an identity is tried again when nothing could be
// proven: the network was down, or there was no token.
const retryUnclear = 10 * time.Minute

// NewAuditor makes an Auditor. Nothing happens before Run.
func NewAuditor(cfg AuditConfig) *Auditor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	a := &Auditor{cfg: cfg}
	for _, id := range cfg.Identities {
		one := Audit{Identity: id.Name, Denied: id.Denied.String(), Verdict: Unproven, Text: "not tried yet"}
		a.last, a.now = append(a.last, one), append(a.now, make(chan struct{}, 1))
	}
	return a
}

// TryNow audits an identity at once and not at its next interval. It does not
// block.
func (a *Auditor) TryNow(identity string) {
	for i, id := range a.cfg.Identities {
		if id.Name == identity {
			select {
			case a.now[i] <- struct{}{}:
			default:
			}
		}
	}
}

// Last returns the last results, in the order of the identities.
func (a *Auditor) Last() []Audit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.last)
}

// Run audits every identity at once and then at every interval, each on its
// own, until ctx ends.
func (a *Auditor) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range a.cfg.Identities {
		all.Go(func() { a.watch(ctx, i) })
	}
	all.Wait()
}

func (a *Auditor) watch(ctx context.Context, i int) {
	id := a.cfg.Identities[i]
	if id.Denied.IsZero() {
		a.unnamed(ctx, i)
		return
	}
	began, tried, asked := a.cfg.Now(), false, false
	for ctx.Err() == nil {
		wait := lookEvery
		if asked || a.due(ctx, i, !tried, began) {
			one := a.try(ctx, i)
			if ctx.Err() != nil {
				return
			}
			a.act(ctx, one)
			a.note(ctx, one)
			tried = true
			if a.cfg.Shared == nil {
				wait = a.until(one)
			}
		}
		asked = a.rest(ctx, i, wait)
	}
}

// until is how long after a try the next one is due.
func (a *Auditor) until(one Audit) time.Duration {
	if one.Verdict == Unproven {
		return min(a.cfg.Every, retryUnclear)
	}
	return a.cfg.Every
}

// rest waits for the next try, and reports whether somebody asked for it.
func (a *Auditor) rest(ctx context.Context, i int, wait time.Duration) bool {
	select {
	case <-time.After(wait):
	case <-a.now[i]:
		return true
	case <-ctx.Done():
	}
	return false
}

// unnamed is for an identity without a denied mailbox.
func (a *Auditor) unnamed(ctx context.Context, i int) {
	one := a.Last()[i]
	one.Text = "no denied_mailbox is configured, so it is not known whether the app is restricted; " +
		"set one: existing, licensed, ordinary"
	a.keep(i, one)
	a.cfg.Log.Warn("audit", "identity", one.Identity, "verdict", string(one.Verdict), "error", one.Text)
	a.alarm(one, false) // of a time when there was one
	a.resume(ctx, one)
}

// try probes once.
func (a *Auditor) try(ctx context.Context, i int) Audit {
	verdict, text := a.cfg.Identities[i].try(ctx, a.cfg.Now())
	one := a.Last()[i]
	one.Verdict, one.Text, one.At = verdict, text, a.cfg.Now()
	if verdict == Restricted || verdict == NotRestricted {
		one.Concluded, one.Passed, one.Proof = one.At, verdict == Restricted, text
	}
	if ctx.Err() == nil {
		a.keep(i, one)
	}
	return one
}

// try probes the denied mailbox; text ends in a remedy unless it is Restricted.
func (id Audited) try(ctx context.Context, now time.Time) (verdict Verdict, text string) {
	e := Evidence{Denied: []Trial{Probe(ctx, id.Client, id.Denied, now)}}
	if id.Reads {
		switch access, answer := canRead(ctx, id.Client, id.Denied); access {
		case Open:
			e.Readable = append(e.Readable, id.Denied)
		case Unclear, Missing:
			e.Unread = append(e.Unread, Trial{Mailbox: id.Denied, Answer: answer, Access: access})
		}
	}
	if id.Submission != nil {
		e.trySubmission(ctx, id.Submission, id.Denied)
	}
	verdict, text, remedy, _ := Judge(e)
	if verdict == NotRestricted {
		text = "App is NOT RESTRICTED: " + text
	}
	if remedy != "" {
		text += "; " + remedy
	}
	return verdict, text
}

// Prove returns nil if Graph refuses the denied mailbox now, or if none is named.
func (id Audited) Prove(ctx context.Context, now time.Time) error {
	if id.Denied.IsZero() {
		return nil
	}
	if verdict, text := id.try(ctx, now); verdict != Restricted {
		return errors.New(text)
	}
	return nil
}

func (a *Auditor) keep(i int, one Audit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last[i] = one
}

// act reports the result: quietly where it is good, as loudly as possible where
// it is not. An unproven result changes nothing.
func (a *Auditor) act(ctx context.Context, one Audit) {
	log := a.cfg.Log.With("identity", one.Identity, "denied_mailbox", one.Denied, "verdict", string(one.Verdict))
	switch one.Verdict {
	case NotRestricted:
		log.Error("THE APP IS NOT RESTRICTED", "error", one.Text)
		a.alarm(one, true)
		if a.cfg.Stop != nil {
			if err := a.cfg.Stop(ctx, one.Identity, stopText(one)); err != nil && ctx.Err() == nil {
				log.Error("cannot stop delivery; stop the service", "error", err)
			}
		}
	case Restricted:
		log.Info("audit")
		a.alarm(one, false)
		a.resume(ctx, one)
	default:
		log.Warn("audit", "error", one.Text)
	}
}

func stopText(one Audit) string {
	return fmt.Sprintf("%s; sending resumes by itself when Graph refuses %s again, which is tried at the next audit, "+
		"at a restart, and by graphrelay queue release of the hold", one.Text, one.Denied)
}

func (a *Auditor) alarm(one Audit, firing bool) {
	if a.cfg.Alarm != nil {
		a.cfg.Alarm(state.AuditKey(one.Identity), one.Text, firing)
	}
}

func (a *Auditor) resume(ctx context.Context, one Audit) {
	if a.cfg.Resume == nil {
		return
	}
	if err := a.cfg.Resume(ctx, one.Identity); err != nil && ctx.Err() == nil {
		a.cfg.Log.Error("cannot resume delivery; restart the service", "identity", one.Identity, "error", err)
	}
}
