package state

import "time"

// Waits is the mail of one client that waits in a mailbox.
type Waits struct {
	Client   string    `json:"client"`   // empty: reports and test mail of the service itself
	Priority string    `json:"priority"` // of its turns: high, normal or bulk
	Waiting  int       `json:"waiting"`
	Next     time.Time `json:"next"` // when the first of it is or was due
	Sources  int       `json:"sources"`

	// Busiest is the source, an address or a user of this host, that most of it is from.
	Busiest     string `json:"busiest_source,omitempty"`
	FromBusiest int    `json:"busiest_source_waiting,omitempty"`
}

// Name is the client, in words where it is the service itself.
func (w Waits) Name() string {
	if w.Client == "" {
		return "reports and test mail"
	}
	return w.Client
}

// TakesTurns reports whether the mail that waits in a lane is of several clients or
// sources, so that some of it waits for the turns of others.
func (l Lane) TakesTurns() bool {
	return len(l.Clients) > 1 || len(l.Clients) == 1 && l.Clients[0].Sources > 1
}
