package relay

import (
	"context"
	"fmt"
	"strings"
	"time"

	"graphrelay/relay/alert"
	"graphrelay/relay/entra"
	"graphrelay/relay/monitor"
)

// When a state becomes a fault that an operator is told of.
const (
	watchEvery      = 15 * time.Second
	watchAgain      = time.Second // at the earliest
	oldMail         = time.Hour
	certNotice      = 14 * 24 * time.Hour
	dailyRecipients = 8000 // of the 10,000 that Exchange allows a mailbox in 24 hours
)

// openAlerts makes the board of alarms, before whatever raises one.
func (r *Relay) openAlerts() error {
	c := alert.Config{Host: r.hostname, Log: r.log, OnPost: r.monitor.AlertPosted}
	if a := r.cfg().Alerts; a != nil {
		if err := alert.CheckURLFile(string(a.WebhookURLFile)); err != nil {
			return fmt.Errorf("alerts.webhook_url_file: %w", err)
		}
		c.URLFile = string(a.WebhookURLFile)
	}
	r.alerts = alert.New(c)
	return nil
}

// watch raises and ends the alarms that follow from the state of the service.
func (r *Relay) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var before map[string]fault
	for {
		if s, err := r.snapshot(ctx); err == nil {
			r.monitor.Sampled(s)
			before = r.compare(before, faultsOf(s, time.Now()))
			r.endOrphans()
		} else if ctx.Err() == nil {
			r.log.Warn("the state of the service cannot be watched", "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.watchNow:
			pause(ctx, watchAgain)
		}
	}
}

// lookSoon makes the watch look before its time: something changed that may be
// a fault, or the end of one.
func (r *Relay) lookSoon() {
	select {
	case r.watchNow <- struct{}{}:
	default:
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// compare tells the board what came and what went.
func (r *Relay) compare(before, now map[string]fault) map[string]fault {
	for key, f := range now {
		if f.stage == "" {
			r.alerts.Alarm(key, f.text, true)
		} else {
			r.alerts.Stage(key, f.text, f.stage)
		}
	}
	for key := range before {
		if _, still := now[key]; !still {
			r.alerts.Alarm(key, "", false)
		}
	}
	return now
}

// endOrphans ends the alarms of identities that the configuration has no more:
// whoever raised them is gone too.
func (r *Relay) endOrphans() {
	for _, a := range r.alerts.Firing() {
		kind, name, _ := strings.Cut(a.Key, ":")
		if (kind == "audit" || kind == "lookup") && !r.hasIdentity(name) {
			r.alerts.Alarm(a.Key, "identity "+name+" is not configured any more", false)
		}
	}
}

// fault is what an operator is told of. One that comes nearer by stages has one.
type fault struct{ text, stage string }

// faultsOf are the faults in a state, by key, each with what to do. It is pure.
func faultsOf(s monitor.Snapshot, now time.Time) map[string]fault {
	faults := map[string]fault{}
	raise := func(key, format string, args ...any) { faults[key] = fault{text: fmt.Sprintf(format, args...)} }
	switch {
	case s.Unhealthy != nil:
		raise("store", "no mail is accepted or sent: %v", s.Unhealthy)
	case s.Full != nil:
		raise("disk", "no mail is accepted: %v; free space on the disk of queue.store, or raise queue.max_messages", s.Full)
	case s.DiskSize > 0 && s.DiskFree < 2*s.DiskReserve:
		raise("disk", "the disk of queue.store has %d MiB left, and below %d MiB no mail is accepted; free space", s.DiskFree>>20, s.DiskReserve>>20)
	}
	for _, h := range s.Holds {
		raise("hold:"+h.Key, "mail is held (%s) since %s: %s", h.Key, h.Since.UTC().Format(time.RFC3339), h.Text)
	}
	if s.Held > 0 {
		raise("queue:held", "messages wait for an operator; see graphrelay queue list --state held, then retry, release or delete them")
	}
	if s.Damaged > 0 {
		raise("damaged", "stored messages are damaged: the disk gave back other bytes than were written; check the disk, and see graphrelay queue list --state damaged")
	}
	for _, l := range s.Lanes {
		if l.Queued > 0 && !l.Oldest.IsZero() && now.Sub(l.Oldest) > oldMail {
			raise("old:"+l.Mailbox, "mail of %s waits since %s; see graphrelay status and graphrelay queue list", l.Mailbox, l.Oldest.UTC().Format(time.RFC3339))
		}
	}
	credentials(s, now, faults)
	expiries(s, now, raise)
	return faults
}

// credentials warns of the end of each credential by the stages of graph; one
// that has expired is a fault like others, and repeated.
func credentials(s monitor.Snapshot, now time.Time, faults map[string]fault) {
	for _, c := range s.Credentials {
		stage, text := entra.CredentialInfo{Kind: c.Kind, NotAfter: c.NotAfter}.Expiry(now)
		if stage == "" {
			continue
		}
		if stage == entra.Expired {
			stage = ""
		}
		faults["credential:"+c.Identity] = fault{"identity " + c.Identity + ": " + text, stage}
	}
}

func expiries(s monitor.Snapshot, now time.Time, raise func(key, format string, args ...any)) {
	if !s.Certificate.IsZero() && s.Certificate.Sub(now) < certNotice {
		raise("certificate", "the TLS certificate of the listeners ends on %s; renew smtp.tls.certificate_file: it is read by itself", s.Certificate.UTC().Format(time.DateOnly))
	}
	for _, a := range s.Audits {
		if !a.Passed {
			raise("audit:"+a.Identity, "%s", a.Text)
		}
	}
	for _, m := range s.Mailboxes {
		if m.Recipients > dailyRecipients {
			raise("limit:"+m.Mailbox, "%s has sent to %d recipients in 24 hours, and Exchange stops it at 10,000 in 24 hours; spread the mail over more mailboxes", m.Mailbox, m.Recipients)
		}
	}
}
