package relay

import (
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/intake"
	"graphrelay/relay/monitor"
	"graphrelay/relay/spool"
)

// countIntake hands what intake did to the monitor.
func (r *Relay) countIntake(e intake.Event) {
	if e.Refusal == nil {
		r.monitor.Accepted(monitor.Taken{
			Client: e.Client.Name, Addr: e.Client.String(), Recipients: e.Recipients, Size: e.Size,
		})
		return
	}
	why := ""
	if e.Refusal.Cause != nil {
		why = e.Refusal.Cause.Error()
	}
	r.monitor.Rejected(monitor.Refused{
		Client: e.Client.Name, Addr: e.Client.String(), At: e.At,
		Status: e.Refusal.Enhanced, Reply: e.Refusal.Text, Cause: why,
	})
}

// countDelivery hands what delivery did to the monitor and the watcher.
func (r *Relay) countDelivery(e delivery.Event) {
	mailbox := e.Record.Mailbox.String()
	if e.Kind == spool.Attempted {
		r.monitor.Attempted(mailbox)
		return
	}
	r.monitor.Outcome(monitor.Outcome{
		Kind: string(e.Kind), Mailbox: mailbox, Identity: e.Identity, HTTPStatus: e.HTTPStatus,
		Duration: e.Duration, Delay: time.Since(e.Record.Accepted), Duplicate: e.Duplicate,
	})
	r.watcher.Notice(e.Kind != spool.EventSent)
}
