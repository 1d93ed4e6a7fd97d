package monitor

import "sync"

// maxLabels bounds the values of one label; other stands for the rest.
const (
	maxLabels = 200
	other     = "other"
)

// values are the values that a label has had.
type values struct {
	mu   sync.Mutex
	seen map[string]bool
}

// bound returns v, or other where there are too many already.
func (l *values) bound(v string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[v] {
		return v
	}
	if len(l.seen) >= maxLabels {
		return other
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[v] = true
	return v
}
