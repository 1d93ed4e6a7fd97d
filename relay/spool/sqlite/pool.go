package sqlite

import (
	"context"

	"graphrelay/relay/spool"
)

// pool lends out a fixed number of connections. A connection that is not open
// is opened when it is needed, so that reading goes on beside a writer that
// cannot.
type pool struct {
	path, params string
	size         int
	conns        chan *conn // nil stands for one that is not open
	closed       chan struct{}
}

func newPool(path, params string, size int) *pool {
	p := &pool{path: path, params: params, size: size, conns: make(chan *conn, size), closed: make(chan struct{})}
	p.reopen()
	return p
}

// with runs do with a connection of its own. do must not keep a query open
// when it returns, nor wait for anything but the database: an open transaction
// would keep the log from being emptied.
func (p *pool) with(ctx context.Context, do func(*conn) error) error {
	var c *conn
	select {
	case c = <-p.conns:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closed:
		return spool.ErrClosed
	}
	defer func() { p.conns <- c }()
	if c == nil {
		opened, err := dial(p.path, p.params)
		if err != nil {
			return err
		}
		c = opened
	}
	return asCaller(do(c))
}

// shut waits for each connection to come back and closes it. Until reopen,
// others wait.
func (p *pool) shut() {
	for range p.size {
		_ = (<-p.conns).close()
	}
}

func (p *pool) reopen() {
	for range p.size {
		p.conns <- nil
	}
}

// close is shut for good: who asks later gets an error.
func (p *pool) close() {
	close(p.closed)
	p.shut()
}
