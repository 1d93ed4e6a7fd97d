package tables

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

const holdColumns = "k, mailbox, mailboxes, sender, identity, status, text, since, probes, next_probe"

func readHold(r *db.Row) (spool.Hold, error) {
	h := spool.Hold{
		Key: r.Str(), Mailbox: readAddress(r), Mailboxes: readAddresses(r), From: readAddress(r),
		Identity: r.Str(), Status: statusOf(r.Int()), Text: r.Str(),
		Since: timeOf(r.Int()), Probes: int(r.Int()), NextProbe: timeOf(r.Int()),
	}
	h.Client, h.Above = spool.ClientOf(h.Key, h.Mailbox), spool.AboveOf(h.Key, h.Mailbox)
	return h, r.Err
}

// Holds implements spool.Reader, in order of their keys.
func (v *Reader) Holds(ctx context.Context) ([]spool.Hold, error) {
	return db.Read(ctx, v.Readers, readHolds)
}

func readHolds(c *db.Conn) ([]spool.Hold, error) {
	return db.All(c, "SELECT "+holdColumns+" FROM hold ORDER BY k", nil, readHold)
}

// SetHold implements spool.Lanes.
func (s *Store) SetHold(ctx context.Context, h spool.Hold) error {
	return s.Change(ctx, true, func(t *Tx) error {
		// Where another node makes or ends it at this moment, the conflict has this done again.
		before, err := t.Exec("DELETE FROM hold WHERE k = ?", h.Key)
		switch {
		case err != nil:
			return err
		case before == 0 && h.Saved:
			return spool.ErrNotFound
		}
		return t.Run("INSERT INTO hold ("+holdColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			h.Key, h.Mailbox.String(), joinLines(h.Mailboxes, envelope.Address.String), h.From.String(), h.Identity,
			statusCode(h.Status), spool.CutText(h.Text), nanos(h.Since), int64(h.Probes), nanos(h.NextProbe))
	})
}

// EndHold implements spool.Lanes. It returns no error for an unknown key. The
// messages that the hold stopped are those of its mailbox (of all its mailboxes)
// and its From that are Queued or Sending. HeldFor never exceeds
// the age of a message, however many holds overlapped.
//
// A hold may have stopped a hundred thousand messages, so their time is added
// in small steps. The rest of the work is kept in the table ending: a crash in
// the middle loses nothing and counts nothing twice.
func (s *Store) EndHold(ctx context.Context, key string, at time.Time, mailboxes ...envelope.Address) error {
	err := s.Change(ctx, true, func(t *Tx) error { return turnIntoEnding(t.Conn, key, at, mailboxes) })
	if err != nil {
		return err
	}
	return s.addHeldTimes(ctx)
}

// turnIntoEnding replaces a hold by the work that is left to do to end it.
func turnIntoEnding(c *db.Conn, key string, at time.Time, mailboxes []envelope.Address) error {
	found, err := db.All(c, "SELECT "+holdColumns+" FROM hold WHERE k = ?", []any{key}, readHold)
	if err != nil || len(found) == 0 {
		return err
	}
	hold := found[0]
	switch {
	case !hold.Mailbox.IsZero():
		hold.Mailboxes = []envelope.Address{hold.Mailbox}
	case mailboxes != nil:
		hold.Mailboxes = mailboxes
	}
	sender := hold.From.Key()
	switch {
	case hold.Client != "":
		sender = ofClient + hold.Client
	case hold.Above > 0:
		sender = ofSize + strconv.FormatInt(hold.Above, 10)
	}
	if err := c.Run("DELETE FROM hold WHERE k = ?", key); err != nil {
		return err
	}
	return c.Run("INSERT INTO ending (mailboxes, sender, since, until, cursor) VALUES (?, ?, ?, ?, '')",
		joinLines(hold.Mailboxes, envelope.Address.Key), sender, nanos(hold.Since), nanos(at))
}

// addHeldTimes runs steps until no ending is left.
func (s *Store) addHeldTimes(ctx context.Context) error {
	for done := false; !done; {
		err := s.big(ctx, func(t *Tx) (err error) {
			done, err = addSomeHeldTimes(t.Conn)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ofClient and ofSize begin ending.sender where it names a client, or the size above
// which messages were stopped: no address begins so.
const (
	ofClient = "client:"
	ofSize   = "above:"
)

// endingSize is how many messages one step looks at.
const endingSize = 500

// ending is a hold that is over and whose time is being added to the messages
// it stopped, in order of their queue IDs.
type ending struct {
	number       int64
	lanes        []string
	sender       string // "" any; ofClient: a client; ofSize: a size
	since, until time.Time
	cursor       string
}

// addSomeHeldTimes adds the time to some messages; done is true when nothing is left to do.
func addSomeHeldTimes(c *db.Conn) (done bool, err error) {
	const first = "SELECT e, mailboxes, sender, since, until, cursor FROM ending ORDER BY e LIMIT 1"
	found, err := db.All(c, first, nil, readEnding)
	if err != nil || len(found) == 0 {
		return err == nil, err
	}
	e := found[0]
	candidates, err := e.candidates(c)
	if err != nil {
		return false, err
	}
	if len(candidates) == 0 {
		return false, c.Run("DELETE FROM ending WHERE e = ?", e.number)
	}
	for _, m := range candidates {
		if err := e.addTo(c, m); err != nil {
			return false, err
		}
	}
	last := candidates[len(candidates)-1].id
	return false, c.Run("UPDATE ending SET cursor = ? WHERE e = ?", string(last), e.number)
}

func readEnding(r *db.Row) (ending, error) {
	e := ending{number: r.Int()}
	if lanes := r.Str(); lanes != "" {
		e.lanes = strings.Split(lanes, "\n")
	}
	e.sender, e.since, e.until, e.cursor = r.Str(), timeOf(r.Int()), timeOf(r.Int()), r.Str()
	return e, nil
}

// stoppedMessage is the part of a message that an ending needs.
type stoppedMessage struct {
	n            int64
	id           envelope.QueueID
	lane, sender string
	client       string
	size         int64
	accepted     time.Time
	heldFor      time.Duration
}

// candidates reads the next Queued and Sending messages behind the cursor. A message
// that changes between these states keeps its queue ID and so is met exactly once.
func (e *ending) candidates(c *db.Conn) ([]stoppedMessage, error) {
	var list []stoppedMessage
	for _, state := range []int64{codeQueued, codeSending} {
		some, err := db.All(c, `SELECT n, id, lane, sender, client, size, accepted, held_for
			FROM message INDEXED BY by_state WHERE state = ? AND id > ? ORDER BY id LIMIT ?`,
			[]any{state, e.cursor, int64(endingSize)}, readStopped)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	slices.SortFunc(list, func(a, b stoppedMessage) int { return strings.Compare(string(a.id), string(b.id)) })
	return list[:min(endingSize, len(list))], nil
}

func readStopped(r *db.Row) (stoppedMessage, error) {
	return stoppedMessage{
		n: r.Int(), id: envelope.QueueID(r.Str()), lane: r.Str(), sender: r.Str(), client: r.Str(),
		size: r.Int(), accepted: timeOf(r.Int()), heldFor: time.Duration(r.Int()),
	}, nil
}

// stopped reports whether the hold stopped a message of its lanes.
func (e *ending) stopped(m stoppedMessage) bool {
	if client, ok := strings.CutPrefix(e.sender, ofClient); ok {
		return m.client == client
	}
	if size, ok := strings.CutPrefix(e.sender, ofSize); ok {
		above, err := strconv.ParseInt(size, 10, 64)
		return err == nil && m.size > above
	}
	if e.sender == "" {
		return true
	}
	from, err := addressOf(m.sender) // a From that can no longer be read is another one
	return err == nil && from.Key() == e.sender
}

func (e *ending) addTo(c *db.Conn, m stoppedMessage) error {
	if !slices.Contains(e.lanes, m.lane) || !e.stopped(m) {
		return nil
	}
	held := spool.HeldTime(m.heldFor, m.accepted, e.since, e.until)
	if held == m.heldFor {
		return nil
	}
	return c.Run("UPDATE message SET held_for = ?, events = events + 1 WHERE n = ?", int64(held), m.n)
}
