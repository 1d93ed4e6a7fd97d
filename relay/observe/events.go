package observe

import (
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/intake"
	"graphrelay/relay/monitor"
	"graphrelay/relay/spool"
)

// CountIntake hands what intake did to the monitor.
func (o *Observer) CountIntake(e intake.Event) {
	if e.Refusal == nil {
		o.Monitor.Accepted(monitor.Taken{
			Client: e.Client.Name, Addr: e.Client.String(), Recipients: e.Recipients, Size: e.Size,
			Repairs: e.Repairs,
		})
		return
	}
	why := ""
	if e.Refusal.Cause != nil {
		why = e.Refusal.Cause.Error()
	}
	o.Monitor.Rejected(monitor.Refused{
		Client: e.Client.Name, Addr: e.Client.String(), At: e.At,
		Status: e.Refusal.Enhanced, Reply: e.Refusal.Text, Cause: why,
	})
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
		Damaged: e.Damaged,
	})
	o.Watcher.Notice(e.Kind != spool.EventSent)
}
