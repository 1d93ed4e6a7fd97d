package delivery

import "graphrelay/relay/envelope"

// spareRequests is how much of a mailbox's budget of requests is kept for mail.
const (
	spareRequests = 2000
	mostRequests  = 4 // at once, of Graph for one app and mailbox
)

// Aside reports whether a request that carries no mail may be made in a mailbox now, and
// counts it against the mailbox's budget if so. Mail comes first: it may not while the mailbox is
// held, pauses, fails, is throttled, or has as many requests under way as Graph takes. The
// mailbox may be one that no mail goes through.
func (d *Delivery) Aside(mailbox envelope.Address) bool {
	if r, ok := d.route(mailbox); ok && d.holds.Blocking(r.Identity, mailbox) != "" {
		return false
	}
	now, key := d.cfg.Now(), mailbox.Key()
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lanes[key]; l != nil {
		s := l.view.get()
		if s.slowed || s.Failures > 0 || !s.Pause.Until.IsZero() || s.Busy+s.Ahead >= mostRequests {
			return false
		}
		l.inbox.send(hint{aside: 1})
		return true
	}
	p := d.paceOf(key)
	if !p.PausedUntil(now).IsZero() || p.Messages(now) < spareRequests {
		return false
	}
	p.Aside(now, 1)
	return true
}

// ReportBounces says that bounces were recorded, which may have to be reported.
func (d *Delivery) ReportBounces() { d.askReport() }
