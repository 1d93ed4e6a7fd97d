package tables

import (
	"context"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// Bounced implements spool.Bounces.
func (s *Store) Bounced(ctx context.Context, e spool.Event) (added bool, err error) {
	err = s.Change(ctx, true, func(t *Tx) error {
		b, err := find(t.Conn, e.ID)
		if err != nil {
			return err
		}
		known, err := t.Number("SELECT count(*) FROM event WHERE n = ? AND kind = ? AND recipient = ?",
			b.n, string(e.Kind), e.Recipient.String())
		if added = err == nil && known == 0; !added {
			return err
		}
		owes := e.Reportable() && b.state == codeSent
		err = t.Run(`UPDATE message SET events = events + 1, bounces = bounces + ?,
			report = CASE WHEN ? = 1 AND report_of = '' THEN 1 ELSE report END WHERE n = ?`,
			e.Kind == spool.EventBounced, owes, b.n)
		if err != nil {
			return err
		}
		return insertEvent(t.Conn, b.n, b.events+1, &e)
	})
	return added, err
}

const putMeta = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v"

// Note implements spool.Bounces.
func (s *Store) Note(ctx context.Context, key, text string) error {
	return s.Change(ctx, true, func(t *Tx) error {
		return t.Run(putMeta, "note:"+key, text)
	})
}

// Noted implements spool.Bounces.
func (v *Reader) Noted(ctx context.Context, key string) (string, error) {
	return db.Read(ctx, v.Readers, func(c *db.Conn) (string, error) {
		return c.Text("SELECT coalesce(max(v), '') FROM meta WHERE k = ?", "note:"+key)
	})
}
