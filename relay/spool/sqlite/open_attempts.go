package sqlite

import (
	"sync"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool/sqlite/db"
)

// claims remembers where the messages lie whose attempt is open, for each is
// opened and settled soon after it was claimed: the look-up by queue ID was a
// sixth of the processor time of a drain. It is a short cut only. A number is
// never used twice by one process, and what is found by it is checked as ever.
// A nil claims knows none.
type openAttempts struct {
	mu   sync.Mutex
	byID map[envelope.QueueID]place
}

type place struct{ n, size int64 }

func newOpenAttempts() *openAttempts { return &openAttempts{byID: map[envelope.QueueID]place{}} }

func (c *openAttempts) note(m stored) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[m.ID] = place{m.n, m.Size}
}

func (c *openAttempts) forget(id envelope.QueueID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

func (c *openAttempts) number(id envelope.QueueID) (n, size int64, ok bool) {
	if c == nil {
		return 0, 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.byID[id]
	return p.n, p.size, ok
}

// findOpenAttempt is find for a message whose attempt is open.
func (s *Store) findOpenAttempt(c *db.Conn, id envelope.QueueID) (brief, error) {
	if n, _, ok := s.openAttempts.number(id); ok {
		return findBy(c, "n = ?", n, id)
	}
	return find(c, id)
}
