package spool

import (
	"context"
	"time"

	"graphrelay/relay/envelope"
)

// Nodes divides the work on a queue among the nodes that share it. Any of them takes mail
// in; each mailbox has its mail sent by one of them, and what is done once for all (sweeping,
// digests, the search for bounces) by one, too. Only Nodes does I/O.
type Nodes interface {
	// Mine reports whether this node sends the mail of a mailbox: Claim returns none of another
	// one's. Where no node sends it, the store asks for it, and News tells when it has it.
	Mine(mailbox envelope.Address) bool
	// Leads reports whether this node does what is done once for all.
	Leads() bool
	// News is signalled when another node may have changed something: it took in mail of a mailbox
	// of this one, gave one up, or began or ended a hold. nil where there is no other.
	News() <-chan struct{}
	// Carry keeps how fast a mailbox may send, as Delivery writes it, for the node that
	// sends its mail next: soon, and not durably. Carried is what the one before kept; "" for nothing.
	Carry(mailbox envelope.Address, pace string)
	Carried(mailbox envelope.Address) string
	// Nodes lists the nodes, in order of their names; none where there is one alone.
	Nodes(ctx context.Context) ([]Node, error)
}

// Node is one of several that share a queue.
type Node struct {
	Name  string // of its machine, or what else tells it from others
	This  bool
	Leads bool
	Lanes int           // whose mail it sends
	Seen  time.Duration // since it last confirmed that it works
}

// Alone is the Nodes of a store that one node alone has.
type Alone struct{}

// Mine implements Nodes.
func (Alone) Mine(envelope.Address) bool { return true }

// Leads implements Nodes.
func (Alone) Leads() bool { return true }

// News implements Nodes.
func (Alone) News() <-chan struct{} { return nil }

// Carry implements Nodes.
func (Alone) Carry(envelope.Address, string) {}

// Carried implements Nodes.
func (Alone) Carried(envelope.Address) string { return "" }

// Nodes implements Nodes.
func (Alone) Nodes(context.Context) ([]Node, error) { return nil, nil }
