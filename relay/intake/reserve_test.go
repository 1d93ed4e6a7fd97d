package intake

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
)

// reserving is a delivery that reserves for each message, or for none, and counts what
// became of it.
type reserving struct {
	refuses        bool
	asked          []spool.Message
	kept, returned int
}

func (r *reserving) into(c *Config) {
	c.Reserve = func(m spool.Message, _ time.Time) func(bool) {
		r.asked = append(r.asked, m)
		if r.refuses {
			return nil
		}
		return func(committed bool) {
			if committed {
				r.kept++
			} else {
				r.returned++
			}
		}
	}
}

// The first attempt is recorded with the message where the delivery has reserved for it,
// and the delivery learns once that it is committed.
func TestTheFirstAttemptIsCommittedWithTheMessage(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		r := &reserving{refuses: refuses}
		b := newBench(t, r.into)
		id, err := b.send(t, "reports@example.org", []string{"a@example.net"}, goodHeader+"\r\nbody\r\n")
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if (got.State == spool.Sending) == refuses || (got.Attempts == 1) == refuses || r.returned != 0 {
			t.Errorf("refuses %t: %s after %d attempts, %d returned", refuses, got.State, got.Attempts, r.returned)
		}
		if (len(b.notified) == 1) != refuses || (r.kept == 1) == refuses {
			t.Errorf("refuses %t: %d notified, %d kept", refuses, len(b.notified), r.kept)
		}
		if len(r.asked) != 1 || r.asked[0].Size != got.Size || r.asked[0].ID != id {
			t.Errorf("asked for %+v, stored %+v", r.asked, got.Message)
		}
	}
}

// Whatever keeps a message from being committed, or its client from learning that it was,
// the delivery gets back what it had reserved, or the message.
func TestWhatWasReservedIsGivenBack(t *testing.T) {
	r := &reserving{}
	b := newBench(t, r.into, func(c *Config) { c.Store = failing{Intake: c.Store, commit: spool.ErrFull} })
	for range 3000 {
		if _, err := b.send(t, "reports@example.org", []string{"a@example.net"}, goodHeader+"\r\nb\r\n"); err == nil {
			t.Fatal("accepted")
		}
	}
	if r.kept != 0 || r.returned != 3000 {
		t.Errorf("%d kept, %d returned", r.kept, r.returned)
	}
	b.empty(t)

	r = &reserving{}
	b = newBench(t, r.into, func(c *Config) { c.MaxSize = 1000 })
	if _, err := b.send(t, "reports@example.org", []string{"a@example.net"}, goodHeader+"\r\n"+
		strings.Repeat("too long\r\n", 200)); err == nil || len(r.asked) != 0 {
		t.Errorf("%v, asked %d times for a message that is too long", err, len(r.asked))
	}

	r = &reserving{}
	b = newBench(t, r.into, func(c *Config) { c.OnEvent = func(Event) { panic("after the commit") } })
	func() {
		defer func() { _ = recover() }()
		_, _ = b.send(t, "reports@example.org", []string{"a@example.net"}, goodHeader+"\r\nb\r\n")
	}()
	if r.kept != 1 || r.returned != 0 {
		t.Errorf("after a panic: %d kept, %d returned", r.kept, r.returned)
	}
	r = &reserving{}
	b = newBench(t, r.into)
	s, err := b.Connect(t.Context(), smtpd.Peer{Unix: true})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr("reports@example.org")})
	if err == nil {
		err = tx.Rcpt(t.Context(), smtpd.RcptTo{Path: addr("a@example.net")})
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Data(t.Context(), brokenReader{strings.NewReader(goodHeader + "\r\nhalf")}); err == nil ||
		len(r.asked) != 0 || errors.Is(err, spool.ErrFull) {
		t.Errorf("a connection that died: %v, asked %d times", err, len(r.asked))
	}
}

// elsewhere is a store whose mailboxes other nodes send the mail of.
type elsewhere struct{ spool.Intake }

func (e elsewhere) Begin(ctx context.Context, client string, size int64) (spool.Draft, error) {
	d, err := e.Intake.Begin(ctx, client, size)
	return withoutAttempt{d}, err
}

type withoutAttempt struct{ spool.Draft }

func (withoutAttempt) Attempt(time.Time) {}

// A message that the store keeps without its first attempt is accepted, and what was reserved for that is
// given back.
func TestAnAttemptThatAnotherNodeMakes(t *testing.T) {
	r := &reserving{}
	b := newBench(t, r.into, func(c *Config) { c.Store = elsewhere{c.Store} })
	if _, err := b.send(t, "reports@example.org", []string{"a@example.net"}, goodHeader+"\r\nb\r\n"); err != nil {
		t.Fatal(err)
	}
	if r.kept != 0 || r.returned != 1 || len(b.notified) != 1 {
		t.Errorf("%d kept, %d returned, %d notified", r.kept, r.returned, len(b.notified))
	}
}
