package relay

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/relay/delivery"
	"graphrelay/relay/envelope"
	"graphrelay/relay/intake"
	"graphrelay/relay/monitor"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
)

// openMonitor makes what counts, before the flows that tell it, and opens the
// address of metrics and health where the configuration names one.
func (r *Relay) openMonitor(ctx context.Context) error {
	r.monitor = monitor.New(monitor.Config{Version: r.version, Hostname: r.hostname, Snapshot: r.snapshot})
	m := r.cfg().Metrics
	if m == nil {
		return nil
	}
	l, err := socket.Listen(ctx, m.Address.String(), 0)
	if err != nil {
		return listenHint("metrics.address", m.Address.String(), err)
	}
	r.metrics = l
	return nil
}

// countIntake tells the monitor what intake did.
func (r *Relay) countIntake(e intake.Event) {
	if e.Refusal == nil {
		r.monitor.Accepted(monitor.Taken{Client: e.Client.Name, Addr: e.Client.String(), Recipients: e.Recipients, Size: e.Size})
		return
	}
	why := ""
	if e.Refusal.Cause != nil {
		why = e.Refusal.Cause.Error()
	}
	r.monitor.Rejected(monitor.Refused{Client: e.Client.Name, Addr: e.Client.String(), At: e.At,
		Status: e.Refusal.Enhanced, Reply: e.Refusal.Text, Cause: why})
}

// countDelivery tells the monitor what delivery did.
func (r *Relay) countDelivery(e delivery.Event) {
	mailbox := e.Record.Mailbox.String()
	if e.Kind == spool.Attempted {
		r.monitor.Attempted(mailbox)
		return
	}
	r.monitor.Outcome(monitor.Outcome{Kind: string(e.Kind), Mailbox: mailbox, Identity: e.Identity, HTTPStatus: e.HTTPStatus,
		Duration: e.Duration, Delay: time.Since(e.Record.Accepted), Duplicate: e.Duplicate})
	if e.Kind != spool.EventSent || len(r.alerts.Firing()) > 0 {
		r.lookSoon()
	}
}

// snapshot is the state of everything that somebody may look at.
func (r *Relay) snapshot(ctx context.Context) (monitor.Snapshot, error) {
	s := monitor.Snapshot{Stopping: r.stopping.Load(), Unhealthy: r.store.Health(), Reload: monitor.Reload{At: r.now.Load().since}}
	if last, ok := r.LastReload(); ok {
		s.Reload.Failed = last.Error != ""
	}
	if s.Unhealthy == nil {
		s.Full = r.store.Admit(0)
	}
	st, err := r.store.Stats(ctx)
	if err != nil {
		return s, err
	}
	s.Queued, s.Active, s.Held, s.Failed, s.Damaged, s.Bytes = st.Queued, st.Active, st.Held, st.Failed, st.Damaged, st.Bytes
	if s.Lanes, err = r.laneStates(ctx); err != nil {
		return s, err
	}
	holds, err := r.store.Holds(ctx)
	if err != nil {
		return s, err
	}
	for _, h := range holds {
		scope, _, _ := strings.Cut(h.Key, ":")
		s.Holds = append(s.Holds, monitor.Hold{Key: h.Key, Scope: scope, Text: h.Text, Since: h.Since})
	}
	s.Mailboxes = r.usage()
	r.addDisk(&s)
	r.addConnections(&s)
	r.addCredentials(&s)
	s.Audits = auditStates(r.now.Load().auditor.Last())
	for _, a := range r.alerts.Firing() {
		s.Alarms = append(s.Alarms, monitor.Alarm{Key: a.Key, Text: a.Text, Since: a.Since})
	}
	return s, nil
}

// usage is what the mailboxes have sent in 24 hours, the busiest first. Delivery
// keeps count, for a scrape must not read a day of history.
func (r *Relay) usage() []monitor.MailboxDay {
	var list []monitor.MailboxDay
	for _, u := range r.delivery.Status().Usage {
		list = append(list, monitor.MailboxDay{Mailbox: u.Mailbox.String(), Recipients: u.Recipients})
	}
	slices.SortFunc(list, func(a, b monitor.MailboxDay) int {
		return cmp.Or(b.Recipients-a.Recipients, cmp.Compare(a.Mailbox, b.Mailbox))
	})
	return list
}

// laneStates joins what the store and what delivery know of each mailbox.
func (r *Relay) laneStates(ctx context.Context) ([]monitor.Lane, error) {
	stored, err := r.store.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	running := map[envelope.Address]delivery.LaneStatus{}
	for _, l := range r.delivery.Status().Lanes {
		running[l.Mailbox] = l
	}
	list := make([]monitor.Lane, len(stored))
	for i, l := range stored {
		run := running[l.Mailbox]
		list[i] = monitor.Lane{Mailbox: l.Mailbox.String(), Identity: run.Identity, Queued: l.Queued, Active: l.Active, Held: l.Held,
			Oldest: l.Oldest, Slots: run.Slots, Busy: run.Busy, Failures: run.Failures, PausedUntil: run.PausedUntil}
	}
	return list, nil
}

func (r *Relay) addDisk(s *monitor.Snapshot) {
	s.DiskReserve = int64(r.cfg().Queue.MinFreeSpace)
	var fs unix.Statfs_t
	if unix.Statfs(filepath.Dir(r.cfg().Queue.Store.Path), &fs) == nil {
		s.DiskFree, s.DiskSize = int64(fs.Bavail)*fs.Bsize, int64(fs.Blocks)*fs.Bsize
	}
}

func (r *Relay) addConnections(s *monitor.Snapshot) {
	c := r.smtp.Stats()
	s.Connections, s.ConnectionsTotal, s.RefusedOver = c.Connections, c.Accepted, c.Refused
}

func (r *Relay) addCredentials(s *monitor.Snapshot) {
	g := r.now.Load()
	for _, id := range g.cfg.Identities {
		c := g.identities[id.Name].Credential()
		s.Credentials = append(s.Credentials, monitor.Credential{Identity: string(id.Name), Kind: c.Kind, NotAfter: c.NotAfter})
	}
	if g.keyPair != nil {
		s.Certificate = g.keyPair.Expires()
	}
}
