package relay

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"time"

	"graphrelay/relay/admin"
	"graphrelay/relay/delivery"
	"graphrelay/relay/monitor"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
)

// adminMode lets the owner and the group of the admin socket in, adminGroup is
// that group where the host has it.
const (
	adminMode  = 0o660
	adminGroup = "graphrelay"
)

func (r *Relay) openAdmin(ctx context.Context) error {
	address := r.cfg().Admin.Address.String()
	l, err := socket.Listen(ctx, address, adminMode)
	if err != nil {
		return listenHint("admin.address", address, err)
	}
	r.admin = l
	return r.giveToGroup(l)
}

// giveToGroup lets the administrators' group open the socket. A user who may
// not give it away has it in a group of their own, which is narrower.
func (r *Relay) giveToGroup(l net.Listener) error {
	g, err := user.LookupGroup(adminGroup)
	if err != nil {
		return nil //nolint:nilerr // the host has no such group: root and the service's user remain
	}
	gid, err := strconv.Atoi(g.Gid)
	if err == nil {
		err = os.Chown(l.Addr().String(), -1, gid)
	}
	if errors.Is(err, fs.ErrPermission) {
		r.log.Warn("the admin socket stays in the group of this process", "socket", l.Addr().String(), "cause", err)
		return nil
	}
	return err
}

func (r *Relay) adminServer() *admin.Server {
	return &admin.Server{
		Store: r.store, Status: r.status, Wake: r.delivery.Notify, ProbeNow: r.probe, Reload: r.Reload, Log: r.log,
		Holds: func(context.Context) ([]spool.Hold, error) { return r.delivery.Status().Holds, nil },
	}
}

// probe has holds tried now: by a message, and those that an audit made by an audit.
func (r *Relay) probe(keys ...string) {
	r.delivery.ProbeNow(keys...)
	for _, key := range keys {
		if identity, ok := delivery.Stopped(key); ok {
			r.now.Load().auditor.TryNow(identity)
		}
	}
}

// status sums up the service for `graphrelay status`.
func (r *Relay) status(ctx context.Context) (admin.Status, error) {
	snap, err := r.snapshot(ctx)
	if err != nil {
		return admin.Status{}, err
	}
	s := admin.Status{Version: r.version, Started: r.started, Warnings: r.Warnings(), Healthy: true,
		Listeners: r.Listeners(), Connections: snap.Connections,
		Queued: snap.Queued, Active: snap.Active, Held: snap.Held, Failed: snap.Failed, Damaged: snap.Damaged,
		Reload: admin.Reload{At: snap.Reload.At, Failed: snap.Reload.Failed}, Certificate: timeOrNone(snap.Certificate)}
	if bad := errors.Join(snap.Unhealthy, snap.Full); bad != nil {
		s.Healthy, s.Health = false, bad.Error()
	}
	if last, ok := r.LastReload(); ok {
		s.Reload.Error = last.Error
	}
	s.Minute, s.Hour = traffic(r.monitor.Minutes(2)[:1]), traffic(r.monitor.Minutes(60))
	for _, a := range snap.Alarms {
		s.Warnings = append(s.Warnings, a.Text)
	}
	for _, c := range snap.Credentials {
		s.Credentials = append(s.Credentials, admin.Credential{Identity: c.Identity, Kind: c.Kind, Expires: timeOrNone(c.NotAfter)})
	}
	for _, a := range snap.Audits {
		s.Audits = append(s.Audits, admin.Audit{Identity: a.Identity, At: a.At, Passed: a.Passed, Text: a.Text})
	}
	if s.Lanes, err = r.shownLanes(ctx, snap.Lanes); err != nil {
		return s, err
	}
	for _, h := range r.delivery.Status().Holds {
		s.Holds = append(s.Holds, admin.HoldOf(h))
	}
	return s, nil
}

// shownLanes adds what goes on to what the store knows.
func (r *Relay) shownLanes(ctx context.Context, running []monitor.Lane) ([]admin.Lane, error) {
	stored, err := r.store.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	byMailbox := map[string]monitor.Lane{}
	for _, l := range running {
		byMailbox[l.Mailbox] = l
	}
	list := make([]admin.Lane, len(stored))
	for i, l := range stored {
		list[i] = admin.LaneOf(l)
		run := byMailbox[list[i].Mailbox]
		list[i].Identity, list[i].Slots, list[i].Busy, list[i].Failures = run.Identity, run.Slots, run.Busy, run.Failures
		if run.PausedUntil.After(time.Now()) {
			list[i].Paused = &run.PausedUntil
		}
	}
	return list, nil
}

// traffic adds minutes up.
func traffic(minutes []monitor.Minute) (t admin.Traffic) {
	for _, m := range minutes {
		t.Accepted += m.Accepted
		t.Rejected += m.Rejected
		t.Sent += m.Sent
		t.Deferred += m.Deferred
		t.Held += m.Held
		t.Bounced += m.Bounced
	}
	return t
}

func timeOrNone(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
