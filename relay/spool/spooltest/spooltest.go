// Package spooltest has the suite that every store of relay/spool passes, and Mem,
// a store in memory for the tests of packages that use a queue. An engine runs the
// suite from its own tests:
//
//	spooltest.Run(t, func(t *testing.T, now func() time.Time) spool.Store { ... })
//
// The suite knows the contract and nothing of the engine. What only an engine can
// do (survive a crash, a full disk, a damaged file) is tested beside the engine.
package spooltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// Open makes an empty store for one test and closes it at its end. now is the
// clock for the store.
type Open func(t *testing.T, now func() time.Time) spool.Store

// Run runs the whole suite, each test on a store of its own.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"CommitKeepsEverything", commitKeepsEverything},
		{"CommitOfBodies", commitOfBodies},
		{"DraftEndsOnce", draftEndsOnce},
		{"DuplicateID", duplicateID},
		{"CommitWithAttempt", commitWithAttempt},
		{"CommitWithAttemptTakenBack", commitWithAttemptTakenBack},
		{"CommitWithAttemptRefused", commitWithAttemptRefused},
		{"SeekAndRead", seekAndRead},
		{"OpenErrors", openErrors},
		{"ClaimOrder", claimOrder},
		{"ClaimLanes", claimLanes},
		{"ClaimExceptFrom", claimExceptFrom},
		{"ClaimTurns", claimTurns},
		{"ClaimTurnsProbe", claimTurnsProbe},
		{"ClaimTurnAfter", claimTurnAfter},
		{"ClaimSaysWhenTheRestIsDue", claimSaysWhenTheRestIsDue},
		{"ClaimOnlyFrom", claimOnlyFrom},
		{"ClaimBySize", claimBySize},
		{"TurnsWait", turnsWait},
		{"ClaimProbe", claimProbe},
		{"ClaimTriedBefore", claimTriedBefore},
		{"SettleEachState", settleEachState},
		{"SettleErrors", settleErrors},
		{"SettleAgain", settleAgain},
		{"Unclaim", unclaim},
		{"NothingIsElsewhere", nothingIsElsewhere},
		{"MoveHoldRelease", moveHoldRelease},
		{"MoveErrors", moveErrors},
		{"Retry", retry},
		{"History", history},
		{"Histories", histories},
		{"ListFilters", listFilters},
		{"ListPages", listPages},
		{"Search", search},
		{"SearchPages", searchPages},
		{"SearchTimes", searchTimes},
		{"ByMessageID", byMessageID},
		{"Delete", deleteMessage},
		{"LanesAndStats", lanesAndStats},
		{"Shown", shown},
		{"HoldsKeep", holdsKeep},
		{"EndHoldArithmetic", endHoldArithmetic},
		{"EndHoldScope", endHoldScope},
		{"EndHoldMany", endHoldMany},
		{"HoldsOfTwoNodes", holdsOfTwoNodes},
		{"ReportsOwed", reportsOwed},
		{"Bounces", bounces},
		{"BouncesReported", bouncesReported},
		{"Notes", notes},
		{"ReportsCommit", reportsCommit},
		{"DelayWarning", delayWarning},
		{"SentRecipients", sentRecipients},
		{"RefusalsCount", refusalsCount},
		{"RefusalsFound", refusalsFound},
		{"RefusalsBounded", refusalsBounded},
		{"RefusalsSwept", refusalsSwept},
		{"Sweep", sweep},
		{"SweepKeepsHistory", sweepKeepsHistory},
		{"Concurrency", concurrency},
		{"ConcurrentBodies", concurrentBodies},
		{"CancelledContext", cancelledContext},
		{"Closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newFixture(t, open)) })
	}
}

// fixture is a store, its clock, and short names for what tests do with them.
type fixture struct {
	*testing.T
	ctx   context.Context
	store spool.Store
	clock time.Time
	ids   int64
}

func newFixture(t *testing.T, open Open) *fixture {
	f := &fixture{T: t, ctx: t.Context(), clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	f.store = open(t, func() time.Time { return f.clock })
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// wants fails unless err is want; nil wants nil.
func (f *fixture) wants(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("error is %v, want %v", err, want)
	}
}

func addr(s string) envelope.Address {
	a, err := envelope.ParseAddress(s)
	if err != nil {
		panic(err) // a literal of a test
	}
	return a
}

// message makes a message for a mailbox, accepted now. Each has a later queue ID.
func (f *fixture) message(mailbox string) spool.Message {
	f.ids++
	return spool.Message{
		ID: envelope.NewQueueID(f.clock.Add(time.Duration(f.ids) * time.Millisecond)),
		Envelope: envelope.Envelope{
			ReversePath: addr("from@example.org"),
			Recipients:  []envelope.Address{addr("one@example.net"), addr("two@example.net")},
		},
		Client: envelope.Client{
			Name:  "erp",
			Addr:  netip.MustParseAddrPort("192.0.2.7:2525"),
			Helo:  "erp.local",
			Login: "scanner",
		},
		Mailbox:    addr(mailbox),
		From:       addr(mailbox),
		MessageID:  fmt.Sprintf("<%d@example.org>", f.ids),
		Subject:    "=?utf-8?q?B=C3=A4r?=",
		HeaderSize: 7,
		Accepted:   f.clock,
	}
}

func store(ctx context.Context, s spool.Store, m spool.Message, body []byte) error {
	d, err := s.Begin(ctx, "", int64(len(body)))
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := io.Copy(onlyWriter{d}, bytes.NewReader(body)); err != nil {
		return err
	}
	return d.Commit(ctx, m)
}

// onlyWriter hides every other method, so that io.Copy writes in pieces.
type onlyWriter struct{ io.Writer }

func (f *fixture) put(m spool.Message) spool.Message {
	f.Helper()
	f.must(store(f.ctx, f.store, m, []byte("A: b\r\n\r\nbody\r\n")))
	return m
}

// accept stores a small message for a mailbox.
func (f *fixture) accept(mailbox string) spool.Message {
	f.Helper()
	return f.put(f.message(mailbox))
}

func (f *fixture) claim(mailbox string, limit int) []spool.Record {
	f.Helper()
	got, err := f.store.Claim(f.ctx, spool.Claim{Mailbox: addr(mailbox), Now: f.clock, Limit: limit})
	f.must(err)
	return got
}

// active accepts a message and claims it.
func (f *fixture) active(mailbox string) spool.Record {
	f.Helper()
	f.accept(mailbox)
	got := f.claim(mailbox, 1)
	if len(got) != 1 {
		f.Fatalf("claimed %d messages, want 1", len(got))
	}
	return got[0]
}

func (f *fixture) settle(r spool.Record, state spool.State, change ...func(*spool.Settlement)) error {
	s := spool.Settlement{
		ID: r.ID, Attempt: r.Attempts, State: state, NextAttempt: f.clock.Add(time.Minute),
		Status: reply.Enhanced{4, 7, 12}, Text: "an outcome", RequestID: "request-1", HTTPStatus: 503,
		Duration: 250 * time.Millisecond, At: f.clock,
	}
	for _, c := range change {
		c(&s)
	}
	return f.store.Settle(f.ctx, s)
}

func (f *fixture) get(id envelope.QueueID) spool.Record {
	f.Helper()
	r, err := f.store.Get(f.ctx, id)
	f.must(err)
	return r
}

func (f *fixture) wantState(id envelope.QueueID, want spool.State) spool.Record {
	f.Helper()
	r := f.get(id)
	if r.State != want {
		f.Fatalf("message %s is %s, want %s", id, r.State, want)
	}
	return r
}

func (f *fixture) body(id envelope.QueueID) []byte {
	f.Helper()
	r, err := f.store.Open(f.ctx, id)
	f.must(err)
	b, err := io.ReadAll(r)
	f.must(err)
	f.must(r.Close())
	return b
}

func (f *fixture) kinds(id envelope.QueueID) []spool.EventKind {
	f.Helper()
	events, err := f.store.History(f.ctx, id)
	f.must(err)
	var kinds []spool.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// noise makes bytes that differ everywhere, so that swapped chunks are noticed.
func noise(size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func ids(records []spool.Record) []envelope.QueueID {
	var list []envelope.QueueID
	for _, r := range records {
		list = append(list, r.ID)
	}
	return list
}

func idsOf(messages ...spool.Message) []envelope.QueueID {
	var list []envelope.QueueID
	for _, m := range messages {
		list = append(list, m.ID)
	}
	return list
}
