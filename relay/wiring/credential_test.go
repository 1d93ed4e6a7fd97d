package wiring

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/alert"
	"graphrelay/relay/entra"
	"graphrelay/relay/state"
)

// A credential that nobody renews alarms 30, 14, 7, 3 and 1 days before its end,
// and daily after it; nothing else raises or ends this key.
func TestExpiryAlarmsInStages(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now, end := start, start.AddDate(0, 0, 40)
	var log bytes.Buffer
	board := alert.New(alert.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	follow := func(expires time.Time) {
		c := Credential(config.Identity{Name: "x"}, entra.CredentialInfo{Kind: "certificate", NotAfter: expires}, now)
		board.Follow(state.Faults(state.Snapshot{Credentials: []state.Credential{c}}, now))
	}
	var alarmed []string
	for day := range 43 {
		for _, hour := range []int{0, 6} {
			now = start.AddDate(0, 0, day).Add(time.Duration(hour) * time.Hour)
			lines := strings.Count(log.String(), "msg=alarm")
			follow(end)
			if strings.Count(log.String(), "msg=alarm") > lines {
				alarmed = append(alarmed, fmt.Sprint(40-day))
			}
		}
	}
	if got := strings.Join(alarmed, " "); got != "30 14 7 3 1 0" || strings.Contains(log.String(), "alarm is over") {
		t.Errorf("alarmed %s days before the end:\n%s", got, &log)
	}
	if follow(now.AddDate(1, 0, 0)); len(board.Firing()) != 0 {
		t.Error("a renewed credential still alarms")
	}
}
