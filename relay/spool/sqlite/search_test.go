package sqlite

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/tables"
)

// The suite's stores are small, and so every word in them is rare. Here none
// is: the way by state with all its words must find the same.
func TestSearchByStateFindsWhatWordsFind(t *testing.T) {
	s := open(t, newPath(t))
	for i := range 40 {
		m := newMessage(t, mailboxOf(i%2))
		m.ID = envelope.NewQueueID(start().Add(time.Duration(i) * time.Second))
		m.Envelope.Recipients = []envelope.Address{
			address(t, fmt.Sprintf("to%d@example.org", i%5)),
			address(t, "all@example.org"),
		}
		m.Client.Name, m.MessageID = fmt.Sprintf("client%d", i%3), fmt.Sprintf("<%d@example.org>", i%7)
		m.Client.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 4)}), 25)
		accept(t, s, m, []byte("x"))
	}
	for _, f := range []spool.Filter{
		{Recipient: address(t, "to3@example.org")}, {Recipient: address(t, "all@example.org"), Client: "client2"},
		{Mailbox: address(t, mailboxOf(1)), MessageID: "<5@example.org>"}, {ClientIP: netip.MustParseAddr("192.0.2.3")},
		{Sender: address(t, mailboxOf(0)), Recipient: address(t, "to3@example.org"), Newest: true, Limit: 2},
	} {
		f.States = []spool.State{spool.Queued, spool.Held}
		var found [2][]spool.Record
		for i, sparse := range []int64{s.Sparse, 0} {
			s.Sparse = sparse
			var err error
			if found[i], err = s.List(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		same := slices.EqualFunc(found[0], found[1], func(a, b spool.Record) bool { return a.ID == b.ID })
		if len(found[0]) == 0 || !same {
			t.Errorf("%+v: %d by word, %d by state", f, len(found[0]), len(found[1]))
		}
	}
}

// What is deleted for good leaves no word behind.
func TestWordsGoWithTheirMessage(t *testing.T) {
	s := open(t, newPath(t))
	m := accept(t, s, newMessage(t, "box@example.org"), []byte("x"))
	if err := s.Delete(t.Context(), m.ID, "test", start()); err != nil {
		t.Fatal(err)
	}
	must(t, s.Change(t.Context(), false, func(t *tables.Tx) error { return t.WriteWords(1) }))
	if n := count(t, s, "word"); n != 6 {
		t.Errorf("%d words, want 6: sender, client, its address, Message-ID, two recipients", n)
	}
	if err := s.Sweep(t.Context(), start().Add(time.Hour), time.Minute, time.Minute); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, "word"); n != 0 {
		t.Errorf("%d words are left", n)
	}
}

// Messages to many take several steps of the sweeper, and all of them go.
func TestSweepOfMessagesToMany(t *testing.T) {
	s := open(t, newPath(t))
	for range 30 {
		m := newMessage(t, "box@example.org")
		m.Envelope.Recipients = nil
		for i := range 100 {
			m.Envelope.Recipients = append(m.Envelope.Recipients, address(t, fmt.Sprintf("to%d@example.org", i)))
		}
		accept(t, s, m, []byte("x"))
		if err := s.Delete(t.Context(), m.ID, "test", start()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(t.Context(), start().Add(time.Hour), time.Minute, time.Minute); err != nil {
		t.Fatal(err)
	}
	if words, left := count(t, s, "word"), count(t, s, "message"); words+left != 0 {
		t.Errorf("%d words and %d messages are left", words, left)
	}
}
