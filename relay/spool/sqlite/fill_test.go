//go:build bench

package sqlite

import (
	"testing"
	"time"
)

// FillSent and FillQueued write many messages at once, for measurements from
// outside of the package.
func FillSent(t testing.TB, s *Store, messages int, begin time.Time) {
	fillStore(t, s, messages, codeSent, begin)
}

func FillQueued(t testing.TB, s *Store, messages int, begin time.Time) {
	fillStore(t, s, messages, codeQueued, begin)
}
