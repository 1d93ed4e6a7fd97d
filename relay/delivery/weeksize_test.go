//go:build !torture

package delivery

import "time"

// The size of TestBadWeek; "make torture" has the whole week.
const (
	weekMessages = 1_200
	weekEnd      = 10 * time.Hour // a bad night
	weekMaxHold  = 12 * time.Hour
)
