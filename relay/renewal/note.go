package renewal

import (
	"slices"
	"time"
)

// Stage is how far a renewal is.
type Stage string

// The stages, in their order.
const (
	Idle     Stage = ""         // the certificate in the file is the only one
	Made     Stage = "made"     // the next key pair is on disk; Entra may or may not know it
	Trying   Stage = "trying"   // Entra has accepted the next certificate, and logins are tried with it
	Switched Stage = "switched" // it is in the file; the one before stays at hand
)

// Key is a certificate of the application.
type Key struct {
	Thumbprint string    `json:"thumbprint"`
	ID         string    `json:"key_id,omitempty"` // of Entra; "" where it did not say
	Start      time.Time `json:"start,omitzero"`
	End        time.Time `json:"end,omitzero"` // of the certificate, or of Entra where that is earlier
}

// Retired is a certificate to be removed from the application.
type Retired struct {
	Key
	Unused bool      `json:"unused,omitempty"` // it never came into force, so it need not have expired
	Tried  time.Time `json:"tried,omitzero"`   // when its removal was last tried
}

// Event is a line of the history.
type Event struct {
	At    time.Time `json:"at"`
	What  string    `json:"what"`
	Error string    `json:"error,omitempty"`
}

// Note is what is remembered of an identity's renewals. It is kept in a file beside
// the certificate and holds no secret.
type Note struct {
	Stage  Stage     `json:"stage"`
	Since  time.Time `json:"since,omitzero"` // of the stage
	Old    Key       `json:"old,omitzero"`   // in force when the renewal began
	New    Key       `json:"new,omitzero"`   // the next one
	Asked  bool      `json:"asked,omitempty"`
	Days   int       `json:"days,omitempty"` // the validity that Entra's policy leaves; 0: as long as the last one
	Logins int       `json:"logins,omitempty"`

	Tried   time.Time `json:"tried,omitzero"` // the last action
	Looked  time.Time `json:"looked,omitzero"`
	Retry   time.Time `json:"retry,omitzero"`   // nothing before
	Error   string    `json:"error,omitempty"`  // why the last action failed: the line of a cause; "" if it worked
	Failing time.Time `json:"failing,omitzero"` // since when actions fail
	Refused int       `json:"refused,omitempty"`
	Doubt   string    `json:"doubt,omitempty"` // why the old certificate is in force again
	Lost    string    `json:"lost,omitempty"`  // what of this renewal was lost from disk

	Current  Key       `json:"current,omitzero"` // the last one that came into force by a renewal
	Stranger Key       `json:"stranger,omitzero"`
	Retired  []Retired `json:"retired,omitempty"`
	Events   []Event   `json:"events,omitempty"`
}

// String is the event in one line.
func (e Event) String() string {
	s := e.At.UTC().Format(time.RFC3339) + " " + e.What
	if e.Error != "" {
		s += ": " + e.Error
	}
	return s
}

// keptEvents bounds the history; a renewal takes about 25.
const keptEvents = 200

func (n *Note) event(at time.Time, what, failed string) {
	n.Events = append(slices.Clone(n.Events), Event{at, what, failed})
	if len(n.Events) > keptEvents {
		n.Events = n.Events[len(n.Events)-keptEvents:]
	}
}

// enter begins a stage.
func (n *Note) enter(s Stage, at time.Time) {
	n.Stage, n.Since, n.Logins, n.Refused, n.Tried, n.Retry = s, at, 0, 0, time.Time{}, time.Time{}
	n.Error, n.Failing = "", time.Time{}
}

// blank reports whether nothing is remembered: a renewal looks before it makes anything.
func (n Note) blank() bool { return n.Stage == Idle && n.Looked.IsZero() && len(n.Events) == 0 }

// retire plans the removal of a certificate.
func (n *Note) retire(k Key, unused bool) {
	if k.Thumbprint != "" {
		n.Retired = append(slices.Clone(n.Retired), Retired{Key: k, Unused: unused})
	}
}
