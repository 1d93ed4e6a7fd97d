package delivery

import "context"

// Several nodes may work on a queue. Each mailbox has its mail sent by one of them, and what
// the others need to know goes through the store: holds, and how fast a mailbox may send.

// isShared reports whether other nodes may work on the queue.
func (d *Delivery) isShared() bool { return d.cfg.Store.News() != nil }

// adoptHolds does here what other nodes did to the holds in the store.
func (d *Delivery) adoptHolds(ctx context.Context) error {
	if !d.isShared() {
		return nil
	}
	begun, ended, err := d.holds.Adopt(ctx)
	for _, h := range begun {
		d.logHoldBegins(h)
	}
	for _, h := range ended {
		d.logHoldEnds(h, d.cfg.Now())
		d.goOn(h)
	}
	if len(begun) > 0 {
		d.wakeAll() // what was claimed ahead is returned
	}
	return err
}

// shareProbes saves when holds are due for a probe, for the node whose lanes may probe them.
func (d *Delivery) shareProbes(keys []string) {
	if !d.isShared() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running {
		for _, key := range keys {
			d.shutdown.lanes.Go(func() { d.saveHold(key) })
		}
	}
}
