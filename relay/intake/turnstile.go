package intake

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxWait is how long a login waits for its turn.
const maxWait = 20 * time.Second

// turnstile lets one password be checked at a time. The places that wait take turns,
// so that one with many guesses delays another's login by one check.
type turnstile struct {
	mu    sync.Mutex
	taken bool
	order []place // that wait, the next one first
	lines map[place][]chan struct{}
}

// enter waits for a turn; leave must follow if the error is nil.
func (t *turnstile) enter(ctx context.Context, from place) error {
	turn := t.queue(from)
	if turn == nil {
		return nil
	}
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience.C:
		err = errBusy.Becausef("a login waited %s for other logins of %s to be checked; "+
			"find out who tries to log in so often", maxWait, from)
	}
	t.giveUp(from, turn)
	return err
}

// queue returns what is closed when the turn comes, nil if it is now.
func (t *turnstile) queue(from place) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.taken {
		t.taken = true
		return nil
	}
	turn := make(chan struct{})
	if t.lines == nil {
		t.lines = map[place][]chan struct{}{}
	}
	if len(t.lines[from]) == 0 {
		t.order = append(t.order, from)
	}
	t.lines[from] = append(t.lines[from], turn)
	return turn
}

func (t *turnstile) giveUp(from place, turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.lines[from]
	i := slices.Index(line, turn)
	if i < 0 { // it came at the same moment
		t.next()
		return
	}
	if t.lines[from] = slices.Delete(line, i, i+1); len(line) == 1 {
		delete(t.lines, from)
		t.order = slices.DeleteFunc(t.order, func(p place) bool { return p == from })
	}
}

// leave lets the next one in.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next()
}

func (t *turnstile) next() {
	if len(t.order) == 0 {
		t.taken = false
		return
	}
	from := t.order[0]
	t.order = t.order[1:]
	line := t.lines[from]
	close(line[0])
	if len(line) == 1 {
		delete(t.lines, from)
		return
	}
	t.lines[from] = line[1:]
	t.order = append(t.order, from)
}
