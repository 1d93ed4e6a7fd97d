//go:build bench

package tables

import (
	"time"

	"graphrelay/relay/spool"
)

// Fill writes a message as if it were accepted, and sent if that is its state, for measurements
// of large stores.
func Fill(t *Tx, s *Store, m *spool.Message, state spool.State) error {
	n := s.lastNumber.Add(1)
	if _, err := insertMessage(t, n, m, time.Time{}); err != nil {
		return err
	}
	if err := t.WriteWords(n); err != nil {
		return err
	}
	if state == spool.Queued {
		return insertChunk(t.Conn, n, 0, 0, make([]byte, 1000))
	}
	for seq, kind := range []spool.EventKind{spool.Attempted, spool.EventSent} {
		e := spool.Event{At: m.Accepted, Kind: kind, Attempt: 1, RequestID: "1b0a7d0e-5f3c-4d52-9f77-1d2c3b4a5968"}
		if err := insertEvent(t.Conn, n, int64(seq), &e); err != nil {
			return err
		}
	}
	return t.Run("UPDATE message SET state = ?, finished = ?, body_gone = 1, next = 0 WHERE n = ?",
		stateCode(state), nanos(m.Accepted), n)
}
