package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// standby keeps systemd informed while another node has the queue: the unit is up, and
// alive, though it takes no mail yet.
type standby struct {
	log  *slog.Logger
	once sync.Once
	over chan struct{}
}

func newStandby(log *slog.Logger) *standby { return &standby{log: log, over: make(chan struct{})} }

// show says which node has the queue.
func (s *standby) show(node string) {
	notify(s.log, daemon.SdNotifyReady+"\nSTATUS=standby: "+node+" holds the queue")
	s.once.Do(func() { go s.stayAlive() })
}

func (s *standby) stayAlive() {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit <= 0 {
		return // serve's own look at it says what is wrong
	}
	tick := time.NewTicker(limit / 4)
	defer tick.Stop()
	for {
		notify(s.log, daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-s.over:
			return
		}
	}
}
