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

// notify tells systemd, where it started us, about a change of state.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "cause", err)
	}
}

// notifyReload tells systemd that a reload begins, and returns what tells it
// that it is over. The time lets it know which reload it is.
func notifyReload(log *slog.Logger) (done func()) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	notify(log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	return func() { notify(log, daemon.SdNotifyReady) }
}

// supervise keeps systemd informed until done is closed: a line for systemctl
// status, and WATCHDOG=1 while the relay is alive. A stop is bounded in other
// ways, so from its begin on the watchdog is content.
func supervise(ctx context.Context, r *relay.Relay, log *slog.Logger, done <-chan struct{}) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog of systemd is not served", "cause", err)
	}
	every := statusEvery
	if limit > 0 {
		every = min(every, limit/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var told string
	for {
		if limit > 0 {
			watchdog(ctx, r, log, limit/2)
		}
		if line := "STATUS=" + r.Summary(context.WithoutCancel(ctx)); line != told && ctx.Err() == nil {
			told = line
			notify(log, line)
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// watchdog tells systemd that the relay is alive, if it is.
func watchdog(ctx context.Context, r *relay.Relay, log *slog.Logger, patience time.Duration) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.Alive(asking); err != nil && ctx.Err() == nil {
		log.Error("the watchdog is not told that all is well", "cause", err)
		return
	}
	notify(log, daemon.SdNotifyWatchdog)
}
