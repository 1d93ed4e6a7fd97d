package db

import (
	"context"

	"graphrelay/relay/spool"
)

// Pool lends out a fixed number of connections. A connection that is not open is
// opened when it is needed, so that reading works beside a writer that cannot write.
type Pool struct {
	dial   func() (*Conn, error)
	size   int
	conns  chan *Conn // nil is one that is not open
	closed chan struct{}
}

// NewPool lends out size connections that dial opens.
func NewPool(dial func() (*Conn, error), size int) *Pool {
	p := &Pool{dial: dial, size: size, conns: make(chan *Conn, size), closed: make(chan struct{})}
	p.Reopen()
	return p
}

// With runs do with a connection of its own. do must not keep a query open
// when it returns, nor wait for anything but the database: an open transaction
// would keep the log from being emptied.
func (p *Pool) With(ctx context.Context, do func(*Conn) error) error { return p.lend(ctx, false, do) }

// Anew is With with a connection that remembers nothing of the file.
func (p *Pool) Anew(ctx context.Context, do func(*Conn) error) error { return p.lend(ctx, true, do) }

func (p *Pool) lend(ctx context.Context, anew bool, do func(*Conn) error) error {
	var c *Conn
	select {
	case c = <-p.conns:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closed:
		return spool.ErrClosed
	}
	defer func() { p.conns <- c }()
	if anew {
		_ = c.Close() // what it says of its last use was reported then
		c = nil
	}
	if c == nil {
		opened, err := p.dial()
		if err != nil {
			return err
		}
		c = opened
	}
	return AsCaller(do(c))
}

// Read is With for a function that reads something.
func Read[T any](ctx context.Context, p *Pool, read func(*Conn) (T, error)) (result T, err error) {
	err = p.With(ctx, func(c *Conn) (err error) {
		result, err = read(c)
		return err
	})
	return result, err
}

// Shut waits until each connection is returned, and closes it. Until Reopen, callers wait.
func (p *Pool) Shut() {
	for range p.size {
		_ = (<-p.conns).Close()
	}
}

// Reopen lets callers have connections again.
func (p *Pool) Reopen() {
	for range p.size {
		p.conns <- nil
	}
}

// Close is Shut for good: later callers get an error.
func (p *Pool) Close() {
	close(p.closed)
	p.Shut()
}
