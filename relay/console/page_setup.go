package console

import (
	"net/http"
	"time"

	"graphrelay/relay/state"
)

type setupView struct {
	Setup
	state.Snapshot
	AuditOf map[string]state.Audit // by identity
	Soon    time.Time              // what expires before it needs attention
}

func (c *Console) setup(w http.ResponseWriter, r *http.Request, s *session) {
	snap, err := c.Snapshot(r.Context())
	if err != nil {
		c.broken(w, r, s, err)
		return
	}
	v := setupView{Setup: c.Setup(), Snapshot: snap, AuditOf: map[string]state.Audit{}, Soon: c.Now().AddDate(0, 0, 21)}
	for _, a := range snap.Audits {
		v.AuditOf[a.Identity] = a
	}
	c.show(w, r, s, http.StatusOK, "setup", page{Title: "Setup", Active: "setup", Body: v})
}
