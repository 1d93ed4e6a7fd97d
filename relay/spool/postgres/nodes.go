package postgres

import (
	"context"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// Mine implements spool.Nodes.
func (s *Store) Mine(mailbox envelope.Address) bool {
	sh, lane := s.host.share, mailbox.Key()
	mine, free := sh.mine(lane)
	if free {
		sh.ask(lane)
	}
	return mine
}

// ask wants a lane that no node has, if the node may have more.
func (s *share) ask(lane string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all, have := s.counts(); have < s.most(all+1) && s.may(lane) && !s.wanted[lane] {
		s.wanted[lane] = true
		s.store.Wake()
	}
}

// Leads implements spool.Nodes.
func (s *Store) Leads() bool {
	mine, _ := s.host.share.mine(leader)
	return mine && s.MayBegin() == nil
}

// News implements spool.Nodes.
func (s *Store) News() <-chan struct{} { return s.host.share.news }

// Carry implements spool.Nodes.
func (s *Store) Carry(mailbox envelope.Address, pace string) {
	sh := s.host.share
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.paces[mailbox.Key()] = carried{pace, true}
}

// Carried implements spool.Nodes.
func (s *Store) Carried(mailbox envelope.Address) string {
	sh := s.host.share
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.paces[mailbox.Key()].pace
}

// Nodes implements spool.Nodes.
func (s *Store) Nodes(ctx context.Context) ([]spool.Node, error) {
	return db.Read(ctx, s.Readers, func(c *db.Conn) ([]spool.Node, error) { return readNodes(c, s.host.lease.id) })
}

func readNodes(c *db.Conn, this int64) ([]spool.Node, error) {
	var holders []string
	list, err := db.All(c, `SELECT id, holder,
			CAST(extract(epoch FROM now() - until + `+leaseLasts+`) * 1000 AS bigint),
			(SELECT count(*) FROM lane WHERE node = id AND lane <> ''),
			(SELECT count(*) FROM lane WHERE node = id AND lane = '')
		FROM node_lease WHERE `+live+` ORDER BY holder, id`, nil, func(r *db.Row) (spool.Node, error) {
		id, holder := r.Int(), r.Str()
		holders = append(holders, holder)
		seen := time.Duration(max(r.Int(), 0)) * time.Millisecond
		n := spool.Node{Name: nameOf(holder), This: id == this, Seen: seen, Lanes: int(r.Int())}
		n.Leads = r.Bool()
		return n, r.Err
	})
	for i := range list { // several on one machine
		for j := range list {
			if i != j && nameOf(holders[i]) == nameOf(holders[j]) {
				list[i].Name = strings.ReplaceAll(holders[i], " ", "/")
			}
		}
	}
	return list, err
}

// nameOf is the machine of a node.
func nameOf(holder string) string {
	name, _, _ := strings.Cut(holder, " ")
	return name
}
