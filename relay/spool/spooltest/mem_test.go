package spooltest_test

import (
	"errors"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

func TestMemConforms(t *testing.T) {
	spooltest.Run(t, func(_ *testing.T, now func() time.Time) spool.Store { return spooltest.NewMem(now) })
}

func TestMemIsShared(t *testing.T) {
	spooltest.RunShare(t, func(_ *testing.T, now func() time.Time) spool.Store {
		s := spooltest.NewMem(now)
		s.Inject(func(f *spooltest.Faults) { f.MaxMessages = spooltest.Limit })
		return s
	})
}

// Faults fail what they name, change nothing, and end when they are taken away.
func TestMemFaults(t *testing.T) {
	s, broken := spooltest.NewMem(nil), errors.New("input/output error")
	mailbox, err := envelope.ParseAddress("box@example.org")
	if err != nil {
		t.Fatal(err)
	}
	m := spool.Message{ID: envelope.NewQueueID(time.Now()), Mailbox: mailbox, From: mailbox, Accepted: time.Now()}
	r := spool.Record{Message: m, State: spool.Queued, NextAttempt: m.Accepted}
	if err := s.Put(r, []byte("body")); err != nil {
		t.Fatal(err)
	}
	claim := spool.Claim{Mailbox: mailbox, Now: time.Now().Add(time.Second), Limit: 1}
	for _, fault := range []func(*spooltest.Faults){
		func(f *spooltest.Faults) { f.Err = broken },
		func(f *spooltest.Faults) {
			f.Err, f.FailIf = nil, func(op string, _ envelope.QueueID) error {
				if op == "claim" {
					return broken
				}
				return nil
			}
		},
	} {
		s.Inject(fault)
		if _, err := s.Claim(t.Context(), claim); !errors.Is(err, broken) {
			t.Errorf("Claim = %v, want the fault", err)
		}
		if r, err := s.Get(t.Context(), m.ID); err != nil || r.State != spool.Queued || r.Attempts != 0 {
			t.Errorf("after a failed claim: %+v, %v", r, err)
		}
	}
	s.Inject(func(f *spooltest.Faults) { *f = spooltest.Faults{OpenErr: spool.ErrDamaged} })
	if _, err := s.Open(t.Context(), m.ID); !errors.Is(err, spool.ErrDamaged) {
		t.Errorf("Open = %v, want ErrDamaged", err)
	}
	if got, err := s.Claim(t.Context(), claim); err != nil || len(got) != 1 {
		t.Errorf("Claim = %v, %v", got, err)
	}
	if seen := s.Seen(); seen.Claims != 1 || seen.MaxActive[mailbox.Key()] != 1 {
		t.Errorf("seen %+v", seen)
	}
}
