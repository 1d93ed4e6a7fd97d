package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"graphrelay/relay"
)

// statusEvery is how often systemctl status gets a new line, if it differs.
const statusEvery = 5 * time.Second

// notify informs systemd, if it started us, of a change of state.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", "state", state, "error", err)
	}
}

// notifyReload informs systemd that a reload begins, and returns a function that
// informs it of the end. The time says which reload it is.
func notifyReload(log *slog.Logger) (done func()) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	notify(log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	return func() { notify(log, daemon.SdNotifyReady) }
}

// supervise keeps systemd informed until done is closed: a line for systemctl
// status, and WATCHDOG=1 while the relay is alive. A stop is bounded in other
// ways, so during a stop the watchdog is always satisfied.
func supervise(ctx context.Context, r *relay.Relay, log *slog.Logger, done <-chan struct{}) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot read the watchdog settings of systemd", "error", err)
	}
	every := statusEvery
	if limit > 0 {
		every = min(every, limit/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last string
	for {
		if limit > 0 {
			watchdog(ctx, r, log, limit/2)
		}
		if line := "STATUS=" + r.Summary(context.WithoutCancel(ctx)); line != last && ctx.Err() == nil {
			last = line
			notify(log, line)
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// watchdog informs systemd that the relay is alive, if it is.
func watchdog(ctx context.Context, r *relay.Relay, log *slog.Logger, patience time.Duration) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.Alive(asking); err != nil && ctx.Err() == nil {
		log.Error("the relay is not alive; systemd's watchdog is not notified", "error", err)
		return
	}
	notify(log, daemon.SdNotifyWatchdog)
}
