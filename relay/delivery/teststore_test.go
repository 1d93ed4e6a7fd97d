package delivery

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

var errDisk = errors.New("input/output error")

// testStore is a store in memory with short words for what these tests do to it.
type testStore struct {
	*spooltest.Mem
	seq     int
	follows bool // another node leads
}

func (s *testStore) Leads() bool { return !s.follows }

func newTestStore() *testStore { return &testStore{Mem: spooltest.NewMem(nil)} }

func addr(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// put commits a message and returns its ID, which grows.
func (s *testStore) put(mailbox, from envelope.Address, change ...func(*spool.Record)) envelope.QueueID {
	return s.putBody("body", mailbox, from, change...)
}

func (s *testStore) putBody(
	body string, mailbox, from envelope.Address, change ...func(*spool.Record),
) envelope.QueueID {
	s.seq++
	id := envelope.QueueID(fmt.Sprintf("%016d", s.seq))
	r := spool.Record{
		Message: spool.Message{
			ID:             id,
			Mailbox:        mailbox,
			From:           from,
			ConfiguredFrom: true,
			Accepted:       time.Now(),
			Size:           4,
			MessageID:      "<" + string(id) + "@test>",
			Client:         envelope.Client{Name: "local"},
		},
		State:       spool.Queued,
		NextAttempt: time.Now(),
	}
	for _, c := range change {
		c(&r)
	}
	if err := s.Put(r, []byte(body)); err != nil {
		panic(err) // the IDs are new
	}
	return id
}

// putSent stores what a mailbox sent to so many recipients.
func (s *testStore) putSent(mailbox envelope.Address, at time.Time, recipients int) {
	s.put(mailbox, mailbox, func(r *spool.Record) {
		r.State, r.FinishedAt, r.BodyGone = spool.Sent, at, true
		r.Envelope.Recipients = make([]envelope.Address, recipients)
	})
}

// fail has a message fail outside an attempt.
func (s *testStore) fail(t testing.TB, id envelope.QueueID) {
	t.Helper()
	if err := s.Move(context.Background(), id, spool.Failed, time.Time{}, "", time.Now()); err != nil {
		t.Fatal(err)
	}
}

// disk makes every change fail, or with nil none.
func (s *testStore) disk(err error) {
	s.Inject(func(f *spooltest.Faults) { f.Err = err })
}

// slow makes every change take a time.
func (s *testStore) slow(each time.Duration) {
	s.Inject(func(f *spooltest.Faults) { f.Latency = each })
}

// failIf makes chosen changes fail, or with nil none.
func (s *testStore) failIf(choose func(op string, id envelope.QueueID) error) {
	s.Inject(func(f *spooltest.Faults) { f.FailIf = choose })
}

func (s *testStore) get(id envelope.QueueID) spool.Record {
	r, _ := s.Get(context.Background(), id)
	return r
}

func (s *testStore) holds() []spool.Hold {
	list, _ := s.Holds(context.Background())
	return list
}

// reports lists the reports in the store, in order.
func (s *testStore) reports() (out []spool.Record) {
	for _, r := range s.All() {
		if r.ReportOf != "" {
			out = append(out, r)
		}
	}
	return out
}
