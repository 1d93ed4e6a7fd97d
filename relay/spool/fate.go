package spool

import "graphrelay/relay/envelope"

// Fate is what became of one recipient of a message that was sent: nothing else is known
// than that Microsoft accepted it, where Kind is EventSent.
type Fate struct {
	Event
	Recipient envelope.Address // zero for a bounce that names no recipient of the message
}

// Fates returns the fate of each recipient of a message: the last word about it, where a
// bounce is the last of all. Nil for a message that was not sent and of which nothing came
// back. It is pure.
func Fates(m Message, history []Event) (fates []Fate) {
	known, index := false, map[string]int{}
	for _, to := range m.Envelope.Recipients {
		index[to.Key()] = len(fates)
		fates = append(fates, Fate{Recipient: to})
	}
	for _, e := range history {
		switch e.Kind {
		case EventSent:
			for i, f := range fates {
				if f.Kind == "" {
					fates[i].Event = e
				}
			}
		case EventBounced, EventDelayed:
			i, named := index[e.Recipient.Key()]
			if !named {
				i, index[e.Recipient.Key()] = len(fates), len(fates)
				fates = append(fates, Fate{})
			}
			if fates[i].Kind != EventBounced {
				fates[i].Event = e
			}
		default:
			continue
		}
		known = true
	}
	if !known {
		return nil
	}
	return fates
}
