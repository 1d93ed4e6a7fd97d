//go:build bench

package sqlite

import (
	"testing"
	"time"

	"graphrelay/relay/spool"
)

// FillSent and FillQueued write many messages at once, for measurements from
// outside of the package.
func FillSent(t testing.TB, s *Store, messages int, begin time.Time) {
	fillStore(t, s, messages, spool.Sent, begin)
}

func FillQueued(t testing.TB, s *Store, messages int, begin time.Time) {
	fillStore(t, s, messages, spool.Queued, begin)
}
