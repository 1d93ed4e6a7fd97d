package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Action is what an operator does to messages.
type Action string

// The actions.
const (
	Retry   Action = "retry"   // make due now
	HoldIt  Action = "hold"    // keep until released
	Release Action = "release" // end a hold; due now
	Delete  Action = "delete"  // for good; the history stays
)

// defaultStates are those that an action changes where a filter names none.
func (a Action) defaultStates() []spool.State {
	switch a {
	case Retry, HoldIt:
		return []spool.State{spool.Queued}
	case Release:
		return []spool.State{spool.Held}
	case Delete:
		return []spool.State{spool.Queued, spool.Held, spool.Failed, spool.Damaged}
	}
	return nil
}

// Writer is what changes messages: a spool.Store.
type Writer interface {
	Store
	Move(ctx context.Context, id envelope.QueueID, to spool.State, next time.Time, why string, at time.Time) error
	Delete(ctx context.Context, id envelope.QueueID, why string, at time.Time) error
}

// Change says what is to be done to which messages: those with these IDs, or
// all that a filter selects.
type Change struct {
	Action Action
	IDs    []envelope.QueueID
	Filter spool.Filter // counts without IDs
	By     string       // who wants it, for the history
}

// Progress is how far a change has come.
type Progress struct {
	Changed int      `json:"changed"`
	Skipped int      `json:"skipped"`          // in another state, or gone
	Errors  []string `json:"errors,omitempty"` // why, of the first ones
	Done    bool     `json:"done,omitempty"`
	Failed  string   `json:"failed,omitempty"` // why it stopped before the end
}

// maxErrors bounds the reasons that a Progress names.
const maxErrors = 10

// atOnce is how many messages are changed together; they share a commit.
const atOnce = 64

// Changer changes messages. Wake tells the delivery that a mailbox has mail.
type Changer struct {
	Store Writer
	Wake  func(mailbox envelope.Address)
	Now   func() time.Time
}

// Do makes a change and calls tell after each page; an error of tell ends it.
// A message that cannot be changed is skipped. What was accepted after the
// change began is left alone by a filter.
func (c *Changer) Do(ctx context.Context, ch Change, tell func(Progress) error) error {
	if len(ch.Action.defaultStates()) == 0 {
		return fmt.Errorf("%q is none of retry, hold, release, delete", ch.Action)
	}
	r := &running{Changer: c, Change: ch}
	err := r.pages(ctx, func(page []envelope.QueueID) error {
		if err := r.change(ctx, page); err != nil {
			return err
		}
		return tell(r.progress)
	})
	if err != nil {
		return err
	}
	r.progress.Done = true
	return tell(r.progress)
}

// running is a change under way.
type running struct {
	*Changer
	Change
	mu       sync.Mutex
	progress Progress
}

// pages hands over the IDs, some at a time.
func (r *running) pages(ctx context.Context, do func([]envelope.QueueID) error) error {
	for ids := r.IDs; len(ids) > 0; ids = ids[min(atOnce, len(ids)):] {
		if err := do(ids[:min(atOnce, len(ids))]); err != nil {
			return err
		}
	}
	if len(r.IDs) > 0 {
		return nil
	}
	f := r.Filter
	f.Limit = atOnce
	if len(f.States) == 0 {
		f.States = r.Action.defaultStates()
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

// change changes the messages of a page at once, and wakes their lanes.
func (r *running) change(ctx context.Context, page []envelope.QueueID) error {
	var all sync.WaitGroup
	var fatal error
	lanes := map[string]envelope.Address{}
	for _, id := range page {
		all.Go(func() {
			mailbox, err := r.one(ctx, id)
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case err == nil:
				r.progress.Changed++
				lanes[mailbox.Key()] = mailbox
			case errors.Is(err, spool.ErrState), errors.Is(err, spool.ErrNotFound):
				r.skip(err)
			default:
				fatal = err
			}
		})
	}
	all.Wait()
	if r.Wake != nil && (r.Action == Retry || r.Action == Release) {
		for _, mailbox := range lanes {
			r.Wake(mailbox)
		}
	}
	return fatal
}

func (r *running) skip(err error) {
	r.progress.Skipped++
	if len(r.progress.Errors) < maxErrors {
		r.progress.Errors = append(r.progress.Errors, err.Error())
	}
}

// one changes a message and returns its mailbox.
func (r *running) one(ctx context.Context, id envelope.QueueID) (envelope.Address, error) {
	m, err := r.Store.Get(ctx, id)
	if err != nil {
		return envelope.Address{}, err
	}
	now := r.Now()
	switch {
	case r.Action == Release && m.State != spool.Held:
		return m.Mailbox, fmt.Errorf("%w: message %s is %s, not held", spool.ErrState, id, m.State)
	case r.Action == HoldIt:
		err = r.Store.Move(ctx, id, spool.Held, time.Time{}, "held by the operator"+r.by()+"; to let it go: graphrelay queue release "+string(id), now)
	case r.Action == Delete:
		err = r.Store.Delete(ctx, id, "deleted by the operator"+r.by(), now)
	default:
		err = r.Store.Move(ctx, id, spool.Queued, now, "made due by the operator"+r.by(), now)
	}
	return m.Mailbox, err
}

func (r *running) by() string {
	if r.By == "" {
		return ""
	}
	return " (" + r.By + ")"
}
