package spooltest

import (
	"context"
	"slices"

	"graphrelay/relay/spool"
)

// AddRefusals implements spool.Refusals.
func (s *Mem) AddRefusals(ctx context.Context, list []spool.Refusal) (dropped int, err error) {
	if err := s.change(ctx, "refusals", ""); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range list {
		if known := s.refusals[r.RefusalKey]; known != nil {
			known.Add(r)
		} else {
			s.refusals[r.RefusalKey] = &r
		}
	}
	if len(s.refusals) <= spool.MaxRefusals {
		return 0, nil
	}
	for _, r := range s.newestRefusals()[spool.MaxRefusals:] {
		delete(s.refusals, r.RefusalKey)
		dropped += r.Count
	}
	return dropped, nil
}

func (s *Mem) newestRefusals() []spool.Refusal {
	list := make([]spool.Refusal, 0, len(s.refusals))
	for _, r := range s.refusals {
		list = append(list, *r)
	}
	slices.SortFunc(list, spool.Later)
	return list
}

// Refusals implements spool.Reader.
func (s *Mem) Refusals(_ context.Context, f spool.RefusalFilter) (found []spool.Refusal, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return nil, err
	}
	for _, r := range s.newestRefusals() {
		if f.Matches(r) {
			found = append(found, r)
		}
	}
	first := min(f.Skip, len(found))
	return found[first:min(first+f.PageSize(), len(found))], nil
}
