//go:build torture

package delivery

import "time"

// The size of TestBadWeek.
const (
	weekMessages = 50_000
	weekEnd      = 62 * time.Hour // from Friday 18:00 to Monday 08:00
	weekMaxHold  = 72 * time.Hour
)
