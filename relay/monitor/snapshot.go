package monitor

import "time"

// Snapshot is the state of the service at one moment.
type Snapshot struct {
	Stopping bool

	Queued, Active, Held, Failed, Damaged int
	Bytes                                 int64 // of stored bodies
	Lanes                                 []Lane
	Holds                                 []Hold
	Mailboxes                             []MailboxDay

	Unhealthy error // of the store; nil: it is well
	Full      error // why no mail is accepted though the store is well; nil: it is

	DiskFree, DiskSize, DiskReserve int64 // octets of the store's file system; the reserve is queue.min_free_space

	Connections                   int // open SMTP connections
	ConnectionsTotal, RefusedOver uint64

	Credentials []Credential
	Certificate time.Time // end of the listeners' certificate; zero without one
	Audits      []Audit
	Reload      Reload
	Alarms      []Alarm
}

// Lane is one mailbox with mail.
type Lane struct {
	Mailbox, Identity    string
	Queued, Active, Held int
	Oldest               time.Time // when the oldest was accepted
	Slots, Busy          int
	Failures             int       // in a row
	PausedUntil          time.Time // by throttling; zero or past: not paused
}

// Hold pauses an identity, a mailbox, or a From address in a mailbox.
type Hold struct {
	Key   string
	Scope string // identity, audit, mailbox or sendas: the word before the colon of Key
	Text  string
	Since time.Time
}

// MailboxDay is how many recipients a mailbox has sent to in 24 hours; Exchange
// allows 10,000.
type MailboxDay struct {
	Mailbox    string
	Recipients int
}

// Credential is what an identity logs in with.
type Credential struct {
	Identity, Kind string
	NotAfter       time.Time // zero: nobody told
}

// Audit is the last proof that an identity is restricted to its mailboxes.
type Audit struct {
	Identity string
	At       time.Time
	Passed   bool
	Text     string
}

// Reload is the last time the configuration was read.
type Reload struct {
	At     time.Time // of the last good one
	Failed bool      // a later one failed
}

// Alarm is something that an operator must know.
type Alarm struct {
	Key, Text string
	Since     time.Time
}

// Oldest is when the oldest waiting message was accepted; zero without any.
func (s Snapshot) Oldest() time.Time {
	var first time.Time
	for _, l := range s.Lanes {
		if first.IsZero() || !l.Oldest.IsZero() && l.Oldest.Before(first) {
			first = l.Oldest
		}
	}
	return first
}
