package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Action is what an operator does to messages.
type Action string

// The actions.
const (
	Retry   Action = "retry"   // make due now; looked up first where that is configured
	HoldIt  Action = "hold"    // keep until released
	Release Action = "release" // due now; a held one without a look, for the operator has decided
	Delete  Action = "delete"  // for good; the history stays
)

// Known reports whether there is such an action.
func (a Action) Known() bool { return a.States() != nil }

// States are those in which a filter without states looks for messages.
func (a Action) States() []spool.State {
	return map[Action][]spool.State{
		Retry: spool.Waiting(), HoldIt: spool.Waiting(), Release: {spool.Held, spool.Paused},
		Delete: append(spool.Waiting(), spool.Held, spool.Failed, spool.Damaged),
	}[a]
}

// Change says what to do to which messages: those with these IDs, or all that a
// filter selects.
type Change struct {
	Action Action
	IDs    []envelope.QueueID
	Filter spool.Filter // counts without IDs
	By     string       // who asked for it, for the history
}

// Progress is how far a change is.
type Progress struct {
	Changed int      `json:"changed"`
	MaySent int      `json:"may_have_been_sent,omitempty"` // of those, and they are sent without a lookup
	Skipped int      `json:"skipped"`                      // in another state, or deleted
	Errors  []string `json:"errors,omitempty"`             // why, of the first ones
	Probed  []string `json:"probed,omitempty"`             // keys of holds, with the last report

	// Waits are the mailboxes concerned that try nothing before a time, whatever the operator wants.
	Waits []state.Wait `json:"waits,omitempty"`

	Done   bool   `json:"done,omitempty"`
	Failed string `json:"failed,omitempty"` // why it ended early
}

const (
	maxErrors = 10 // bounds the reasons in a Progress
	atOnce    = 64 // messages are changed together; they share a commit
)

// Change makes a change and calls report after each page; an error of report ends
// it. A message that cannot be changed is skipped. With a filter, what was
// accepted after the change began is skipped too.
func (o *Operator) Change(ctx context.Context, c Change, report func(Progress) error) error {
	if !c.Action.Known() {
		return errAction(c.Action)
	}
	r := o.run(c)
	err := r.pages(ctx, atOnce, func(page []envelope.QueueID) error {
		if err := r.changePage(ctx, page); err != nil {
			return err
		}
		return report(r.progress)
	})
	r.progress.Probed = r.probeHolds()
	r.tryNow()
	if err != nil {
		return err
	}
	r.progress.Done = true
	return report(r.progress)
}

func errAction(a Action) error { return fmt.Errorf("%q is none of retry, hold, release, delete", a) }

// maxCount bounds how far Count goes through a queue.
const maxCount = 100_000

// Counted is how many messages a change would be made to.
type Counted struct {
	Messages int       `json:"messages"`
	More     bool      `json:"more,omitempty"` // or more: nobody counted further
	Until    time.Time `json:"until"`          // for the filter of the change: what came later was not counted
}

// Count says how many messages a change would be made to.
func (o *Operator) Count(ctx context.Context, c Change) (Counted, error) {
	if !c.Action.Known() {
		return Counted{}, errAction(c.Action)
	}
	r := &running{Operator: o, change: c}
	n := Counted{Until: c.Filter.Until}
	if n.Until.IsZero() {
		n.Until = o.Now()
	}
	err := r.pages(ctx, spool.MaxPage, func(page []envelope.QueueID) error {
		if n.Messages += len(page); n.Messages < maxCount {
			return nil
		}
		n.More = true
		return errCounted
	})
	if errors.Is(err, errCounted) {
		err = nil
	}
	return n, err
}

var errCounted = errors.New("counted as far as anybody wants to know")

// Do changes one message; the error says why it could not be changed.
func (o *Operator) Do(ctx context.Context, a Action, id envelope.QueueID, by string) error {
	r := o.run(Change{Action: a, IDs: []envelope.QueueID{id}, By: by})
	m, err := r.one(ctx, id)
	if err == nil {
		r.wake(m.Mailbox)
		r.probeHolds()
		r.tryNow()
	}
	return err
}

func (o *Operator) run(c Change) *running {
	return &running{Operator: o, change: c, due: map[string]envelope.Address{}, stopping: map[string]bool{}}
}

// running is a change under way.
type running struct {
	*Operator
	change   Change
	due      map[string]envelope.Address // mailboxes in which messages became due
	stopping map[string]bool             // keys of holds that stop messages which were released
	mu       sync.Mutex
	progress Progress
}

// pages hands over the IDs, so many at a time.
func (r *running) pages(ctx context.Context, size int, do func([]envelope.QueueID) error) error {
	for ids := range slices.Chunk(r.change.IDs, size) {
		if err := do(ids); err != nil {
			return err
		}
	}
	if len(r.change.IDs) > 0 {
		return nil
	}
	f := r.change.Filter
	f.Limit = size
	if len(f.States) == 0 {
		f.States = r.change.Action.States()
	}
	if f.Until.IsZero() {
		f.Until = r.Now()
	}
	for {
		page, err := r.Store.List(ctx, f)
		if err != nil || len(page) == 0 {
			return err
		}
		ids := make([]envelope.QueueID, len(page))
		for i, m := range page {
			ids[i] = m.ID
		}
		if err := do(ids); err != nil {
			return err
		}
		f.After = ids[len(ids)-1]
	}
}

// changePage changes the messages of a page at the same time, and wakes their lanes.
func (r *running) changePage(ctx context.Context, page []envelope.QueueID) error {
	var all sync.WaitGroup
	var fatal error
	lanes := map[string]envelope.Address{}
	for _, id := range page {
		all.Go(func() {
			m, err := r.one(ctx, id)
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case err == nil:
				r.progress.Changed++
				if r.resends(m) {
					r.progress.MaySent++
				}
				lanes[m.Mailbox.Key()] = m.Mailbox
				if m.PausedBy != nil && r.change.Action == Release {
					r.stopping[m.PausedBy.Key] = true
				}
			case errors.Is(err, spool.ErrState), errors.Is(err, spool.ErrNotFound):
				r.skip(err)
			default:
				fatal = err
			}
		})
	}
	all.Wait()
	for _, mailbox := range lanes {
		r.wake(mailbox)
	}
	return fatal
}

// wake makes delivery look at a mailbox in which messages became due.
func (r *running) wake(mailbox envelope.Address) {
	if r.change.Action == Retry || r.change.Action == Release {
		r.due[mailbox.Key()] = mailbox
		r.Wake(mailbox)
	}
}

// probeHolds probes the holds that stop messages which were named or released, so
// that nobody waits for the next probe, and returns their keys. A release of a whole
// mailbox, or of everything, probes its holds even where no mail waits for them. A
// retry by a filter can select a whole backlog, and probes nothing.
func (r *running) probeHolds() []string {
	f := r.change.Filter
	f.Until = time.Time{}
	whole := r.change.Action == Release && (!f.Mailbox.IsZero() || reflect.DeepEqual(f, spool.Filter{}))
	return r.probe(func(h spool.Hold) bool {
		if len(r.change.IDs) == 0 {
			return r.stopping[h.Key] || whole && (f.Mailbox.IsZero() || r.canStop(h, f.Mailbox))
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(r.due)), func(mailbox envelope.Address) bool {
			return r.canStop(h, mailbox)
		})
	})
}

// tryNow ends the pauses of the mailboxes concerned: those in which messages became
// due, and those that a filter names, though it may have found nothing in them.
func (r *running) tryNow() {
	if r.change.Action != Retry && r.change.Action != Release {
		return
	}
	rest := r.change.Filter
	mailbox := rest.Mailbox
	rest.Mailbox, rest.States, rest.Until = envelope.Address{}, nil, time.Time{}
	named := len(r.change.IDs) == 0 && reflect.ValueOf(rest).IsZero()
	r.progress.Waits = r.TryNow(func(m envelope.Address) bool {
		_, due := r.due[m.Key()]
		return due || named && (mailbox.IsZero() || mailbox.Equal(m))
	})
}

func (r *running) skip(err error) {
	r.progress.Skipped++
	if len(r.progress.Errors) < maxErrors {
		r.progress.Errors = append(r.progress.Errors, err.Error())
	}
}

// resends reports whether the change makes a message due that may have been sent
// already, and that nobody looks up before.
func (r *running) resends(m spool.Record) bool {
	looked := (r.change.Action == Retry || m.State == spool.Paused) && r.LooksUp != nil && r.LooksUp()
	return m.Unknown && !looked && (r.change.Action == Retry || r.change.Action == Release)
}

// one changes a message and returns it as it was.
func (r *running) one(ctx context.Context, id envelope.QueueID) (spool.Record, error) {
	m, err := r.Store.Get(ctx, id)
	if err != nil {
		return m, err
	}
	now := r.Now()
	switch {
	case r.change.Action == Release && m.State != spool.Held && m.State != spool.Paused:
		return m, fmt.Errorf("%w: message %s is %s, neither held nor paused", spool.ErrState, id, m.State)
	case r.change.Action == HoldIt:
		why := "held by the operator" + r.by() + "; to let it go: graphrelay queue release " + string(id)
		err = r.Store.Move(ctx, id, spool.Held, time.Time{}, why, now)
	case r.change.Action == Delete:
		err = r.Store.Delete(ctx, id, "deleted by the operator"+r.by(), now)
	case r.change.Action == Release && m.State == spool.Held:
		err = r.Store.Move(ctx, id, spool.Queued, now, "made due by the operator"+r.by(), now)
	default:
		err = r.Store.Retry(ctx, id, now, "made due by the operator"+r.by(), now)
	}
	return m, err
}

func (r *running) by() string {
	if r.change.By == "" {
		return ""
	}
	return " (" + r.change.By + ")"
}
