package tables

import (
	"slices"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// SettleLate records that a message was sent, for a node whose lanes others have: it can record nothing
// in the usual way. If nothing was tried since its attempt, the message is Sent; else its history
// has the event, and recipients get it twice. c has transactions of its own.
func SettleLate(c *db.Conn, o spool.Settlement) (settled bool, err error) {
	err = db.Retry(func() error {
		return c.Transaction(func() error {
			b, err := find(c, o.ID)
			if err != nil {
				return err
			}
			if settled = b.state == codeSent && b.attempts == int64(o.Attempt); settled {
				return nil // its commit was made, and only the answer was lost
			}
			open := []int64{codeSending, codeQueued, codeHeld}
			if settled = b.attempts == int64(o.Attempt) && slices.Contains(open, b.state); settled {
				return settle(&Tx{Conn: c}, b, codeSent, &o)
			}
			e := eventOf(&o)
			e.Text = "the answer came late: " + e.Text
			if err := c.Run("UPDATE message SET events = events + 1 WHERE n = ?", b.n); err != nil {
				return err
			}
			return insertEvent(c, b.n, b.events+1, &e)
		})
	})
	return settled, err
}
