package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// send makes one attempt, in parts where the message is too large for one
// request. damaged tells that the stored octets cannot be
// trusted; panicked that the Sender broke, which is an unknown outcome.
func (d *Delivery) send(r Route, rec spool.Record) (ans outcome.Answer, damaged, panicked bool) {
	body := &body{size: rec.Size, open: func() (io.ReadSeekCloser, error) { return d.cfg.Store.Open(d.sendCtx, rec.ID) }}
	began := d.cfg.Now()
	ans, panicked = d.guarded(r, rec, body)
	if ans.Duration == 0 {
		ans.Duration = d.cfg.Now().Sub(began)
	}
	if ans.Outcome == outcome.Delivered {
		return ans, false, panicked
	}
	err := body.failure()
	if errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrNotFound) {
		return ans, true, panicked
	}
	if err != nil {
		ans = unreadable(ans, err)
	}
	return ans, false, panicked
}

func (d *Delivery) guarded(r Route, rec spool.Record, b *body) (ans outcome.Answer, panicked bool) {
	panicked = d.guard("panic while sending", rec.ID, func() { ans = d.sendOrUpload(r, rec, b) })
	if panicked {
		ans = outcome.Answer{Outcome: outcome.Unknown, Status: reply.Enhanced{4, 3, 0},
			Text: "an internal fault interrupted the attempt; the log has the details for a bug report"}
	}
	return ans, panicked
}

func (d *Delivery) sendOrUpload(r Route, rec spool.Record, b *body) outcome.Answer {
	if r.stranded(rec.Size) {
		return noLongerSent(rec.Size, r.MIMELimit)
	}
	if r.byParts(rec.Size) {
		return d.upload(r, rec, b)
	}
	ans := r.Sender.Send(d.sendCtx, rec.Mailbox, graph.Mail{ID: rec.ID, Size: rec.Size, Open: b.Open})
	if ans.Outcome == outcome.TooLarge && r.Uploader != nil {
		octets, requests := requestCost(rec.Size)
		ans = d.upload(r, rec, b)
		ans.Uploaded, ans.Requests = ans.Uploaded+octets, ans.Requests+int(requests)
	}
	return ans
}

// guard does what foreign code may break: a panic is logged and told, and costs
// nobody but this message anything.
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
	u.HTTPStatus, u.RequestID, u.Duration, u.Uploaded, u.Requests = ans.HTTPStatus, ans.RequestID, ans.Duration, ans.Uploaded, ans.Requests
	return u
}

// body opens a message for the Sender and watches how reading it goes: errors
// of the store must not pass for answers of Graph. The transport may read in
// goroutines of its own, and try several times.
type body struct {
	open  func() (io.ReadSeekCloser, error)
	size  int64
	whole atomic.Bool           // a try read everything: Graph may have the message
	err   atomic.Pointer[error] // the first error of the store
}

// Open is graph.Mail's Open.
func (b *body) Open() (io.ReadCloser, error) {
	r, err := b.open()
	if err != nil {
		b.fail(err)
		return nil, err
	}
	return &watched{ReadCloser: r, body: b}, nil
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

type watched struct {
	io.ReadCloser
	body   *body
	read   int64
	closed atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.read += int64(n)
	if w.read >= w.body.size {
		w.body.whole.Store(true)
	}
	// A transport that gave up closes under a running read; that is no fault of the store.
	if err != nil && err != io.EOF && !w.closed.Load() {
		w.body.fail(err)
	}
	return n, err
}

func (w *watched) Close() error {
	w.closed.Store(true)
	return w.ReadCloser.Close()
}
