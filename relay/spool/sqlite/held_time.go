package sqlite

import (
	"slices"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// endingSize is how many messages one step looks at.
const endingSize = 500

// ending is a hold that is over and whose time is being added to the messages
// it stopped, in order of their queue IDs.
type ending struct {
	e            int64
	lanes        []string // none: all
	sender       string   // "" any
	since, until int64
	cursor       string
}

// endingStep adds the time to some messages; done is true when nothing is
// left to do.
func endingStep(c *db.Conn) (done bool, err error) {
	e, err := firstEnding(c)
	if err != nil || e.e == 0 {
		return err == nil, err
	}
	candidates, err := e.candidates(c)
	if err != nil {
		return false, err
	}
	if len(candidates) == 0 {
		_, err := c.Exec("DELETE FROM ending WHERE e = ?", e.e)
		return false, err
	}
	for _, m := range candidates {
		if err := e.addTo(c, m); err != nil {
			return false, err
		}
	}
	_, err = c.Exec("UPDATE ending SET cursor = ? WHERE e = ?", string(candidates[len(candidates)-1].id), e.e)
	return false, err
}

func firstEnding(c *db.Conn) (ending, error) {
	var e ending
	err := c.Query("SELECT e, mailboxes, sender, since, until, cursor FROM ending ORDER BY e LIMIT 1", nil, func(r *db.Row) error {
		e.e = r.Int()
		if lanes := r.Str(); lanes != "" {
			e.lanes = strings.Split(lanes, "\n")
		}
		e.sender, e.since, e.until, e.cursor = r.Str(), r.Int(), r.Int(), r.Str()
		return nil
	})
	return e, err
}

// stoppedMessage is what an ending looks at.
type stoppedMessage struct {
	n             int64
	id            envelope.QueueID
	lane, sender  string
	accepted, was int64
}

// candidates reads the next Queued and Active messages behind the cursor. A
// message that goes from one of these states to the other keeps its queue ID
// and so is met exactly once.
func (e *ending) candidates(c *db.Conn) ([]stoppedMessage, error) {
	var list []stoppedMessage
	for _, state := range []int64{codeQueued, codeActive} {
		err := c.Query(`SELECT n, id, lane, sender, accepted, held_for FROM message INDEXED BY by_state
			WHERE state = ? AND id > ? ORDER BY id LIMIT ?`, []any{state, e.cursor, int64(endingSize)}, func(r *db.Row) error {
			list = append(list, stoppedMessage{n: r.Int(), id: envelope.QueueID(r.Str()), lane: r.Str(), sender: r.Str(), accepted: r.Int(), was: r.Int()})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b stoppedMessage) int { return strings.Compare(string(a.id), string(b.id)) })
	return list[:min(endingSize, len(list))], nil
}

func (e *ending) addTo(c *db.Conn, m stoppedMessage) error {
	if len(e.lanes) > 0 && !slices.Contains(e.lanes, m.lane) {
		return nil
	}
	if e.sender != "" {
		if from, err := addressOf(m.sender); err != nil || from.Key() != e.sender {
			return nil // a From that cannot be read any more is not this one
		}
	}
	held := int64(spool.HeldTime(durationOf(m.was), timeOf(m.accepted), timeOf(e.since), timeOf(e.until)))
	if held == m.was {
		return nil
	}
	_, err := c.Exec("UPDATE message SET held_for = ?, events = events + 1 WHERE n = ?", held, m.n)
	return err
}
