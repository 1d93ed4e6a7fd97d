package tables

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/text"
)

// A move carries a queue from one store into another, which is empty. What each of them is
// meanwhile is a mark in its meta, so that at most one of the two may send, wherever a move
// ends:
//
//	source    target      who may send
//	none      none        both; the target is empty
//	none      arriving    the source
//	leaving   arriving    none; rows are carried
//	left      arriving    none; the target has everything
//	left      arrived     the target
//
// A repeat goes on from there. What undoes it makes the target clearing before it takes
// anything away, and frees the source only when the target is empty.
const (
	leaving  = "leaving"
	left     = "left"
	arriving = "arriving"
	arrived  = "arrived"
	clearing = "clearing"
)

const moveKey, cursorKey = "move", "move_cursor"

// moveMark is what a store is in a move: the same id is in both of its stores.
type moveMark struct{ phase, id, other string }

func readMove(c *db.Conn) (m moveMark, err error) {
	v, err := c.Text("SELECT v FROM meta WHERE k = ?", moveKey)
	words := append(strings.SplitN(v, " ", 3), "", "")
	return moveMark{phase: words[0], id: words[1], other: words[2]}, err
}

// refuseMoved returns why a store may not be worked on because of a move.
func refuseMoved(c *db.Conn) error {
	m, err := readMove(c)
	if err != nil {
		return err
	}
	const again = "run the same graphrelay queue move again, or undo it: add --abort"
	switch m.phase {
	case leaving:
		return text.Cause{Headline: "Queue is being moved, and the move has not ended", Remedy: again,
			Detail: "to " + m.other}
	case arriving, clearing:
		return text.Cause{Headline: "Queue has a part of another queue, whose move has not ended", Remedy: again,
			Detail: "from " + m.other}
	case left:
		return text.Cause{Headline: "Queue has been moved to another store", Remedy: elsewhereNow,
			Detail: "to " + m.other}
	}
	return nil
}

const elsewhereNow = "name that store in the configuration; to have the queue back, move it from there"

// Side is one of the two stores of a move, opened with Options.Moving, and its name.
type Side struct {
	Store *Store
	Name  string
}

func (s Side) mark(ctx context.Context) (m moveMark, err error) {
	err = s.Store.Readers.With(ctx, func(c *db.Conn) (err error) {
		m, err = readMove(c)
		return err
	})
	return m, err
}

func (s Side) setMark(ctx context.Context, m moveMark) error {
	return s.Store.Change(ctx, false, func(t *Tx) error {
		return t.Run(putMeta, moveKey, m.phase+" "+m.id+" "+m.other)
	})
}

// empty returns whether a store has never had a message, or has lost all.
func (s Side) empty(ctx context.Context) (is bool, err error) {
	rows := int64(0)
	err = s.Store.Readers.With(ctx, func(c *db.Conn) error {
		for _, t := range carriedTables {
			n, err := c.Number("SELECT count(*) FROM (SELECT 1 FROM " + t.name + " LIMIT 1) AS found")
			if rows += n; err != nil {
				return err
			}
		}
		return nil
	})
	return rows == 0, err
}

// Carried is what a move has carried.
type Carried struct {
	Messages, Queued, Events, Holds, Refusals int
	Bytes                                     int64 // of bodies
	Unreadable                                int   // chunks of bodies: their messages are damaged
}

// move is one under way.
type move struct {
	ctx      context.Context
	from, to Side
	id       string
	step     func(Carried) error // after each commit
	carried  Carried
}

// Move carries everything from one store into another one. step is called after each of its
// commits with what this call has carried so far; an error ends the move, and a repeat goes
// on. Errors of use are a text.Cause.
func Move(ctx context.Context, from, to Side, step func(Carried) error) (Carried, error) {
	m := &move{ctx: ctx, from: from, to: to, step: step}
	whole, err := m.begin()
	if err == nil && !whole {
		err = m.carry()
	}
	if err == nil {
		err = m.to.setMark(ctx, moveMark{arrived, m.id, from.Name})
	}
	if err == nil {
		err = m.count(to, &m.carried)
	}
	if err == nil {
		err = step(m.carried)
	}
	return m.carried, err
}

const otherTarget = "name an empty store with --to-config: another file, or another database"

// begin marks both stores, unless they are. whole: the target has everything already.
func (m *move) begin() (whole bool, err error) {
	s, err := m.from.mark(m.ctx)
	if err != nil {
		return false, err
	}
	t, err := m.to.mark(m.ctx)
	if err != nil {
		return false, err
	}
	same := s.id == t.id && s.id != ""
	if m.id = s.id; s.phase != leaving && s.phase != left {
		m.id = rand.Text()
	}
	switch {
	case s.phase == left && t.phase == arriving && same:
		return true, nil
	case s.phase == left, s.phase == leaving && t.phase == arrived && same:
		return false, alreadyMoved(s.other)
	case s.phase == arriving, s.phase == clearing:
		return false, text.Cause{Headline: "Queue that was to be moved is a part of another one",
			Remedy: "end the move that brought it first", Detail: "from " + s.other}
	case t.phase == clearing:
		return false, text.Cause{Headline: "Move to this store is being undone", Remedy: "run it again with --abort",
			Detail: "from " + t.other}
	case s.phase == leaving && t.phase == arriving && same:
		return false, nil
	}
	return false, m.mark()
}

// mark begins a move.
func (m *move) mark() error {
	empty, err := m.to.empty(m.ctx)
	if err == nil && !empty {
		err = text.Cause{Headline: "Store to move to is not empty", Remedy: otherTarget, Detail: m.to.Name}
	}
	if err == nil {
		err = m.checkRoom()
	}
	if err == nil {
		err = m.to.Store.Change(m.ctx, false, func(t *Tx) error {
			return t.Run("DELETE FROM meta WHERE k = ?", cursorKey)
		})
	}
	for _, set := range []func() error{
		func() error { return m.to.setMark(m.ctx, moveMark{arriving, m.id, m.from.Name}) },
		func() error { return m.from.setMark(m.ctx, moveMark{leaving, m.id, m.to.Name}) },
	} {
		if err == nil {
			err = set()
		}
		if err == nil {
			err = m.step(m.carried)
		}
	}
	return err
}

func alreadyMoved(to string) error {
	return text.Cause{Headline: "Queue has been moved already", Remedy: elsewhereNow, Detail: "to " + to}
}

// checkRoom wants room for the bodies on the disk of the target, beside what must stay free.
func (m *move) checkRoom() error {
	var c Carried
	if err := m.count(m.from, &c); err != nil {
		return err
	}
	if _, err := m.to.Store.Room.Disk.Check(c.Bytes); err != nil {
		return text.Cause{Headline: "Disk of the store to move to has too little space for the queue",
			Remedy: "free space on it, or name a store on another disk",
			Detail: fmt.Sprintf("%s: %d MiB of mail: %v", m.to.Name, c.Bytes>>20, err)}
	}
	return nil
}

// Abort undoes a move that has not ended: the target is emptied, and the source is a queue like
// any other again.
func Abort(ctx context.Context, from, to Side, step func(Carried) error) error {
	s, err := from.mark(ctx)
	if err != nil {
		return err
	}
	t, err := to.mark(ctx)
	if err != nil {
		return err
	}
	empty, err := to.empty(ctx)
	taken := t.phase == arriving || t.phase == clearing
	switch {
	case err != nil:
		return err
	case s.phase == left, s.phase == leaving && t.phase == arrived && t.id == s.id:
		return alreadyMoved(s.other)
	case s.phase == leaving && (taken && t.id == s.id || !taken && empty), s.phase != leaving && taken:
	case s.phase == leaving:
		return text.Cause{Headline: "Queue is being moved to another store than the one named",
			Remedy: "name the same file with --to-config as before", Detail: "to " + s.other}
	default:
		return text.Cause{Headline: "There is no move to undo", Remedy: "start the service", Detail: from.Name}
	}
	m := &move{ctx: ctx, from: from, to: to, step: step}
	for _, do := range []func() error{
		func() error { return to.setMark(ctx, moveMark{clearing, t.id, from.Name}) },
		m.clear,
		func() error { return from.setMark(ctx, moveMark{}) },
		func() error { return to.setMark(ctx, moveMark{}) },
	} {
		if err := do(); err != nil {
			return err
		}
		if err := step(m.carried); err != nil {
			return err
		}
	}
	return nil
}
