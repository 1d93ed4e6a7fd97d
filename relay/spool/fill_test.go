//go:build bench

package spool

import (
	"testing"
	"time"
)

// FillSent and FillQueued write many messages at once, for measurements from
// outside of the package.
func FillSent(t testing.TB, s *SQLite, messages int, begin time.Time) {
	fillStore(t, s, messages, codeSent, begin)
}

func FillQueued(t testing.TB, s *SQLite, messages int, begin time.Time) {
	fillStore(t, s, messages, codeQueued, begin)
}
