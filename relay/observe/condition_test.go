package observe

import (
	"fmt"
	"testing"

	"graphrelay/relay/spool"
)

type sick struct {
	Store
	health error
}

func (s sick) Health() error                         { return s.health }
func (s sick) Admit(client string, size int64) error { return s.health }

// A full store takes no mail, and sends what it has: it is not unhealthy, though
// its health says why nothing is accepted.
func TestAFullStoreIsNotUnhealthy(t *testing.T) {
	for name, c := range map[string]struct {
		health          error
		unhealthy, full bool
	}{
		"well": {nil, false, false}, "full": {fmt.Errorf("%w: disk", spool.ErrFull), false, true},
		"broken": {fmt.Errorf("%w: disk", spool.ErrUnhealthy), true, false},
	} {
		unhealthy, full := condition(sick{health: c.health})
		if (unhealthy != nil) != c.unhealthy || (full != nil) != c.full {
			t.Errorf("%s: %v, %v", name, unhealthy, full)
		}
	}
}
