package state

import (
	"fmt"
	"time"
)

// InVain is what a client was refused for good since a message of it was last
// accepted. Sender, Cause and Remedy are those of the last refusal.
type InVain struct {
	Times                 int
	First, Last           time.Time
	Sender, Cause, Remedy string
}

// When refusals are a fault: so many, and the last so long ago.
const (
	inVainTimes = 3
	inVainAge   = time.Hour
)

// inVain finds clients that are refused again and again while nothing of them is
// accepted: of each name the address that tries most.
func (f faults) inVain(s Snapshot, now time.Time) {
	most := map[string]int{}
	for _, c := range s.Seen {
		v, key := c.InVain, keyRefused+c.Name
		if v.Times < inVainTimes || now.Sub(v.Last) > inVainAge || v.Times <= most[key] {
			continue
		}
		most[key] = v.Times
		who := c.Addr
		if v.Sender != "" {
			who = v.Sender + " from " + c.Addr
		}
		f[key] = Fault{
			Headline:  about(fmt.Sprintf("Client %s is refused %s: %s", c.Name, times(v.Times), v.Cause), who),
			Remedy:    v.Remedy + "; see also graphrelay trace --client " + c.Name,
			Meanwhile: "nothing of it has been accepted since; mail of other clients flows",
			Since:     v.First, Warning: true,
		}
	}
}
