package verify

import (
	"graphrelay/relay/envelope"
	"slices"
)

// Verdict is what was proven of an identity.
type Verdict string

// The verdicts. Unproven is the zero value's meaning, too.
const (
	Restricted    Verdict = "RESTRICTED"
	NotRestricted Verdict = "NOT RESTRICTED" // it may use a mailbox that it must not
	SenderRefused Verdict = "SENDER REFUSED" // it may not use a mailbox that it must
	Unproven      Verdict = "UNPROVEN"
)

// ExitCode is the exit code of the command that came to this verdict.
func (v Verdict) ExitCode() int {
	switch v {
	case Restricted:
		return 0
	case NotRestricted:
		return 3
	case SenderRefused:
		return 4
	}
	return 5
}

// Worst is the verdict that matters most: what is open, then what is broken,
// then what is not known.
func Worst(all ...Verdict) Verdict {
	for _, v := range []Verdict{NotRestricted, SenderRefused, Unproven, Restricted} {
		if slices.Contains(all, v) {
			return v
		}
	}
	return Unproven
}

// Step names what a Finding is about.
type Step string

// The steps, in their order.
const (
	StepCredential Step = "credential"
	StepToken      Step = "token"
	StepRoles      Step = "roles"
	StepAllowed    Step = "allowed" // a probe of a mailbox that must be open
	StepSend       Step = "send"    // a test mail from it
	StepDenied     Step = "denied"  // a probe of a mailbox that must be closed
	StepWitness    Step = "witness" // a probe of another mailbox, which proves something only if it is open
	StepRead       Step = "read"    // reading a mailbox: one that must be closed, or one that is looked into
	StepClosed     Step = "closed"  // how long a right that is gone still worked
	StepWrite      Step = "write"   // creating a draft in a mailbox that must be open
	StepSubmit     Step = "submit"  // SMTP submission as a mailbox, where large mail goes there
)

// Mark says how a step went.
type Mark string

// The marks.
const (
	OK   Mark = "ok"
	Warn Mark = "warn"
	Fail Mark = "fail"
)

// Finding is what one step found.
type Finding struct {
	Step    Step             `json:"step"`
	Mailbox envelope.Address `json:"-"`
	Mark    Mark             `json:"mark"`
	Text    string           `json:"text"`
	Remedy  string           `json:"remedy,omitempty"`
}

// Report is what a verification came to.
type Report struct {
	Identity string
	Verdict  Verdict
	Text     string // why, in one line
	Remedy   string // what to do; empty for Restricted
	Findings []Finding
	Final    bool // waiting cannot change it
}

// Line is the verdict as it is printed.
func (r Report) Line() string {
	s := string(r.Verdict) + " " + r.Identity + ": " + r.Text
	if r.Remedy != "" {
		s += "; " + r.Remedy
	}
	return s
}
