package postgres

import (
	"context"
	"errors"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
)

// ReadOnly is the spool.Reader of a queue on which this process does not work.
type ReadOnly struct {
	*tables.Reader
	host *host
	is   found
}

// OpenReadOnly opens the queue of a database for reading, whichever node works on it. It
// changes nothing. Errors are a text.Cause.
func OpenReadOnly(_ context.Context, url string) (*ReadOnly, error) {
	target, err := link.Parse(url)
	if err != nil {
		return nil, err
	}
	h := &host{target: target}
	pool := h.readers()
	r := &ReadOnly{Reader: tables.NewReader(pool), host: h}
	err = pool.With(context.Background(), func(c *db.Conn) (err error) {
		if r.is, err = askServer(c); err != nil {
			return err
		}
		if err := checkSchema(c, ""); err != nil {
			return err
		}
		return r.Count(c)
	})
	if err != nil {
		return nil, errors.Join(h.explain(err), r.Close())
	}
	return r, nil
}

// Close ends the use of the database.
func (r *ReadOnly) Close() error {
	r.Readers.Close()
	return nil
}

// Examined is what is known of a server without an error.
type Examined struct {
	Server string       // its version, and whether it has a synchronous standby
	Nodes  []spool.Node // that work on the queue
	Alone  bool         // no synchronous standby
	Empty  bool         // there are no tables yet: the first start makes them

	Troubles []text.Cause // that make it slow in the long run, or refuse connections
}

// Examine asks a server whether it can keep the queue safe, and changes nothing. Errors are a
// text.Cause.
func Examine(url string) (e Examined, err error) {
	target, err := link.Parse(url)
	if err != nil {
		return e, err
	}
	session := target.Session(readLimit)
	defer session.Close()
	err = examine(&db.Conn{Session: session}, &e)
	return e, (&host{target: target}).explain(err)
}

func examine(c *db.Conn, e *Examined) error {
	is, err := askServer(c)
	if err != nil {
		return err
	}
	e.Server, e.Alone = is.describe(), is.standbys == ""
	if err := is.refuse(); err != nil {
		return err
	}
	tables, err := countTables(c)
	if e.Empty = tables == 0; err == nil && e.Empty {
		err = checkRights(c)
	}
	if err != nil || e.Empty {
		return err
	}
	if err := checkSchema(c, ""); err != nil {
		return err
	}
	if e.Nodes, err = readNodes(c, 0); err != nil {
		return err
	}
	e.Troubles, err = examineUpkeep(c, len(e.Nodes))
	return err
}
