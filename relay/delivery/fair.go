package delivery

import (
	"slices"

	"graphrelay/relay/delivery/turns"
	"graphrelay/relay/spool"
)

// weigh is the weight of a client's turns. What the service itself writes comes first.
func (d *Delivery) weigh(client string) int {
	switch {
	case client == "":
		return High
	case d.cfg.Weight == nil:
		return Normal
	}
	return d.cfg.Weight(client)
}

// The weights of turns.
const (
	High   = 16
	Normal = 4
	Bulk   = 1
)

// skips says whose mail may not be taken now: that of clients on hold, and, while
// mail of others is due, of whoever has all slots but one with what takes minutes.
func (l *lane) skips(slots int) turns.Skip {
	var stopped []string
	if !l.d.holds.None() {
		for _, h := range l.d.holds.Narrow(l.mailbox) {
			if h.Client != "" {
				stopped = append(stopped, h.Client)
			}
		}
	}
	skip := func(client, _ string) bool { return slices.Contains(stopped, client) }
	long := l.work.long
	if len(long) == 0 || len(long) < slots-1 || slots == 1 {
		return skip
	}
	first := long[0]
	anotherClient := func(t spool.Turn) bool { return t.Client != first.Client }
	anotherMember := func(t spool.Turn) bool { return t != first }
	client, member := l.line.Others(first, skip)
	for _, p := range l.work.ready {
		client, member = client || anotherClient(p.rec.Turn()), member || anotherMember(p.rec.Turn())
	}
	switch {
	case client && !slices.ContainsFunc(long, anotherClient):
		return func(client, member string) bool { return client == first.Client || skip(client, member) }
	case member && !slices.ContainsFunc(long, anotherMember):
		return func(client, member string) bool {
			return spool.Turn{Client: client, Member: member} == first || skip(client, member)
		}
	}
	return skip
}

// barred reports whether a claimed message has to wait for a slot that others leave.
func (p pending) barred(skip turns.Skip) bool {
	t := p.rec.Turn()
	return p.probe == "" && (skip(t.Client, "") || skip(t.Client, t.Member))
}
