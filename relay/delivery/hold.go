package delivery

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// hold is a spool.Hold with what only this run knows of it.
type hold struct {
	spool.Hold
	probing bool            // a probe is on its way
	ending  bool            // a probe passed; the hold blocks until the store has credited its time
	probed  map[string]bool // lanes that had their turn to probe an identity

	stopped map[string]envelope.Address // mailboxes that an identity's hold was seen to stop: they are credited also when they belong to another one by then
}

func newHold(s spool.Hold) *hold {
	x := &hold{Hold: s, probed: map[string]bool{}, stopped: map[string]envelope.Address{}}
	for _, m := range s.Mailboxes {
		x.stopped[m.Key()] = m
	}
	x.Mailboxes = nil
	return x
}

// stored is the hold as the store has it.
func (x *hold) stored() spool.Hold {
	s := x.Hold
	s.Mailboxes = x.seen()
	return s
}

func (x *hold) seen() (list []envelope.Address) {
	for _, key := range slices.Sorted(maps.Keys(x.stopped)) {
		list = append(list, x.stopped[key])
	}
	return list
}

// strike remembers that a message met the refusal that began a hold.
type strike struct {
	key    string
	at     time.Time
	passed bool // another message passed since at
	alone  int
}

// maxStrikes bounds the memory of strikes; forgetting one costs some attempts.
const maxStrikes = 4096

// holds are the holds in force. Memory leads, the store follows (save, finish).
type holds struct {
	store spool.Store
	turn  chan struct{} // one change at a time, so that what is stored is never older than what was

	mu      sync.Mutex
	byKey   map[string]*hold
	strikes map[envelope.QueueID]*strike
}

func newHolds(store spool.Store) *holds {
	return &holds{store: store, turn: make(chan struct{}, 1),
		byKey: map[string]*hold{}, strikes: map[envelope.QueueID]*strike{}}
}

// Keys of holds. The mailbox is written as its Key, so that two spellings share one hold.
func identityKey(name string) string            { return "identity:" + name }
func mailboxKey(m envelope.Address) string      { return "mailbox:" + m.Key() }
func routeKey(m envelope.Address) string        { return "route:" + m.Key() }
func sendAsKey(m, from envelope.Address) string { return "sendas:" + m.Key() + " from " + from.Key() }
func messageKeys(id string, r spool.Record) [3]string {
	return [3]string{identityKey(id), mailboxKey(r.Mailbox), sendAsKey(r.Mailbox, r.From)}
}

// scopeKey names the hold that an answer with this scope begins.
func scopeKey(scope outcome.Scope, identity string, r spool.Record) string {
	switch scope {
	case outcome.ScopeIdentity:
		return identityKey(identity)
	case outcome.ScopeSendAs:
		return sendAsKey(r.Mailbox, r.From)
	default:
		return mailboxKey(r.Mailbox)
	}
}

// restore takes over the holds of earlier runs; each is probed at once, for a
// restart is what often follows a repair.
func (h *holds) restore(stored []spool.Hold, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range stored {
		s.NextProbe = now
		h.byKey[s.Key] = newHold(s)
	}
}

// none tells whether there are neither holds nor strikes, as nearly always: then
// an answer need not be held against them.
func (h *holds) none() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.byKey) == 0 && len(h.strikes) == 0
}

// blocking returns the key of the hold that stops a whole lane, or "".
func (h *holds) blocking(identity string, mailbox envelope.Address) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.byKey) == 0 {
		return ""
	}
	for _, key := range []string{stopKey(identity), routeKey(mailbox), identityKey(identity), mailboxKey(mailbox)} {
		if h.byKey[key] != nil {
			return key
		}
	}
	return ""
}

// stops notes that hold key stops a mailbox, and tells whether that is news. It
// is of interest for an identity's hold only: others name their mailbox.
func (h *holds) stops(key string, mailbox envelope.Address) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.byKey[key]
	if x == nil || !x.Mailbox.IsZero() {
		return false
	}
	_, known := x.stopped[mailbox.Key()]
	x.stopped[mailbox.Key()] = mailbox
	return !known
}

// others lists the holds of other identities that were seen to stop a mailbox.
func (h *holds) others(identity string, mailbox envelope.Address) (out []spool.Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.byKey {
		if _, ok := x.stopped[mailbox.Key()]; ok && x.Identity != identity {
			out = append(out, x.Hold)
		}
	}
	return out
}

// froms lists the SendAs holds of a mailbox, in order of key.
func (h *holds) froms(mailbox envelope.Address) []spool.Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []spool.Hold
	for _, x := range h.byKey {
		if !x.From.IsZero() && x.Mailbox.Equal(mailbox) {
			out = append(out, x.Hold)
		}
	}
	slices.SortFunc(out, func(a, b spool.Hold) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// set begins a hold or refreshes one, and tells whether it began.
func (h *holds) set(s spool.Hold) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.byKey[s.Key]; x != nil {
		x.Status, x.Text, x.ending = s.Status, s.Text, false
		return false
	}
	h.byKey[s.Key] = newHold(s)
	return true
}

// struck notes that message id met the refusal of hold key, and returns how
// often in a row it did so after another message had passed.
func (h *holds) struck(id envelope.QueueID, key string, now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.strikes[id]
	if s == nil || s.key != key {
		h.makeRoom()
		h.strikes[id] = &strike{key: key, at: now}
		return 0
	}
	alone := 0
	if s.passed {
		s.alone++
		alone = s.alone
	}
	s.at, s.passed = now, false
	return alone
}

func (h *holds) makeRoom() {
	for id := range h.strikes {
		if len(h.strikes) < maxStrikes {
			return
		}
		delete(h.strikes, id)
	}
}

func (h *holds) forget(id envelope.QueueID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.strikes, id)
}

// passed notes that an attempt begun at began got by everything the keys name.
// It returns the holds that are thereby over, now ending. An attempt that was
// already under way when a hold began proves nothing about it.
func (h *holds) passed(keys []string, id envelope.QueueID, began time.Time) (over []spool.Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for other, s := range h.strikes {
		if other != id && began.After(s.at) && slices.Contains(keys, s.key) {
			s.passed = true
		}
	}
	for _, key := range keys {
		if x := h.byKey[key]; x != nil && !x.ending && began.After(x.Since) {
			x.ending = true
			over = append(over, x.Hold)
		}
	}
	return over
}

// end makes a hold end without a probe.
func (h *holds) end(key string) (over spool.Hold, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.byKey[key]
	if x == nil || x.ending {
		return spool.Hold{}, false
	}
	x.ending = true
	return x.Hold, true
}

// takeProbe lets lane send the probe of hold key if one is due, or tells when
// to ask again (zero: when woken). The lanes of an identity take turns: one
// that probed already stands back a second for the others.
func (h *holds) takeProbe(key, lane string, now time.Time) (ok bool, again time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.byKey[key]
	if _, stopped := Stopped(key); x == nil || x.probing || x.ending || stopped {
		return false, time.Time{}
	}
	if latest := now.Add(maxBackoff); x.NextProbe.After(latest) {
		x.NextProbe = latest // the clock was set back
	}
	turn := x.NextProbe
	if x.probed[lane] {
		turn = turn.Add(time.Second)
	}
	if now.Before(turn) {
		return false, turn
	}
	if x.probed[lane] {
		clear(x.probed)
	}
	if !x.Mailbox.IsZero() {
		clear(x.probed) // one lane only: nobody to stand back for
	} else {
		x.probed[lane] = true
	}
	x.probing = true
	return true, time.Time{}
}

// dropProbe gives a probe back that was not sent.
func (h *holds) dropProbe(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.byKey[key]; x != nil {
		x.probing = false
	}
}

// probeDone notes the outcome of a probe: when it did not pass, the next one is later.
func (h *holds) probeDone(key string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.byKey[key]
	if x == nil {
		return
	}
	x.probing = false
	if !x.ending {
		x.Probes++
		x.NextProbe = now.Add(probeAfter(x.Probes))
	}
}

// stoppedFor is how long a hold has stopped a message accepted at accepted.
func (h *holds) stoppedFor(key string, accepted, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.byKey[key]; x != nil {
		return max(now.Sub(later(x.Since, accepted)), 0)
	}
	return 0
}

// stoppedSince tells whether a hold of its own stops a mailbox since a time or
// longer.
func (h *holds) stoppedSince(mailbox envelope.Address, since time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range []string{routeKey(mailbox), mailboxKey(mailbox)} {
		if x := h.byKey[key]; x != nil && !x.Since.After(since) {
			return true
		}
	}
	return false
}

// probeNow makes holds due for a probe: those of the keys, or all.
func (h *holds) probeNow(now time.Time, keys ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, x := range h.byKey {
		if len(keys) == 0 || slices.Contains(keys, key) {
			x.NextProbe = now
			clear(x.probed)
		}
	}
}

// save writes a hold into the store as it is now. Ending holds are left to
// finish. Saying it twice does no harm.
func (h *holds) save(ctx context.Context, key string) error {
	return h.inTurn(ctx, key, func(copied spool.Hold, ending bool) error {
		if ending {
			return nil
		}
		return h.store.SetHold(ctx, copied)
	})
}

// finish ends a hold in the store, and then in memory, unless a refusal renewed
// it meanwhile. An identity's hold needs the mailboxes that it stops by now,
// beside those that it was seen to stop; none would be taken for everybody's.
// Those that a hold of their own stopped before it, and still does, are left
// out: the time of that one counts, and none counts twice.
func (h *holds) finish(ctx context.Context, key string, mailboxes []envelope.Address, now time.Time) (over bool, err error) {
	err = h.inTurn(ctx, key, func(copied spool.Hold, ending bool) error {
		if !ending {
			return nil
		}
		if copied.Mailbox.IsZero() {
			for _, m := range mailboxes {
				if !slices.ContainsFunc(copied.Mailboxes, m.Equal) {
					copied.Mailboxes = append(copied.Mailboxes, m)
				}
			}
			copied.Mailboxes = slices.DeleteFunc(copied.Mailboxes, func(m envelope.Address) bool { return h.stoppedSince(m, copied.Since) })
			if len(copied.Mailboxes) == 0 {
				copied.Since = now
			}
			if err := h.store.SetHold(ctx, copied); err != nil {
				return err
			}
		}
		if err := h.store.EndHold(ctx, key, now); err != nil && !errors.Is(err, spool.ErrNotFound) {
			return err
		}
		over = h.drop(key)
		return nil
	})
	return over, err
}

// inTurn does one change of the store at a time, with the state of the hold as
// it is then; nothing when there is none.
func (h *holds) inTurn(ctx context.Context, key string, do func(copied spool.Hold, ending bool) error) error {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.turn }()
	h.mu.Lock()
	x := h.byKey[key]
	if x == nil {
		h.mu.Unlock()
		return nil
	}
	copied, ending := x.stored(), x.ending
	h.mu.Unlock()
	return do(copied, ending)
}

// drop forgets a hold that the store has ended. One that a refusal renewed
// meanwhile stays; the refusal saves it again.
func (h *holds) drop(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.byKey[key]
	if x == nil || !x.ending {
		return false
	}
	delete(h.byKey, key)
	return true
}

// list returns copies of the holds in order of key.
func (h *holds) list() []spool.Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]spool.Hold, 0, len(h.byKey))
	for _, key := range slices.Sorted(maps.Keys(h.byKey)) {
		out = append(out, h.byKey[key].Hold)
	}
	return out
}

// missingRoute is the hold of a mailbox that the configuration does not name.
func missingRoute(m envelope.Address, now time.Time) spool.Hold {
	return spool.Hold{Key: routeKey(m), Mailbox: m, Status: reply.Enhanced{4, 3, 5}, Since: now, NextProbe: now,
		Text: "no sender in the configuration uses this mailbox; add it under senders: and reload, or delete its messages with graphrelay queue delete"}
}

// postpone puts off the probe of a SendAs hold for which there is no message;
// other holds keep their time, for the lane is quiet until it has mail.
func (h *holds) postpone(key string, to time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.byKey[key]; x != nil && !x.From.IsZero() {
		x.NextProbe = to
	}
}
