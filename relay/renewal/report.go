package renewal

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// Group is the rollers of a relay, by identity.
type Group map[string]*Roller

// Run runs them all until ctx ends.
func (g Group) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range g {
		all.Go(func() { r.Run(ctx) })
	}
	all.Wait()
}

// Report fills in how far the renewals are.
func (g Group) Report(list []state.Credential) {
	for i, c := range list {
		if r := g[c.Identity]; r != nil {
			list[i].Renewal = r.Report()
		}
	}
}

// Report says how far the renewal is.
func (r *Roller) Report() *state.Renewal {
	n, err := ReadNote(r.File)
	file, fileErr := Examine(r.folder.file)
	if err = cmp.Or(fileErr, err); err != nil {
		return &state.Renewal{Stage: "idle", Text: "cannot renew itself", Failing: true, Cause: err.Error()}
	}
	cause, since, ok := n.Trouble(file, r.Now())
	s := &state.Renewal{
		Stage: cmp.Or(string(n.Stage), "idle"), Text: n.Summary(file, r.Now()), Failing: !ok, Since: since,
	}
	if !ok {
		s.Cause = cause.String()
	}
	return s
}

// When a failure is a fault: a new certificate takes a while to reach every login
// server, and a timer has a day and more to begin.
const (
	failsFor = 2 * time.Hour
	lateBy   = 3 * 24 * time.Hour
)

// Trouble says what is wrong with the renewal of the certificate in the file, and
// since when; ok while nothing is. It is pure.
func (n Note) Trouble(file Key, now time.Time) (cause text.Cause, since time.Time, ok bool) {
	due := begins(n.known(file))
	switch {
	case n.Doubt != "" && n.Stage != Idle:
		return text.Cause{
			Headline: "The renewed certificate was refused, and the old one is in force again", Detail: n.Error,
			Remedy: "it is tried again; if that fails, renew by hand: graphrelay cert renew",
		}, n.Since, false
	case n.Lost != "":
		return text.Cause{Headline: n.Lost, Detail: n.Error,
			Remedy: "the renewal continues by itself; find out what changes the files beside certificate_file",
		}, n.Since, false
	case n.Error != "" && now.Sub(n.Failing) >= failsFor:
		c := text.ReadCause(n.Error)
		if c.Remedy == "" {
			c.Remedy = "it is tried again; graphrelay cert show FILE has the history"
		}
		return c, n.Failing, false
	case n.Stage == Idle && now.Sub(due) >= lateBy && now.Sub(n.Looked) >= lateBy:
		return text.Cause{
			Headline: "The app's certificate is due for renewal, and nothing renews it",
			Remedy:   "run graphrelay cert roll as root, by: systemctl enable --now graphrelay-cert-roll.timer",
		}, due, false
	}
	return text.Cause{}, time.Time{}, true
}

// Summary says how far the renewal is. It is pure.
func (n Note) Summary(file Key, now time.Time) string {
	switch n.Stage {
	case Made:
		return "adding a new certificate to the app"
	case Trying:
		return fmt.Sprintf("trying a new certificate: %d of %d logins", n.Logins, logins)
	case Switched:
		return "the new one is in force since " + n.Since.UTC().Format(time.DateOnly) + "; no mail was sent with it yet"
	}
	due := begins(n.known(file))
	switch s := n.Stranger; {
	case now.Before(due):
		return "from " + due.UTC().Format(time.DateOnly) + " on"
	case s.Thumbprint != "" && s.Start.Add(strangerRest).After(now):
		return "waiting, because somebody else has added the certificate " + s.Thumbprint
	}
	return "due"
}
