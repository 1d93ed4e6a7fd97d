// Package observe watches the running parts for the people who operate them: it
// takes the Snapshot of the service, hands what the flows do to the monitor, and
// lets the watcher raise alarms.
//
// # Promises
//
// Observing changes nothing. Counting does not block the flows. A snapshot is of
// one moment as far as its sources allow: the store, delivery and the SMTP server
// are asked one after the other.
//
// # On failure
//
// Of a store that cannot be read a snapshot shows what was read last, and that it
// cannot be read, with what to do.
//
// # What it must not know
//
// How the parts are started and stopped, and the configuration.
package observe

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"graphrelay/relay/alert"
	"graphrelay/relay/delivery"
	"graphrelay/relay/envelope"
	"graphrelay/relay/intake"
	"graphrelay/relay/monitor"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/text"
	"graphrelay/relay/tracking"
)

// Store is what is observed of a spool.
type Store interface {
	Health() error
	Admit(client string, size int64) error
	Stats(ctx context.Context) (spool.Stats, error)
	Lanes(ctx context.Context) ([]spool.Lane, error)
	Holds(ctx context.Context) ([]spool.Hold, error)
	Nodes(ctx context.Context) ([]spool.Node, error)
	Mine(mailbox envelope.Address) bool
}

// Record keeps what was refused: a refusals.Record.
type Record interface {
	Add(spool.RefusalKey)
	Dropped() uint64 // how many it no longer counts
}

// Config is what an Observer works with. Its functions are called at each look.
type Config struct {
	Version     string
	Hostname    func() string
	URLFile     string // with the URL of the webhook; "" for none
	HasIdentity func(name string) bool
	Log         *slog.Logger
	Secrets     *text.Redactor

	Store       Store
	Delivery    func() delivery.Status
	Connections func() smtpd.Stats
	Record      Record
	StorePath   string
	Service     func() state.Snapshot // with no more than what follows from the configuration in force
}

// Observer observes one service. Make one with New.
type Observer struct {
	Config
	Monitor *monitor.Monitor
	Alerts  *alert.Board
	Watcher *alert.Watcher
	last    atomic.Pointer[reading] // of the store, that worked
}

// New makes an Observer; the error says what is wrong with the file of the
// webhook's URL.
func New(c Config) (*Observer, error) {
	if c.URLFile != "" {
		if err := alert.CheckURLFile(c.URLFile); err != nil {
			return nil, fmt.Errorf("alerts.webhook_url_file: %w", err)
		}
	}
	o := &Observer{Config: c}
	o.Monitor = monitor.New(monitor.Config{
		Limits:  tracking.Limits(),
		Version: c.Version, Hostname: c.Hostname, Snapshot: o.Snapshot, Now: time.Now,
	})
	o.Alerts = alert.New(alert.Config{
		Host: c.Hostname, URLFile: c.URLFile, Log: c.Log, Secrets: c.Secrets, OnPost: o.Monitor.AlertPosted,
	})
	o.Watcher = alert.NewWatcher(alert.WatchConfig{
		Board: o.Alerts, Snapshot: o.Snapshot, Sampled: o.Monitor.Sampled, HasIdentity: c.HasIdentity, Log: c.Log,
	})
	return o, nil
}

// CountIntake hands what intake did to the monitor.
func (o *Observer) CountIntake(e intake.Event) {
	client, addr := e.Client.Name, e.Client.String()
	if e.Refusal == nil {
		o.Monitor.Accepted(monitor.Taken{
			Client: client, Addr: addr, Recipients: e.Recipients, To: hashOf(e.To), Size: e.Size,
			Repairs: e.Repairs,
		})
		return
	}
	refused := state.Refused{Step: e.At, Status: e.Refusal.Enhanced, Reply: e.Refusal.Text}
	if e.Refusal.Cause != nil {
		refused.Why = e.Refusal.Cause.Error()
	}
	o.Monitor.Refused(client, addr, refused)
}

// CountRefusal records a refusal under each domain that it concerns.
func (o *Observer) CountRefusal(k spool.RefusalKey, domains []string) {
	for _, k.Domain = range domains {
		o.Record.Add(k)
	}
	if k.Client == "" || k.Code < 500 {
		return // of strangers nobody expects mail, and what is refused for now comes again
	}
	o.Monitor.RefusedInVain(k.Client, envelope.Client{Addr: netip.AddrPortFrom(k.Addr, 0)}.String(), state.InVain{
		Sender: k.Sender.String(), Cause: k.Reason, Remedy: reply.Remedy(k.Status, k.Reason),
	})
}

// hashOf is the same for the same recipients.
func hashOf(to []envelope.Address) uint64 {
	h := fnv.New64a()
	for _, a := range to {
		fmt.Fprintln(h, a.Key())
	}
	return h.Sum64()
}

// CountDelivery hands what delivery did to the monitor and the watcher.
func (o *Observer) CountDelivery(e delivery.Event) {
	mailbox := e.Record.Mailbox.String()
	if e.Kind == spool.Attempted {
		o.Monitor.Attempted(mailbox)
		return
	}
	o.Monitor.Outcome(monitor.Outcome{
		Kind: string(e.Kind), Mailbox: mailbox, Identity: e.Identity, HTTPStatus: e.HTTPStatus,
		Duration: e.Duration, Delay: time.Since(e.Record.Accepted), Duplicate: e.Duplicate,
		Damaged: e.Damaged, Reply: e.Reply, Submission: e.Submission,
	})
	o.Watcher.Notice(e.Kind != spool.EventSent)
}

// CountBounce hands what tracking found to the monitor.
func (o *Observer) CountBounce(e tracking.Event) {
	switch mailbox := e.Mailbox.String(); e.Result {
	case tracking.Bounced:
		o.Monitor.Bounced(mailbox, e.Class)
		o.Monitor.BouncedNow(e.Client, e.Limit)
	case tracking.Delayed:
		o.Monitor.Bounced(mailbox, "delayed")
	default:
		o.Monitor.BounceReport(mailbox, string(e.Result))
	}
}
