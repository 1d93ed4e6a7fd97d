package renewal

import (
	"fmt"
	"time"

	"graphrelay/relay/text"
)

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
		return "in force since " + n.Since.UTC().Format(time.DateOnly) + ", until mail was sent with it not confirmed"
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
