package model

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// Report is what the checker found.
type Report struct {
	States int      // distinct ones
	Steps  int      // between them
	Depth  int      // steps to the last state: the longest of the shortest ways
	Last   State    // visited
	Broken Promise  // Kept, if all hold
	Trace  []string // to Last, if it was wanted
	Whole  bool     // every state was seen, or a broken promise found
}

// String says in one line how much was seen.
func (r Report) String() string {
	whole := ""
	if !r.Whole {
		whole = ", STOPPED at the bound"
	}
	return fmt.Sprintf("%d states, %d steps, depth %d%s", r.States, r.Steps, r.Depth, whole)
}

// visit is a state, and how it was reached first.
type visit struct {
	state State
	from  int32
	same  int32 // the visit before with the same hash; 0 = none
	depth int32
}

// search is the states seen, breadth first. Number 0 is not used.
type search struct {
	model  *Model
	seed   maphash.Seed
	byHash map[uint64]int32
	chunks [][]visit // of chunkSize each: a slice that grows would be copied
	count  int32
	edges  []edge // of all steps, if they are wanted
	keep   bool
}

type edge struct{ from, to int32 }

func (s *search) step(from, to int32) {
	if s.keep && from != 0 {
		s.edges = append(s.edges, edge{from, to})
	}
}

const chunkSize = 1 << 14

func (s *search) at(i int32) *visit { return &s.chunks[i/chunkSize][i%chunkSize] }

func (s *search) append(v visit) {
	if s.count%chunkSize == 0 {
		s.chunks = append(s.chunks, make([]visit, chunkSize))
	}
	*s.at(s.count) = v
	s.count++
}

// Check visits every state that can be reached, the nearest first, until a promise is
// broken, or there are more than limit.
func (m *Model) Check(limit int) Report {
	r := newSearch(m).find(limit, func(s *State) bool { return m.broken(s) != Kept })
	if r.Trace != nil {
		r.Broken = m.broken(&r.Last)
	}
	return r
}

func newSearch(m *Model) *search {
	s := &search{model: m, seed: maphash.MakeSeed(), byHash: map[uint64]int32{}}
	s.append(visit{})
	return s
}

// find visits states until one is wanted.
func (s *search) find(limit int, wanted func(*State) bool) Report {
	s.add(s.model.initial(), 0)
	r := Report{Whole: true}
	for i := int32(1); i < s.count; i++ {
		if int(s.count) > limit {
			r.Whole = false
			break
		}
		state := s.at(i).state
		r.Last, r.Depth = state, int(s.at(i).depth)-1
		if wanted(&state) {
			r.Trace = s.trace(i)
			break
		}
		s.model.steps(&state, func(next State, _ string, _, _ int) {
			r.Steps++
			s.add(next, i)
		})
	}
	r.States = int(s.count) - 1
	return r
}

func (s *search) add(state State, from int32) {
	h := maphash.Comparable(s.seed, state)
	first := s.byHash[h]
	for i := first; i != 0; i = s.at(i).same {
		if s.at(i).state == state {
			s.step(from, i)
			return
		}
	}
	s.step(from, s.count)
	s.byHash[h] = s.count
	s.append(visit{state: state, from: from, same: first, depth: s.at(from).depth + 1})
}

// trace lists the steps to a visit.
func (s *search) trace(to int32) (steps []string) {
	for from := s.at(to).from; from != 0; to, from = from, s.at(from).from {
		var step string
		target := &s.at(to).state
		s.model.steps(&s.at(from).state, func(next State, text string, node, msg int) {
			if step == "" && next == *target {
				step = words(text, node, msg)
			}
		})
		steps = append([]string{step}, steps...)
	}
	return steps // not nil, but for the initial state
}

// words names the node and the message of a step.
func words(text string, node, msg int) string {
	names := strings.NewReplacer("NODE", "node "+string(rune('A'+node)), "MSG", fmt.Sprint("message ", msg+1))
	return names.Replace(text)
}
