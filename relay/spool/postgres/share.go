package postgres

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/tables"
)

const (
	leader     = "" // the lane of what is done once for all
	numbers    = 64 // in a block
	countShare = 20 // counting again costs at most 1/20 of the time
	countAlone = 30 * time.Second
	unknownFor = 10 // looks
)

// share is which lanes this node has. A lane is its node's as long as the lease of the node is: it
// has none of its own. The writer's goroutine changes it, each second and when a lane is wanted.
type share struct {
	*host
	store *tables.Store
	sends func(mailbox envelope.Address) bool
	news  chan struct{}

	mu      sync.Mutex
	nodes   int              // that work
	owners  map[string]int64 // of the lanes that any node has, as the database had them
	have    map[string]bool  // lanes of this node: what others may be sending there is known
	leaving map[string]bool  // those of them in which nothing more begins
	wanted  map[string]bool  // lanes that it asked for
	unknown map[string]int   // for how many looks a lane with mail had no node and no configuration here
	paces   map[string]carried

	fresh   bool      // owners are known
	failing bool      // the last look
	count   time.Time // when the next count of the queue is due
}

// carried is the pace of a lane; changed says that the database has an older one.
type carried struct {
	pace    string
	changed bool
}

var _ tables.Share = (*share)(nil)

func newShare(h *host) *share {
	return &share{host: h, nodes: 1, news: make(chan struct{}, 1), owners: map[string]int64{},
		have: map[string]bool{}, leaving: map[string]bool{}, wanted: map[string]bool{}, unknown: map[string]int{},
		paces: map[string]carried{}}
}

// mine is whether the node has a lane and may begin something in it; free that no node has it.
func (s *share) mine(lane string) (mine, free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have[lane] && !s.leaving[lane], s.owners[lane] == 0
}

// come has lanes be this node's once a transaction is committed: those that it has in the database
// then. What another node may still be sending there stays Sending until it cannot.
func (s *share) come(t *tables.Tx, lanes map[string]string) error {
	t.Then(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for lane, pace := range lanes {
			s.owners[lane], s.have[lane], s.paces[lane] = s.lease.id, true, carried{pace: pace}
		}
		s.tell()
	})
	return s.store.Inherit(t, func(lane string) bool { _, is := lanes[lane]; return is })
}

// readLane reads a lane and its pace.
func readLane(into map[string]string) func(*db.Row) error {
	return func(r *db.Row) error {
		lane := r.Str()
		into[lane] = r.Str()
		return r.Err
	}
}

// Own implements tables.Share.
func (s *share) Own(t *tables.Tx, lane string) (bool, error) {
	if mine, free := s.mine(lane); mine || !free {
		return mine, nil
	}
	taken := map[string]string{}
	err := t.Query(`INSERT INTO lane (lane, node) VALUES (?, ?) ON CONFLICT (lane) DO UPDATE SET node = excluded.node
		WHERE lane.node = 0 RETURNING lane, pace`, []any{lane, s.lease.id}, readLane(taken))
	if err != nil || len(taken) == 0 {
		return false, err
	}
	return true, s.come(t, taken)
}

// tell signals News.
func (s *share) tell() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Numbers implements tables.Share.
func (s *share) Numbers(t *tables.Tx) (first, last int64, err error) {
	next, err := t.Number("UPDATE number SET next = next + ? RETURNING next", int64(numbers))
	return next - numbers, next - 1, err
}

// keep looks at what the other nodes do, takes over from those that are gone, and takes and gives
// lanes.
func (s *share) keep(tick bool) {
	s.mu.Lock()
	wanted := slices.Collect(maps.Keys(s.wanted))
	clear(s.wanted)
	s.mu.Unlock()
	if tick || !s.fresh {
		gone, err := s.look()
		if s.report(err); err != nil {
			return
		}
		for node, name := range gone {
			s.takeOver(node, name)
		}
		s.recount()
		wanted = append(wanted, s.want()...)
		s.giveBack()
		s.carry()
	}
	if len(wanted) > 0 {
		_ = s.store.Apply(func(t *tables.Tx) error { // logged there
			for _, lane := range wanted {
				if _, err := s.Own(t, lane); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// report logs the first of several failures.
func (s *share) report(err error) {
	if err != nil && !s.failing {
		s.log.Warn("cannot see what other nodes do; retrying", slog.Any("error", s.explain(err)))
	}
	s.failing = err != nil
}

// look reads which nodes work, and which of them are gone.
func (s *share) look() (gone map[int64]string, err error) {
	c := s.store.Writer()
	nodes, gone, owners, strange := 0, map[int64]string{}, map[string]int64{}, false
	err = c.Query("SELECT id, holder, "+live+" FROM node_lease", nil, func(r *db.Row) error {
		id, holder, works := r.Int(), r.Str(), r.Bool()
		if works || id == s.lease.id {
			nodes++
		} else {
			gone[id] = holder
		}
		return r.Err
	})
	if err == nil {
		err = c.Query("SELECT lane, node FROM lane WHERE node <> 0", nil, func(r *db.Row) error {
			lane := r.Str()
			owners[lane] = r.Int()
			strange = strange || owners[lane] == s.lease.id && !s.have[lane]
			return r.Err
		})
	}
	latest := int64(0)
	if err == nil {
		latest, err = c.Number("SELECT next - 1 FROM number")
	}
	if err != nil {
		return nil, err
	}
	s.store.LeaveNumbers(latest)
	s.learn(nodes, owners)
	if strange {
		err = s.claimStrange()
	}
	return gone, err
}

// claimStrange is for lanes that the node has and does not know of: nobody could say whether the
// commit that took them was made.
func (s *share) claimStrange() error {
	return s.store.Apply(func(t *tables.Tx) error {
		lanes := map[string]string{}
		err := t.Query("SELECT lane, pace FROM lane WHERE node = ?", []any{s.lease.id}, readLane(lanes))
		if err != nil {
			return err
		}
		maps.DeleteFunc(lanes, func(lane, _ string) bool { return s.have[lane] })
		return s.come(t, lanes)
	})
}

// learn notes which nodes and lanes there are. What this node believes to have and has not, it gave
// away in a commit whose answer was lost.
func (s *share) learn(nodes int, owners map[string]int64) {
	if nodes != s.nodes {
		s.count = time.Time{} // one that is gone, or new, has changed what waits
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes, s.owners, s.fresh = nodes, owners, true
	for lane := range s.have {
		if owners[lane] != s.lease.id {
			s.drop(lane)
		}
	}
	if nodes > 1 {
		s.tell()
	}
}

// drop forgets a lane. The lock is held.
func (s *share) drop(lane string) {
	delete(s.have, lane)
	delete(s.leaving, lane)
	delete(s.paces, lane)
}

// takeOver takes the lanes of a node whose lease has expired. What it may still be sending stays
// Sending until it cannot.
func (s *share) takeOver(node int64, name string) {
	var drafts []int64
	lanes := map[string]string{}
	err := s.store.Apply(func(t *tables.Tx) error {
		clear(lanes)
		there, err := t.Exec("DELETE FROM node_lease WHERE id = ? AND NOT ("+live+")", node)
		if err != nil || there == 0 {
			return err
		}
		const take = "UPDATE lane SET node = ? WHERE node = ? RETURNING lane, pace"
		err = t.Query(take, []any{s.lease.id, node}, readLane(lanes))
		if err != nil {
			return err
		}
		drafts, err = db.All(t.Conn, "UPDATE draft SET node = ? WHERE node = ? RETURNING n", []any{s.lease.id, node},
			func(r *db.Row) (int64, error) { return r.Int(), r.Err })
		if err != nil {
			return err
		}
		return s.come(t, lanes)
	})
	if err != nil || len(lanes)+len(drafts) == 0 {
		return // logged there
	}
	s.log.Info("this node has the lanes of a node that is gone", slog.String("node", nameOf(name)),
		slog.Int("mailboxes", len(lanes)))
	s.store.InheritDrafts(drafts)
}

// recount counts the queue again, which other nodes change, too.
func (s *share) recount() {
	began := time.Now()
	if began.Before(s.count) {
		return
	}
	if err := s.store.Recount(); err != nil {
		s.report(err)
		return
	}
	s.count = time.Now().Add(countShare * time.Since(began))
	if s.nodes < 2 { // what one that is gone recorded late
		s.count = s.count.Add(countAlone)
	}
}

// most is how many lanes this node may have: no more, or a node that joins got none.
func (s *share) most(lanes int) int { return (lanes + s.nodes - 1) / s.nodes }

// want lists the lanes with mail that no node has, as far as this node may have more.
func (s *share) want() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owners[leader] == 0 {
		list = append(list, leader)
	}
	var free []string
	unknown := map[string]int{}
	s.store.Waiting(func(lane string, waiting, _ int) {
		switch {
		case s.owners[lane] == s.lease.id && s.unknown[lane] >= unknownFor:
			unknown[lane] = unknownFor // it stays
		case waiting == 0 || s.owners[lane] != 0:
		case s.may(lane):
			unknown[lane] = s.unknown[lane]
			free = append(free, lane)
		default:
			unknown[lane] = s.unknown[lane] + 1
		}
	})
	s.unknown = unknown
	all, have := s.counts()
	return append(list, free[:max(min(len(free), s.most(all+len(free))-have), 0)]...)
}

// may is whether this node's configuration has the mailbox of a lane, or it need not matter: mail that
// no node can send is held by the one that leads.
func (s *share) may(lane string) bool {
	return s.nodes < 2 || s.configured(lane) || s.have[leader] && s.unknown[lane] >= unknownFor
}

func (s *share) configured(lane string) bool {
	mailbox, err := envelope.ParseAddress(lane)
	return err != nil || s.sends == nil || s.sends(mailbox)
}

// counts are how many lanes of mailboxes all nodes have, and this one.
func (s *share) counts() (all, have int) {
	for lane, node := range s.owners {
		if lane == leader {
			continue
		}
		all++
		if node == s.lease.id {
			have++
		}
	}
	return all, have
}

// giveBack lets go of lanes above this node's part, first of those without mail. A lane goes when none
// of its attempts is open.
func (s *share) giveBack() {
	busy := map[string]int{}
	s.store.Waiting(func(lane string, waiting, sending int) { busy[lane] = waiting + sending<<32 })
	s.mu.Lock()
	all, have := s.counts()
	if have <= s.most(all) && len(s.leaving) > 0 { // a node has left
		clear(s.leaving)
		s.tell()
	}
	var given, staying []string
	for lane, node := range s.owners {
		switch {
		case node != s.lease.id || lane == leader:
		case s.leaving[lane] && busy[lane]>>32 == 0:
			given = append(given, lane)
		case s.nodes > 1 && !s.configured(lane) && s.unknown[lane] < unknownFor:
			s.leaving[lane] = true
		case !s.leaving[lane]:
			staying = append(staying, lane)
		}
	}
	slices.SortFunc(staying, func(a, b string) int { return cmp.Or(busy[a]-busy[b], strings.Compare(a, b)) })
	for _, lane := range staying[:min(max(have-len(s.leaving)-s.most(all), 0), len(staying))] {
		s.leaving[lane] = true
		s.tell()
	}
	s.mu.Unlock()
	if len(given) > 0 && s.write(given, 0) == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, lane := range given {
			delete(s.owners, lane)
			s.drop(lane)
		}
	}
}

// carry writes the paces that have changed.
func (s *share) carry() {
	s.mu.Lock()
	var changed []string
	for lane, c := range s.paces {
		if c.changed && s.owners[lane] == s.lease.id {
			changed = append(changed, lane)
		}
	}
	s.mu.Unlock()
	if len(changed) > 0 {
		_ = s.write(changed, s.lease.id) // logged there
	}
}

// write says of lanes of this node whose they are, and their paces.
func (s *share) write(lanes []string, node int64) error {
	paces := map[string]string{}
	s.mu.Lock()
	for _, lane := range lanes {
		c := s.paces[lane]
		paces[lane], c.changed = c.pace, false
		s.paces[lane] = c
	}
	s.mu.Unlock()
	return s.store.Apply(func(t *tables.Tx) error {
		for lane, pace := range paces {
			err := t.Run("UPDATE lane SET node = ?, pace = ? WHERE lane = ? AND node = ?", node, pace, lane, s.lease.id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
