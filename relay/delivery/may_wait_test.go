package delivery

import (
	"testing"
	"time"

	"graphrelay/relay/spool"
)

// An outcome may be recorded a little later only where nobody decides or looks up what
// becomes of a message whose outcome is lost.
func TestOutcomesThatMayWait(t *testing.T) {
	for _, c := range []struct {
		unknown UnknownOutcome
		dec     Decision
		want    bool
	}{
		{Retry, Decision{State: spool.Sent}, true},
		{Retry, Decision{State: spool.Deferred, Next: time.Now()}, true},
		{Retry, Decision{State: spool.Deferred, Unknown: true}, false},
		{Retry, Decision{State: spool.Paused, Hold: true}, false},
		{Retry, Decision{State: spool.Held}, false},
		{Retry, Decision{State: spool.Failed}, false},
		{HoldIt, Decision{State: spool.Sent}, false},
		{LookUp, Decision{State: spool.Sent}, false},
		{LookUp, Decision{State: spool.Deferred}, false},
	} {
		d := New(Config{Limits: Limits{Unknown: c.unknown}, Now: time.Now})
		if got := d.mayWait(c.dec); got != c.want {
			t.Errorf("%v %+v: %v", c.unknown, c.dec, got)
		}
	}
}
