package sqlite

import (
	"context"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

const holdColumns = "k, mailbox, mailboxes, sender, identity, status, text, since, probes, next_probe"

func readHold(r *db.Row) (spool.Hold, error) {
	h := spool.Hold{Key: r.Str()}
	mailbox, mailboxes, sender := r.Str(), r.Str(), r.Str()
	h.Identity, h.Status, h.Text = r.Str(), statusOf(r.Int()), r.Str()
	h.Since, h.Probes, h.NextProbe = timeOf(r.Int()), int(r.Int()), timeOf(r.Int())
	var err error
	if h.Mailbox, err = addressOf(mailbox); err != nil {
		return h, err
	}
	if h.From, err = addressOf(sender); err != nil {
		return h, err
	}
	h.Mailboxes, err = splitAddresses(mailboxes)
	return h, err
}

// Holds implements Store, in order of their keys.
func (v *view) Holds(ctx context.Context) ([]spool.Hold, error) {
	var holds []spool.Hold
	err := v.readers.With(ctx, func(c *db.Conn) error {
		return c.Query("SELECT "+holdColumns+" FROM hold ORDER BY k", nil, func(r *db.Row) error {
			h, err := readHold(r)
			holds = append(holds, h)
			return err
		})
	})
	return holds, err
}

// SetHold implements Store.
func (s *Store) SetHold(ctx context.Context, h spool.Hold) error {
	return s.small(ctx, true, func(t *tx) error {
		_, err := t.Exec("INSERT OR REPLACE INTO hold ("+holdColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			h.Key, h.Mailbox.String(), joinAddresses(h.Mailboxes), h.From.String(), h.Identity, statusCode(h.Status),
			spool.CutText(h.Text), nanos(h.Since), int64(h.Probes), nanos(h.NextProbe))
		return err
	})
}

// EndHold implements Store. A key that is not held is no error. The messages
// that the hold stopped are those of its mailbox (of all its mailboxes, of
// everyone's) and its From that are Queued or Active. HeldFor never exceeds
// the age of a message, however many holds overlapped.
//
// A hold may have stopped a hundred thousand messages, so their time is added
// in small steps. What is left to do is kept in the store: a crash amid it
// loses and doubles nothing.
func (s *Store) EndHold(ctx context.Context, key string, at time.Time) error {
	err := s.small(ctx, true, func(t *tx) error { return beginEnding(t.Conn, key, at) })
	if err != nil {
		return err
	}
	return s.finishEndings(ctx)
}

// beginEnding turns a hold into what is left to do to end it.
func beginEnding(c *db.Conn, key string, at time.Time) error {
	var hold *spool.Hold
	err := c.Query("SELECT "+holdColumns+" FROM hold WHERE k = ?", []any{key}, func(r *db.Row) error {
		h, err := readHold(r)
		hold = &h
		return err
	})
	if err != nil || hold == nil {
		return err
	}
	if !hold.Mailbox.IsZero() {
		hold.Mailboxes = []envelope.Address{hold.Mailbox}
	}
	if _, err := c.Exec("DELETE FROM hold WHERE k = ?", key); err != nil {
		return err
	}
	_, err = c.Exec("INSERT INTO ending (mailboxes, sender, since, until, cursor) VALUES (?, ?, ?, ?, '')",
		joinKeys(hold.Mailboxes), hold.From.Key(), nanos(hold.Since), nanos(at))
	return err
}

// finishEndings runs steps until nothing is left to do.
func (s *Store) finishEndings(ctx context.Context) error {
	for done := false; !done; {
		err := s.big(ctx, func(t *tx) (err error) {
			done, err = endingStep(t.Conn)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
