package state

import "fmt"

// ClientHour is what a client sent within an hour; Same is how many of its messages
// came from Addr to the same recipients.
type ClientHour struct {
	Client, Addr   string
	Messages, Same int
}

// loopShare is how much of alerts.client_rate the same mail of one device may have:
// a fifth. A nightly batch goes to many, a loop always to the same.
const loopShare = 5

// runaway finds queues and clients that are larger than the operator expects.
func (f faults) runaway(s Snapshot) {
	if n := s.Queued + s.Deferred + s.Paused; s.QueueAlarm > 0 && n > s.QueueAlarm {
		busiest := ""
		if len(s.Clients) > 0 {
			busiest = fmt.Sprintf("most of the last hour's mail is from client %s (%d); ",
				s.Clients[0].Client, s.Clients[0].Messages)
		}
		f["queue:depth"] = Fault{Headline: fmt.Sprintf("%d messages are waiting", n), Warning: true,
			Remedy: busiest + "see graphrelay queue list; stop a flood with graphrelay queue hold or queue delete, " +
				"by --client and --subject"}
	}
	for _, c := range s.Clients {
		if s.ClientAlarm == 0 || c.Messages <= s.ClientAlarm && c.Same <= s.ClientAlarm/loopShare {
			continue
		}
		who, same := c.Client, ""
		if c.Same > c.Messages/2 {
			same = fmt.Sprintf(", %d from %s to the same recipients", c.Same, c.Addr)
			if c.Addr != "unix" {
				who = c.Addr
			}
		}
		f["runaway:"+c.Client] = Fault{
			Headline: fmt.Sprintf("Client %s sent %d messages in an hour%s", c.Client, c.Messages, same), Warning: true,
			Remedy: fmt.Sprintf("if that is a loop, stop the device, then graphrelay queue delete --client %s; "+
				"rate of the client limits it for good", who),
		}
	}
}
