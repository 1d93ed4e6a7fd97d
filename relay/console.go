package relay

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"graphrelay/relay/console"
	"graphrelay/relay/envelope"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
)

// openConsole opens the address of the web console, where there is one.
func (r *Relay) openConsole(ctx context.Context) error {
	c := r.cfg().Console
	if c == nil {
		return nil
	}
	l, err := socket.Open(ctx, "console.address", c.Address.String(), 0)
	if err != nil {
		return err
	}
	if !c.Address.Loopback() {
		r.log.Warn("the console can be reached from other hosts without TLS; put a proxy with TLS before it, and let only that reach it", "address", c.Address.String())
	}
	r.consoleAt = l
	return nil
}

func (r *Relay) newConsole() *console.Console {
	return console.New(console.Config{
		Hostname: r.hostname, PasswordHash: func() string { return string(r.cfg().Console.PasswordHash) },
		Store: r.store, Operator: operator{r}, Seen: r.monitor, Snapshot: r.snapshot, Setup: r.consoleSetup,
		Now: time.Now, Log: r.log,
	})
}

func (r *Relay) consoleSetup() console.Setup {
	s := console.Setup{Version: r.version, Started: r.started, Listeners: r.Listeners(), Warnings: r.Warnings()}
	for _, sender := range r.cfg().Senders {
		if !sender.Address.Wildcard() {
			s.Senders = append(s.Senders, sender.Address)
		}
	}
	return s
}

// operator does what the console asks for.
type operator struct{ r *Relay }

const byConsole = "by the operator, in the console"

func (o operator) Retry(ctx context.Context, id envelope.QueueID) error {
	m, err := o.r.store.Get(ctx, id)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := o.r.store.Move(ctx, id, spool.Queued, now, byConsole, now); err != nil {
		return err
	}
	o.r.delivery.Notify(m.Mailbox)
	if keys := o.r.holdsOf(m.Mailbox); len(keys) > 0 {
		o.r.delivery.ProbeNow(keys...)
	}
	return nil
}

// holdsOf are the keys of the holds that can stop the mail of a mailbox.
func (r *Relay) holdsOf(mailbox envelope.Address) (keys []string) {
	route, _ := r.route(mailbox)
	for _, h := range r.delivery.Status().Holds {
		if h.Mailbox.Equal(mailbox) || h.Mailbox.IsZero() && h.Identity == route.Identity {
			keys = append(keys, h.Key)
		}
	}
	return keys
}

func (o operator) Hold(ctx context.Context, id envelope.QueueID) error {
	now := time.Now()
	return o.r.store.Move(ctx, id, spool.Held, time.Time{}, byConsole, now)
}

func (o operator) Delete(ctx context.Context, id envelope.QueueID) error {
	return o.r.store.Delete(ctx, id, byConsole, time.Now())
}

// SendTest goes the way of every mail, as from a program of this host.
func (o operator) SendTest(ctx context.Context, from, to envelope.Address) (envelope.QueueID, error) {
	s, err := o.r.intake.Connect(ctx, smtpd.Peer{Listener: "console", Addr: netip.MustParseAddrPort("127.0.0.1:1")})
	if err != nil {
		return "", err
	}
	defer s.Close()
	tx, err := s.Mail(ctx, smtpd.MailFrom{Path: from, Helo: "console", ESMTP: true})
	if err != nil {
		return "", err
	}
	if err := tx.Rcpt(ctx, to); err != nil {
		tx.Abort()
		return "", err
	}
	text := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: Test mail from graphrelay\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+
		"This is a test mail from the console of graphrelay on %s.\r\nIf you can read it, mail flows.\r\n", from, to, o.r.cfg().Hostname)
	id, err := tx.Data(ctx, strings.NewReader(text))
	return id, err
}
