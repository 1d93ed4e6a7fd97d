//go:build postgres

package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres/pgtest"
)

// pair opens two nodes of one database at the same time: they make one set of tables.
func pair(t *testing.T, o Options) (one, other *Store) {
	t.Helper()
	o.URL = server.Database(t)
	var opening sync.WaitGroup
	opening.Go(func() { one = open(t, o) })
	opening.Go(func() { other = open(t, o) })
	opening.Wait()
	return one, other
}

func mailboxes(t *testing.T, n int) (list []envelope.Address) {
	for i := range n {
		a, err := envelope.ParseAddress(fmt.Sprintf("box%d@example.org", i))
		must(t, err)
		list = append(list, a)
	}
	return list
}

func acceptFor(s spool.Store, mailbox envelope.Address) error {
	m := newMessage()
	m.Mailbox = mailbox
	return accept(s, m, "body")
}

// lanesOf is which of the mailboxes a node sends the mail of.
func lanesOf(s *Store, boxes []envelope.Address) (list []envelope.Address) {
	for _, box := range boxes {
		if s.Mine(box) {
			list = append(list, box)
		}
	}
	return list
}

// Both nodes take mail in; each mailbox is one node's, no node has more than its part, and what one
// took in for the other's the other sends.
func TestLanesAreShared(t *testing.T) {
	t.Parallel() // it waits for times of the database
	one, other := pair(t, Options{})
	boxes := mailboxes(t, 8)
	for _, box := range boxes {
		must(t, acceptFor(one, box))
		must(t, acceptFor(other, box))
	}
	await(t, "each mailbox to be one node's, and neither to have more than 4 of 8", func() bool {
		a, b := len(lanesOf(one, boxes)), len(lanesOf(other, boxes))
		return a+b == len(boxes) && a <= 4 && b <= 4
	})
	for _, box := range boxes {
		owner, stranger := one, other
		if other.Mine(box) {
			owner, stranger = other, one
		}
		all := spool.Claim{Mailbox: box, Now: time.Now(), Limit: 10}
		if taken, err := stranger.Claim(t.Context(), all); err != nil || len(taken) > 0 {
			t.Errorf("claimed %d of another node's, %v", len(taken), err)
		}
		taken := 0
		await(t, "both messages to be claimed", func() bool {
			list, err := owner.Claim(t.Context(), spool.Claim{Mailbox: box, Now: time.Now(), Limit: 10})
			must(t, err)
			taken += len(list)
			return taken == 2
		})
	}
	if one.Leads() == other.Leads() {
		t.Errorf("leads: %t and %t", one.Leads(), other.Leads())
	}
	nodes, err := one.Nodes(t.Context())
	if err != nil || len(nodes) != 2 || nodes[0].This == nodes[1].This ||
		nodes[0].Lanes+nodes[1].Lanes != len(boxes) {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
}

// A node that joins gets lanes of one that has them all, but none with an attempt under way; with
// the lane goes its pace. A node that ends gives up its lanes at once.
func TestNodeJoinsAndLeaves(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	one, boxes := open(t, Options{URL: database}), mailboxes(t, 8)
	sending := map[envelope.Address]spool.Record{}
	for _, box := range boxes {
		must(t, acceptFor(one, box))
		taken, err := one.Claim(t.Context(), spool.Claim{Mailbox: box, Now: time.Now()})
		must(t, err)
		sending[box] = taken[0]
		one.Carry(box, "pace of "+box.String())
	}
	other := open(t, Options{URL: database})
	given := func() (list []envelope.Address) {
		for _, box := range boxes {
			if !one.Mine(box) {
				list = append(list, box)
			}
		}
		return list
	}
	await(t, "lanes to be given up", func() bool { return len(given()) == 4 })
	for _, box := range boxes {
		must(t, acceptFor(other, box))
	}
	time.Sleep(2 * time.Second) // of the ticks in which nothing may happen
	if got := lanesOf(other, boxes); len(got) > 0 {
		t.Errorf("%v are given with an attempt under way", got)
	}
	for _, box := range given() {
		m := sending[box]
		must(t, one.Settle(t.Context(), spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Sent, At: time.Now()}))
	}
	await(t, "the other to have them", func() bool { return len(lanesOf(other, boxes)) == 4 })
	for _, box := range lanesOf(other, boxes) {
		if got := other.Carried(box); got != "pace of "+box.String() || other.Elsewhere(box) != 0 {
			t.Errorf("carried %q, %d elsewhere", got, other.Elsewhere(box))
		}
	}
	last := lanesOf(other, boxes)[0]
	other.Carry(last, "the last pace")
	must(t, other.Close())
	await(t, "the first to have all again", func() bool { return len(lanesOf(one, boxes)) == len(boxes) })
	if got := one.Carried(last); got != "the last pace" {
		t.Errorf("carried %q from a node that ended", got)
	}
}

// Two nodes that change one message at the same time do so one after the other.
func TestTwoNodesChangeOneMessage(t *testing.T) {
	one, other := pair(t, Options{})
	for range 40 {
		m := acceptSoon(t, one)
		var claimed []spool.Record
		var deleted error
		var both sync.WaitGroup
		both.Go(func() { claimed, _ = claim(one) })
		both.Go(func() { deleted = other.Delete(t.Context(), m.ID, "", time.Now()) })
		both.Wait()
		if (len(claimed) == 1) == (deleted == nil) {
			t.Fatalf("claimed %d, deleted: %v", len(claimed), deleted)
		}
		if len(claimed) == 1 {
			if _, err := one.Open(t.Context(), m.ID); err != nil {
				t.Errorf("the body of a claimed message: %v", err)
			}
			must(t, one.Settle(t.Context(), spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Sent, At: time.Now()}))
		}
	}
}

// While both take in mail no message is lost or has the number of another, and what is counted
// comes to be right on both.
func TestBothAccept(t *testing.T) {
	one, other := pair(t, Options{})
	const each = 150
	var all sync.WaitGroup
	for _, s := range []*Store{one, other} {
		for range 4 {
			all.Go(func() {
				for range each {
					if err := acceptFor(s, box); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	for _, s := range []*Store{one, other} {
		await(t, "the counts to be right", func() bool {
			stats, err := s.Stats(t.Context())
			must(t, err)
			return stats.Queued == 8*each
		})
		list, err := s.List(t.Context(), spool.Filter{Find: "box@example.org", Limit: 1000})
		if err != nil || len(list) != 1000 {
			t.Errorf("found %d, %v", len(list), err)
		}
	}
}

// A node takes no mailbox that its configuration has not, as long as another may have it; what none
// has, one takes all the same.
func TestUnknownMailboxes(t *testing.T) {
	t.Parallel() // it waits for times of the database
	boxes := mailboxes(t, 3)
	database := server.Database(t)
	knows := func(known envelope.Address) func(envelope.Address) bool {
		return func(box envelope.Address) bool { return box == known }
	}
	one := open(t, Options{URL: database, Sends: knows(boxes[0])})
	other := open(t, Options{URL: database, Sends: knows(boxes[1])})
	for _, box := range boxes {
		must(t, acceptFor(one, box))
		must(t, acceptFor(other, box))
	}
	await(t, "each to have what it knows", func() bool { return one.Mine(boxes[0]) && other.Mine(boxes[1]) })
	await(t, "one to have what none knows", func() bool { return one.Mine(boxes[2]) || other.Mine(boxes[2]) })
	if one.Mine(boxes[1]) || other.Mine(boxes[0]) {
		t.Error("a node has a mailbox that the other one knows")
	}
}

// A message whose first attempt was reserved when another node came to have the lane is accepted, and
// waits for that node.
func TestAttemptInTheLaneOfAnother(t *testing.T) {
	one, other := pair(t, Options{})
	acceptSoon(t, one)
	await(t, "the lane to be one node's", func() bool { return one.Mine(box) != other.Mine(box) })
	if one.Mine(box) {
		one, other = other, one
	}
	await(t, "the other to know", func() bool { _, free := one.host.share.mine(box.Key()); return !free })
	m := newMessage()
	d, err := one.Begin(t.Context(), "", 0)
	must(t, err)
	d.Attempt(time.Now())
	must(t, d.Commit(t.Context(), m))
	if r, err := one.Get(t.Context(), m.ID); err != nil || d.Attempted() || r.State != spool.Queued || r.Attempts != 0 {
		t.Errorf("attempted %t, %+v, %v", d.Attempted(), r, err)
	}
	must(t, func() error {
		d, err := other.Begin(t.Context(), "", 0)
		if err == nil {
			d.Attempt(time.Now())
			err = d.Commit(t.Context(), newMessage())
		}
		if err == nil && !d.Attempted() {
			t.Error("the node that has the lane records no attempt")
		}
		return err
	}())
}

// What a node took in just before it stopped the other sends, and what one takes in that has just
// joined, soon: each counts anew when the nodes change.
func TestNodesThatComeAndGoAreCounted(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	one, boxes := open(t, Options{URL: database}), mailboxes(t, 12)
	claimed := func() (n int) {
		for _, box := range boxes {
			_ = one.Mine(box)
			list, err := one.Claim(t.Context(), spool.Claim{Mailbox: box, Now: time.Now(), Limit: 10})
			must(t, err)
			n += len(list)
		}
		return n
	}
	must(t, acceptFor(one, boxes[0]))
	await(t, "the first to have a lane", func() bool { return claimed() == 1 })
	time.Sleep(3 * time.Second) // until it has counted alone
	other := open(t, Options{URL: database})
	began := time.Now()
	must(t, acceptFor(other, boxes[0]))
	await(t, "what one that has joined took in", func() bool { return claimed() == 1 })
	if waited := time.Since(began); waited > countAlone/2 {
		t.Errorf("it waited for %s", waited)
	}
	for _, box := range boxes {
		must(t, acceptFor(other, box))
	}
	must(t, other.Close())
	all := 0
	await(t, "what one that has stopped took in", func() bool { all += claimed(); return all == len(boxes) })
}

// A node whose lanes are another one's in the database gives them up, whatever it believes.
func TestLaneThatWasGivenUnheard(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	one := open(t, Options{URL: database})
	acceptSoon(t, one)
	await(t, "the lane", func() bool { return one.Mine(box) })
	server.Exec(t, pgtest.Name(database), "UPDATE graphrelay.lane SET node = 7 WHERE lane <> ''")
	await(t, "the node to know", func() bool { return !one.Mine(box) })
}
