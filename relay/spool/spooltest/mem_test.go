package spooltest_test

import (
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

func TestMemConforms(t *testing.T) {
	spooltest.Run(t, func(_ *testing.T, now func() time.Time) spool.Store { return spooltest.NewMem(now) })
}
