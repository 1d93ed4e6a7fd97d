package spool

import "time"

// Use is what one client has in the queue. The service's own mail has the client "".
type Use struct {
	Messages int
	Bytes    int64
}

// Plus adds to a use.
func (u Use) Plus(messages int, bytes int64) Use { return Use{u.Messages + messages, u.Bytes + bytes} }

// AwayFor is how long a client that was refused for want of room counts as one with mail.
const AwayFor = time.Hour

// Overdrawn returns whether a client must not fill the room any further, so that it
// cannot fill it for the others: more than half of the room is used, two clients or
// more have mail, and this one has used a client's share. Alone it may use all.
func Overdrawn(room, used, its int64, clients int) bool {
	return room > 0 && clients > 1 && used > room/2 && its > 0 && its >= room/int64(clients)
}
