package relay

import (
	"cmp"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/verify"
)

// snapshot takes a picture of everything that an operator may look at.
func (r *Relay) snapshot(ctx context.Context) (state.Snapshot, error) {
	s, err := r.queueState(ctx)
	if err != nil {
		return s, err
	}
	running := r.delivery.Status()
	lanes, err := r.store.Lanes(ctx)
	if err != nil {
		return s, err
	}
	holds, err := r.store.Holds(ctx)
	if err != nil {
		return s, err
	}
	g, now := r.now.Load(), time.Now()
	s.Stopping = r.stopping.Load()
	s.Lanes, s.Holds, s.Mailboxes = laneStates(lanes, running.Lanes, now), holdStates(holds, running.Holds), usage(running.Usage)
	s.Minute, s.Hour = state.Sum(r.monitor.Minutes(2)[:1]).Traffic, state.Sum(r.monitor.Minutes(60)).Traffic
	s.Credentials = credentialStates(g, now)
	if g.keyPair != nil {
		s.Certificate = g.keyPair.Expires()
	}
	s.Audits = auditStates(g.auditor.Last())
	s.Reload.At = g.since
	if last, ok := r.LastReload(); ok {
		s.Reload.Failed, s.Reload.Error = last.Error != "", last.Error
	}
	s.Alarms = r.alerts.Firing()
	s.DiskReserve = int64(g.cfg.Queue.MinFreeSpace)
	var fs unix.Statfs_t
	if unix.Statfs(filepath.Dir(g.cfg.Queue.Store.Path), &fs) == nil {
		s.DiskFree, s.DiskSize = int64(fs.Bavail)*fs.Bsize, int64(fs.Blocks)*fs.Bsize
	}
	return s, nil
}

// queueState is the part of a snapshot that is cheap to take.
func (r *Relay) queueState(ctx context.Context) (s state.Snapshot, err error) {
	connections := r.smtp.Stats()
	s.Connections, s.ConnectionsTotal, s.RefusedOver = connections.Connections, connections.Accepted, connections.Refused
	if s.Unhealthy = r.store.Health(); s.Unhealthy == nil {
		s.Full = r.store.Admit(0)
	}
	st, err := r.store.Stats(ctx)
	s.Queued, s.Active, s.Held, s.Failed, s.Damaged, s.Bytes = st.Queued, st.Active, st.Held, st.Failed, st.Damaged, st.Bytes
	return s, err
}

// usage is what the mailboxes have sent in 24 hours, the busiest first. Delivery
// keeps count, because a scrape must not read a day of history.
func usage(used []delivery.Usage) (list []state.MailboxDay) {
	for _, u := range used {
		list = append(list, state.MailboxDay{Mailbox: u.Mailbox.String(), Recipients: u.Recipients})
	}
	slices.SortFunc(list, func(a, b state.MailboxDay) int {
		return cmp.Or(b.Recipients-a.Recipients, cmp.Compare(a.Mailbox, b.Mailbox))
	})
	return list
}

// laneStates joins what the store and what delivery know of each mailbox.
func laneStates(stored []spool.Lane, lanes []delivery.LaneStatus, now time.Time) []state.Lane {
	running := map[envelope.Address]delivery.LaneStatus{}
	for _, l := range lanes {
		running[l.Mailbox] = l
	}
	list := make([]state.Lane, len(stored))
	for i, l := range stored {
		run := running[l.Mailbox]
		list[i] = state.Lane{
			Mailbox: l.Mailbox.String(), Identity: run.Identity,
			Queued: l.Queued, Active: l.Active, Held: l.Held, Next: l.Next, Oldest: l.Oldest,
			Slots: run.Slots, Busy: run.Busy, Failures: run.Failures,
		}
		if run.PausedUntil.After(now) {
			list[i].Paused = run.PausedUntil
		}
	}
	return list
}

// holdStates are the holds of delivery, which knows their probes best, and at the
// start those of the store that delivery has not read yet.
func holdStates(stored, running []spool.Hold) (list []state.Hold) {
	byKey := map[string]spool.Hold{}
	for _, h := range slices.Concat(stored, running) {
		byKey[h.Key] = h
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		h := byKey[key]
		list = append(list, state.Hold{
			Key: key, Since: h.Since, Status: h.Status.Text(), Text: h.Text, Probes: h.Probes, NextProbe: h.NextProbe,
		})
	}
	return list
}

func credentialStates(g *generation, now time.Time) (list []state.Credential) {
	for _, id := range g.cfg.Identities {
		list = append(list, credentialState(id, g.identities[id.Name].Credential(), now))
	}
	return list
}

// credentialState adds the warning about the expiry of a credential: one that has
// expired is a fault like others, which is repeated, and not a stage.
func credentialState(id config.Identity, c entra.CredentialInfo, now time.Time) state.Credential {
	stage, warning := c.Expiry(now)
	if stage == entra.Expired {
		stage = ""
	}
	return state.Credential{
		Identity: string(id.Name), Tenant: string(id.TenantID), Client: string(id.ClientID),
		Kind: c.Kind, Subject: c.Subject, Thumbprint: c.Thumbprint, Expires: c.NotAfter,
		Warning: warning, Stage: stage,
	}
}

// auditStates are the last audits with a result.
func auditStates(last []verify.Audit) (list []state.Audit) {
	for _, a := range last {
		if !a.Concluded.IsZero() {
			list = append(list, state.Audit{Identity: a.Identity, At: a.Concluded, Passed: a.Passed, Text: a.Proof})
		}
	}
	return list
}
