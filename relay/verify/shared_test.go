package verify_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/verify"
)

// nodes is a store that two nodes share: who leads, and what they have noted.
type nodes struct {
	mu    sync.Mutex
	leads string
	notes map[string]string
}

// node is a Shared of one of them.
type node struct {
	*nodes
	name string
}

func (n node) Leads() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leads == n.name
}

func (n node) Note(_ context.Context, key, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes[key] = text
	return nil
}

func (n node) Noted(_ context.Context, key string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.notes[key], nil
}

func (n *nodes) lead(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leads = name
}

// Of several nodes the one that leads audits, and each shows the result. One that begins to lead
// audits when it is time, and whoever is asked to at once.
func TestOneNodeAudits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &nodes{leads: "one", notes: map[string]string{}}
		begin := func(name string) (*book, *verify.Auditor) {
			b := newBook()
			b.answer = refused
			c := b.config(audited(t, b))
			c.Shared = node{shared, name}
			a := verify.NewAuditor(c)
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			go a.Run(ctx)
			return b, a
		}
		one, _ := begin("one")
		two, second := begin("two")
		attempts := func(when string, wait time.Duration, ofOne, ofTwo int) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if one.attempts != ofOne || two.attempts != ofTwo {
				t.Errorf("%s: %d and %d audits, want %d and %d", when, one.attempts, two.attempts, ofOne, ofTwo)
			}
		}
		attempts("at the start", time.Minute, 1, 0)
		if l := second.Last()[0]; l.Verdict != verify.Restricted || !l.Passed || l.At.IsZero() {
			t.Errorf("the other node shows %+v", l)
		}
		attempts("a day later", 24*time.Hour, 2, 0)
		shared.lead("")
		attempts("while nobody leads", time.Hour, 2, 0)
		shared.lead("two")
		attempts("the other node leads", 22*time.Hour, 2, 0)
		two.set(accepted)
		attempts("when it is time", 2*time.Hour, 2, 1)
		if !strings.Contains(two.stopped["contoso"], "by itself") || len(one.stopped) != 0 {
			t.Errorf("stopped %v and %v", one.stopped, two.stopped)
		}
		three, third := begin("three")
		attempts("a third one begins", time.Minute, 2, 1)
		if l := third.Last()[0]; !l.Alarming() || three.attempts != 0 {
			t.Errorf("the third node shows %+v after %d audits of its own", l, three.attempts)
		}
		third.TryNow("contoso")
		attempts("it is asked", time.Second, 2, 1)
		if three.attempts != 1 || three.resumed != 1 || !third.Last()[0].Passed {
			t.Errorf("%d audits by the one that was asked, %+v", three.attempts, third.Last()[0])
		}
		attempts("the result is passed on", time.Minute, 2, 1)
		if l := second.Last()[0]; !l.Passed {
			t.Errorf("the node that leads shows %+v", l)
		}
	})
}
