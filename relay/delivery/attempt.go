package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// answer is the end of an attempt.
type answer struct {
	pending
	identity *pace.Identity
	began    time.Time
	outcome.Answer
	damaged, panicked bool
	long              bool // it takes minutes
	apart             bool // by a way that has nothing to do with the limits of Graph

	withheld error // why the store did not let it begin; nil: it did

	looked  bool      // the message was looked up first
	again   time.Time // it was not sent, and is due then; zero otherwise
	verdict *Decision // what was decided without sending it
}

// attempt sends a message beside the lane.
func (l *lane) attempt(p pending, route Route, id *pace.Identity, now time.Time) {
	a := answer{pending: p, identity: id, began: now, long: route.tooLarge(p.rec.Size)}
	if a.apart = route.apart(p.rec.Size); a.apart {
		l.work.apart++
	} else {
		l.work.busy++
	}
	if a.long {
		l.work.long = append(l.work.long, p.rec.Turn())
	}
	l.pace.Spend(now, route.cost(p.rec.Size))
	l.d.emit(Event{Kind: spool.Attempted, Record: p.rec, Identity: id.Name, Duplicate: p.rec.Unknown})
	go func() {
		if l.d.settleDoubt(&a, route.Finder) {
			a.looked = false
			l.d.send(route, &a)
		}
		id.Leave()
		l.inbox.answered <- a
	}()
}

// send makes one attempt. damaged means that the stored bytes, as they were read this
// time, cannot be trusted; panicked that the Sender panicked, which is an unknown outcome.
func (d *Delivery) send(r Route, a *answer) {
	rec := a.rec
	body := &body{
		size: rec.Size, open: func() (io.ReadSeekCloser, error) { return d.cfg.Store.Open(d.shutdown.sends, rec.ID) },
		ask: d.cfg.Store.MayBegin,
	}
	began := d.cfg.Now()
	a.panicked = d.guard("panic while sending", rec.ID, func() { a.Answer = d.sendOrUpload(r, rec, body) })
	if a.panicked {
		a.Answer = outcome.Answer{
			Outcome: outcome.Unknown, Status: reply.Enhanced{4, 3, 0},
			Text: "An internal error interrupted the attempt; report it: the log has the details",
		}
	}
	if a.Duration == 0 {
		a.Duration = d.cfg.Now().Sub(began)
	}
	err := body.failure()
	if a.Outcome == outcome.Delivered || err == nil {
		return
	}
	if late, is := errors.AsType[withheld](err); is && !a.panicked {
		a.withheld = late.error
	}
	a.damaged = errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrNotFound)
	a.Answer = unreadable(a.Answer, err)
}

// sendOrUpload sends a message by Graph, or by the way of large mail where it is too large
// for one request.
func (d *Delivery) sendOrUpload(r Route, rec spool.Record, b *body) outcome.Answer {
	if r.stranded(rec.Size) {
		return noLongerSent(rec.Size, r.MIMELimit)
	}
	if r.tooLarge(rec.Size) {
		return r.Large.send(d, rec, b)
	}
	ans := r.Sender.Send(d.shutdown.sends, rec.Mailbox, graph.Mail{ID: rec.ID, Size: rec.Size, Open: b.Open})
	if ans.Outcome == outcome.TooLarge && r.Large != nil {
		bytes, requests := pace.RequestCost(rec.Size)
		ans = r.Large.send(d, rec, b)
		ans.Uploaded, ans.Requests = ans.Uploaded+bytes, ans.Requests+int(requests)
		if ans.Outcome == outcome.Hold && ans.Scope == outcome.ScopeLarge { // others of its size need not wait
			ans.Outcome, ans.Scope = outcome.Retry, outcome.ScopeMessage
		}
	}
	return ans
}

// guard does what foreign code may break: a panic is logged, and costs only this
// message anything.
func (d *Delivery) guard(what string, id envelope.QueueID, do func()) (panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			d.cfg.Log.Error(what, "queue_id", string(id), "panic", panicText(p), "stack", string(debug.Stack()))
			panicked = true
		}
	}()
	do()
	return false
}

// panicText names a panic without printing values that could be a part of a message.
func panicText(p any) string {
	var e runtime.Error
	if err, ok := p.(error); ok && errors.As(err, &e) {
		return e.Error()
	}
	return fmt.Sprintf("%T", p)
}

// unreadable replaces the answer to a message that could not be read to its
// end, and keeps what is known of the request.
func unreadable(ans outcome.Answer, err error) outcome.Answer {
	u := graph.Unreadable(err)
	u.HTTPStatus, u.RequestID, u.Duration = ans.HTTPStatus, ans.RequestID, ans.Duration
	u.Uploaded, u.Requests = ans.Uploaded, ans.Requests
	return u
}

// body opens a message for the Sender and watches the reading: errors of the
// store must not pass for answers of Graph. The transport may read in goroutines
// of its own, and try several times.
type body struct {
	open  func() (io.ReadSeekCloser, error)
	ask   func() error // the store's MayBegin; nil: always
	size  int64
	whole atomic.Bool           // a try read everything: Graph may have the message
	err   atomic.Pointer[error] // the first error of the store
}

// Open is graph.Mail's Open.
func (b *body) Open() (io.ReadCloser, error) { return b.watch(false) }

// watch opens the message; jumps says that it is read in any order.
func (b *body) watch(jumps bool) (io.ReadSeekCloser, error) {
	if err := b.mayBegin(); err != nil {
		return nil, err
	}
	r, err := b.open()
	if err != nil {
		b.fail(err)
		return nil, err
	}
	return &watched{ReadSeekCloser: r, body: b, jumps: jumps}, nil
}

// withheld is why the store did not let a request begin, or a message depart.
type withheld struct{ error }

// mayBegin is the store's. The Sender asks before each request, for it opens the message
// then or, of one that is sent in parts, asks for itself.
func (b *body) mayBegin() error {
	if b.ask == nil {
		return nil
	}
	if err := b.ask(); err != nil {
		b.fail(withheld{err})
		return withheld{err}
	}
	return nil
}

func (b *body) fail(err error) {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		b.err.CompareAndSwap(nil, &err)
	}
}

// failure is the store's error, if because of it no try sent the message whole.
func (b *body) failure() error {
	if p := b.err.Load(); p != nil && !b.whole.Load() {
		return *p
	}
	return nil
}

// watched reports errors of the store to its body, and counts bytes. One that
// jumps counts none: Graph has the message only when the draft is sent.
type watched struct {
	io.ReadSeekCloser
	body   *body
	jumps  bool
	read   int64
	closed atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadSeekCloser.Read(p)
	if w.read += int64(n); !w.jumps && n > 0 && w.read >= w.body.size {
		if late := w.body.mayBegin(); late != nil {
			return 0, late // the last bytes may be what cannot be taken back
		}
		w.body.whole.Store(true)
	}
	// A transport that gave up closes under a running read; that is no error of the store.
	if err != nil && err != io.EOF && !w.closed.Load() {
		w.body.fail(err)
		if w.jumps {
			err = fmt.Errorf("cannot read the message: %w", err)
		}
	}
	return n, err
}

func (w *watched) Close() error {
	w.closed.Store(true)
	return w.ReadSeekCloser.Close()
}
