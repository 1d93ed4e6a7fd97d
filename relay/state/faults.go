package state

import (
	"fmt"
	"time"
)

// When a state becomes a fault.
const (
	oldMail         = time.Hour
	certNotice      = 14 * 24 * time.Hour
	dailyRecipients = 8000 // of the 10,000 that Exchange allows a mailbox in 24 hours
)

// Keys of faults that Judge reports too.
const (
	keyStore = "store"
	keyDisk  = "disk"
)

// keyOutage is the fault that Microsoft does not answer.
const keyOutage = "outage"

// Fault is something that an operator must know about. Stage is how near it is,
// for one that approaches in stages.
type Fault struct{ Text, Stage string }

// faults are by key.
type faults map[string]Fault

func (f faults) raise(key, format string, args ...any) {
	f[key] = Fault{Text: fmt.Sprintf(format, args...)}
}

// Faults are the faults in a snapshot, by key, each with what to do. It is pure.
func Faults(s Snapshot, now time.Time) map[string]Fault {
	f := faults{}
	f.store(s)
	f.outage(s, now)
	f.queue(s, now)
	f.expiries(s, now)
	for _, a := range s.Audits {
		if !a.Passed {
			f.raise(AuditKey(a.Identity), "%s", a.Text)
		}
	}
	for _, m := range s.Mailboxes {
		if m.Recipients > dailyRecipients {
			f.raise("limit:"+m.Mailbox, "%s has sent to %d recipients in 24 hours, and Exchange stops it at 10,000; "+
				"spread the mail over more mailboxes", m.Mailbox, m.Recipients)
		}
	}
	return f
}

func (f faults) store(s Snapshot) {
	switch {
	case s.Unhealthy != nil:
		f.raise(keyStore, "no mail is accepted or sent: %v", s.Unhealthy)
	case s.Full != nil:
		f.raise(keyDisk, "no mail is accepted: %v; free space on the disk of queue.store, "+
			"or raise queue.max_messages", s.Full)
	case s.DiskSize > 0 && s.DiskFree < 2*s.DiskReserve:
		f.raise(keyDisk, "the disk of queue.store has %d MiB left; below %d MiB no mail is accepted; free some space",
			s.DiskFree>>20, s.DiskReserve>>20)
	}
	if s.Damaged > 0 {
		f.raise("damaged", "stored messages are damaged: the disk returned bytes that differ from what was written; "+
			"check the disk, and see graphrelay queue list --state damaged")
	}
}

func (f faults) queue(s Snapshot, now time.Time) {
	for _, h := range s.Holds {
		since := h.Since.UTC().Format(time.RFC3339)
		f.raise("hold:"+h.Key, "mail has been on hold (%s) since %s: %s", h.Key, since, h.Text)
	}
	if s.Held > 0 {
		f.raise("queue:held", "held messages need an operator; see graphrelay queue list --state held, "+
			"then retry, release or delete them")
	}
	for _, l := range s.Lanes {
		if l.Waiting() > 0 && !l.Oldest.IsZero() && now.Sub(l.Oldest) > oldMail && !s.silent(l) {
			f.raise("old:"+l.Mailbox, "mail of %s has been waiting since %s; "+
				"see graphrelay status and graphrelay queue list", l.Mailbox, l.Oldest.UTC().Format(time.RFC3339))
		}
	}
}

func (f faults) expiries(s Snapshot, now time.Time) {
	for _, c := range s.Credentials {
		if c.Warning != "" {
			f["credential:"+c.Identity] = Fault{"identity " + c.Identity + ": " + c.Warning, c.Stage}
		}
	}
	if !s.Certificate.IsZero() && s.Certificate.Sub(now) < certNotice {
		f.raise("certificate", "the listeners' TLS certificate expires on %s; renew smtp.tls.certificate_file: "+
			"the new file is loaded automatically", s.Certificate.UTC().Format(time.DateOnly))
	}
}
