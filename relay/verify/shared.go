package verify

import (
	"context"
	"encoding/json"
	"time"
)

const (
	lookEvery = 10 * time.Second // where there are several nodes
	settling  = time.Minute      // after a start, until which it is clear who leads
)

// due reports whether this node audits an identity now: always where it is alone. Of several
// the one that leads does, at once if it has just started, else when it is time after the
// last audit of any. What others found is shown here.
func (a *Auditor) due(ctx context.Context, i int, first bool, began time.Time) bool {
	if a.cfg.Shared == nil {
		return true
	}
	one, now := a.follow(ctx, i), a.cfg.Now()
	if !a.cfg.Shared.Leads() {
		return false
	}
	return first && now.Sub(began) < settling || now.Sub(one.At).Abs() >= a.until(one)
}

func noteKey(identity string) string { return "audit:" + identity }

// follow takes in what the nodes last found of an identity.
func (a *Auditor) follow(ctx context.Context, i int) Audit {
	one, other := a.Last()[i], Audit{}
	noted, err := a.cfg.Shared.Noted(ctx, noteKey(one.Identity))
	if err == nil && noted != "" {
		err = json.Unmarshal([]byte(noted), &other)
	}
	if err != nil || other.Denied != one.Denied || !other.At.After(one.At) {
		return one // what cannot be read is read again soon
	}
	a.keep(i, other)
	return other
}

// note passes a result on to the other nodes.
func (a *Auditor) note(ctx context.Context, one Audit) {
	if a.cfg.Shared == nil {
		return
	}
	written, err := json.Marshal(one)
	if err == nil {
		err = a.cfg.Shared.Note(ctx, noteKey(one.Identity), string(written))
	}
	if err != nil && ctx.Err() == nil {
		a.cfg.Log.Warn("cannot pass the result of an audit on to other nodes", "identity", one.Identity, "error", err)
	}
}
