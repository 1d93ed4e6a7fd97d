package torture

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"graphrelay/relay/e2e/harness"
)

// ledger is what the outside knows of each message: what the client was told
// and what arrived. It is the judge of a torture run.
type ledger struct {
	mu    sync.Mutex
	epoch int // the present life of the relay, from 1
	mail  map[string]*note
}

// note is one message, by its Message-ID.
type note struct {
	hash      string // of the body as sent
	acked     int    // submissions answered 250
	ackEpoch  int    // of the last of them
	unsure    int    // submissions whose final dot was sent and whose answer never came
	arrivals  []int  // the epoch of each arrival
	truncated int    // arrivals whose body is another
}

func newLedger() *ledger { return &ledger{epoch: 1, mail: map[string]*note{}} }

// next begins another life of the relay.
func (l *ledger) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
}

func (l *ledger) written(id, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mail[id] == nil {
		l.mail[id] = &note{hash: hash(body)}
	}
}

func (l *ledger) acked(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mail[id].acked++
	l.mail[id].ackEpoch = l.epoch
}

func (l *ledger) unsure(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mail[id].unsure++
}

// arrived is told of every message that the double accepted.
func (l *ledger) arrived(m harness.Message) {
	_, body := harness.Split(string(m.Raw))
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.mail[m.MessageID]
	if n == nil {
		n = &note{hash: "never sent"}
		l.mail[m.MessageID] = n
	}
	n.arrivals = append(n.arrivals, l.epoch)
	if hash(body) != n.hash {
		n.truncated++
	}
}

// verdict sums up a run.
type verdict struct {
	Acked       int // messages answered 250 at least once
	Lost        []string
	Truncated   []string
	Invented    []string // arrived and never written whole by a client
	InFlight    int      // arrivals too many: an attempt was cut by the end of a life
	Unanswered  int      // arrivals too many: the 250 did not reach the client, who sent again
	Unexplained []string // arrivals too many for which there is no excuse
	MostCut     int      // the most attempts that one end of a life cut
}

// judge compares. Every submission that may have been stored is a copy, and a
// copy may arrive once in a life of the relay: again only in a later life, when
// the end of the earlier one cut the attempt before its outcome was recorded.
func (l *ledger) judge() verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	var v verdict
	cut := map[int]int{}
	for id, n := range l.mail {
		if n.acked > 0 {
			v.Acked++
		}
		switch {
		case n.acked > 0 && len(n.arrivals) == 0:
			v.Lost = append(v.Lost, fmt.Sprintf("%s (life %d)", id, n.ackEpoch))
		case n.acked == 0 && n.unsure == 0 && len(n.arrivals) > 0:
			v.Invented = append(v.Invented, id)
		}
		if n.truncated > 0 {
			v.Truncated = append(v.Truncated, id)
		}
		v.excuse(id, n, cut)
	}
	for _, c := range cut {
		v.MostCut = max(v.MostCut, c)
	}
	return v
}

// excuse counts the arrivals too many of one message by their excuse, and adds
// to cut the attempts that the end of each life must have cut.
func (v *verdict) excuse(id string, n *note, cut map[int]int) {
	copies, excess := max(1, n.acked+n.unsure), len(n.arrivals)-1
	if excess <= 0 {
		return
	}
	perLife, last := map[int]int{}, slices.Max(n.arrivals)
	for _, life := range n.arrivals {
		perLife[life]++
	}
	again := min(excess, copies-1)
	v.Unanswered += again
	v.InFlight += excess - again
	for life, count := range perLife {
		switch {
		case count > copies:
			v.Unexplained = append(v.Unexplained,
				fmt.Sprintf("%s: acked %d, unanswered %d, arrived in lives %v", id, n.acked, n.unsure, n.arrivals))
		case life != last && excess > again:
			cut[life] += min(count, excess-again)
		}
	}
}

// String is the line that a run prints.
func (v verdict) String() string {
	return fmt.Sprintf("%d acked, %d lost, %d truncated, %d invented; duplicates: %d attempt in flight (at most %d "+
		"by one crash), %d 250 not received, %d unexplained",
		v.Acked, len(v.Lost), len(v.Truncated), len(v.Invented), v.InFlight, v.MostCut, v.Unanswered, len(
			v.Unexplained))
}

// faults lists what no crash excuses.
func (v verdict) faults() string {
	var b strings.Builder
	for _, f := range []struct {
		name string
		list []string
	}{{"lost", v.Lost}, {"truncated", v.Truncated}, {"invented", v.Invented}, {"sent twice without an excuse",
		v.Unexplained}} {
		if len(f.list) > 0 {
			fmt.Fprintf(&b, "%d %s: %s\n", len(f.list), f.name, strings.Join(f.list[:min(10, len(f.list))], "; "))
		}
	}
	return b.String()
}

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}
