package state

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"graphrelay/relay/text"
)

// When a state becomes a fault.
const (
	oldMail         = time.Hour
	certNotice      = 14 * 24 * time.Hour
	dailyRecipients = 8000 // of the 10,000 that Exchange allows a mailbox in 24 hours
)

// Fault is something that an operator must know about. Status, alerts, webhook,
// console and log show its headline, which text.Cause bounds, then the rest.
//
// To add one, give the Snapshot what it follows from and raise it in Faults under
// a key of its own: headline and remedy in the administrator's words, Meanwhile
// what happens to mail until then, Since where the snapshot knows it (else it is
// when the alarm was raised), and Warning where mail flows all the same.
type Fault struct {
	Headline  string    `json:"headline"`
	Remedy    string    `json:"remedy,omitempty"`
	Meanwhile string    `json:"meanwhile,omitempty"` // what happens to mail until it is mended
	Detail    string    `json:"detail,omitempty"`    // the service's own words and IDs
	Since     time.Time `json:"since,omitzero"`
	Warning   bool      `json:"warning,omitempty"` // mail flows
	Stage     string    `json:"-"`                 // how near it is, for one that approaches in stages

	AlertAfter time.Time `json:"-"` // status shows it at once; nobody is alerted before this
}

// FaultOf makes a fault of the line of a cause.
func FaultOf(cause string) Fault {
	c := text.ReadCause(cause)
	return Fault{Headline: c.Headline, Remedy: c.Remedy, Detail: c.Detail}
}

// Cause is the fault without its circumstances.
func (f Fault) Cause() text.Cause {
	return text.Cause{Headline: f.Headline, Remedy: f.Remedy, Detail: f.Detail}
}

// about is a headline with the name of what it concerns, if there is room for it.
func about(headline, name string) string {
	with := headline + " (" + text.Line(name) + ")"
	if utf8.RuneCountInString(with) > text.MaxHeadline || strings.ContainsAny(name, "[;") {
		return headline
	}
	return with
}

// faults are by key.
type faults map[string]Fault

// Faults are the faults in a snapshot, by key. It is pure.
func Faults(s Snapshot, now time.Time) map[string]Fault {
	f := faults{}
	f.store(s)
	f.outage(s, now)
	f.holds(s, now)
	f.queue(s, now)
	f.runaway(s)
	f.inVain(s, now)
	f.expiries(s, now)
	f.audits(s)
	f.canary(s.Canary)
	if s.Reload.Failed {
		f["configuration"] = refused(s.Reload)
	}
	for _, m := range s.Mailboxes {
		if m.Recipients > dailyRecipients {
			f["limit:"+m.Mailbox] = Fault{
				Headline: about(fmt.Sprintf("Daily limit is near: %d of 10,000 recipients in 24 hours", m.Recipients),
					m.Mailbox),
				Remedy:    "spread the mail over more mailboxes, with senders and mailbox in the configuration",
				Meanwhile: "mail is sent; at 10,000 Exchange stops the mailbox for a day and the relay keeps its mail",
				Warning:   true,
			}
		}
	}
	return f
}

func (f faults) store(s Snapshot) {
	switch {
	case s.Unhealthy != nil:
		f[keyStore] = storeFault(s.Unhealthy, "Queue cannot be written",
			"no mail is accepted and none is sent; what was accepted is kept")
	case s.Unread != nil:
		f[keyStore] = storeFault(s.Unread, "Queue cannot be read",
			"mail is refused for now or sent late; what was accepted is kept")
	case s.Full != nil:
		f[keyDisk] = storeFault(s.Full, "No room for new mail", "no mail is accepted, "+
			"clients get a temporary refusal and try again; what was accepted is kept and is being sent")
	case s.DiskSize > 0 && s.DiskFree < 2*s.DiskReserve:
		f[keyDisk] = Fault{
			Headline:  fmt.Sprintf("Disk of the queue is nearly full: %d MiB are free", s.DiskFree>>20),
			Remedy:    "free space on the disk of queue.store",
			Meanwhile: fmt.Sprintf("mail flows; below %d MiB no mail is accepted", s.DiskReserve>>20), Warning: true,
		}
	}
	if s.Damaged > 0 {
		f["damaged"] = Fault{
			Headline: plural(s.Damaged, "stored message is", "stored messages are") + " damaged",
			Remedy: "check the disk, then try them again: graphrelay queue retry --state damaged; " +
				"restore or delete the rest",
			Meanwhile: "they are not sent; other mail flows",
			Detail:    "the disk returned bytes that differ from what was written",
		}
	}
}

// storeFault is a fault of the store, whose own words are the headline where they
// are a cause.
func storeFault(err error, headline, meanwhile string) Fault {
	f := Fault{Headline: headline, Detail: text.Line(err.Error())}
	if c, ok := errors.AsType[text.Cause](err); ok {
		f = FaultOf(c.String())
	}
	f.Meanwhile = meanwhile
	return f
}

func (f faults) holds(s Snapshot, now time.Time) {
	for _, h := range s.Holds {
		fault := FaultOf(h.Cause().String())
		fault.Since = h.Since
		waiting := 0
		for _, l := range s.Lanes {
			if whole, part := h.Stops(l); whole || part != "" {
				waiting += l.Waiting()
			}
		}
		what := "mail of " + h.What()
		if h.Scope() == ScopeLarge {
			what = h.What() + " alone"
		}
		fault.Meanwhile = fmt.Sprintf("%s is kept (%d waiting), probed %s%s", what, waiting, times(h.Probes),
			h.next(now))
		f[AlarmKey(h.Key)] = fault
	}
}

func (f faults) queue(s Snapshot, now time.Time) {
	if s.Salvaged != "" {
		f["queue:log"] = Fault{
			Headline: "Log of the queue was damaged, and accepted mail may be missing from the queue",
			Remedy: "check the disk; send again what list.txt in " + s.Salvaged +
				" names, then move the folder away",
			Meanwhile: "what came back is sent; new mail is accepted and sent",
		}
	}
	if s.Restored > 0 {
		f["queue:restored"] = Fault{
			Headline: "The queue is an older copy: " +
				plural(s.Restored, "message is held that", "messages are held that") + " may have been sent",
			Remedy: "if they were not sent since the copy was made: graphrelay queue release --all; " +
				"delete those that were: graphrelay queue list --state held",
			Meanwhile: "they are kept; new mail is accepted and sent",
			Since:     s.RestoredAt,
		}
	}
	if s.Held > s.Restored {
		f["queue:held"] = Fault{
			Headline: plural(s.Held-s.Restored, "message is held and waits",
				"messages are held and wait") + " for you",
			Remedy:    "see why with graphrelay queue list --state held, then retry, release or delete",
			Meanwhile: "held messages are kept; other mail flows",
		}
	}
	for _, l := range s.Lanes {
		if l.Waiting() == 0 || l.Oldest.IsZero() || now.Sub(l.Oldest) <= oldMail || s.stopped(l) || s.silent(l) {
			continue
		}
		f["old:"+l.Mailbox] = Fault{
			Headline:  about("Mail has been waiting for more than an hour", l.Mailbox),
			Remedy:    "see why with graphrelay queue list",
			Meanwhile: fmt.Sprintf("%d waiting for mailbox %s; they are retried", l.Waiting(), text.Line(l.Mailbox)),
			Since:     l.Oldest,
		}
	}
}

// stopped reports whether a hold stops all of a lane: then that is the fault.
func (s Snapshot) stopped(l Lane) bool {
	for _, h := range s.Holds {
		if whole, _ := h.Stops(l); whole {
			return true
		}
	}
	return false
}

func (f faults) expiries(s Snapshot, now time.Time) {
	if s.CertUnread != "" {
		f["certificate-file"] = unread("TLS certificate of the listeners", "smtp.tls", s.CertUnread)
	}
	for _, c := range s.Credentials {
		if c.Unread != "" {
			f["credential-file:"+c.Identity] = unread("credential", "identity "+c.Identity, c.Unread)
		}
		if c.Renewal != nil && c.Renewal.Failing {
			fault := FaultOf(c.Renewal.Cause)
			fault.Since, fault.Warning = c.Renewal.Since, true
			fault.Meanwhile = "mail flows until " + c.Expires.UTC().Format(time.DateOnly) + "; identity " + c.Identity
			f["renewal:"+c.Identity] = fault
		}
		_, named := f[AlarmKey(ScopeIdentity+":"+c.Identity)]
		renews := c.Renewal != nil && !c.Renewal.Failing && c.Expires.Sub(now) > certNotice
		if c.Warning == "" || renews || named && c.Stage == "" {
			continue
		}
		fault := FaultOf(c.Warning)
		fault.Stage, fault.Warning = c.Stage, true
		fault.Meanwhile = "mail flows; identity " + c.Identity
		if c.Stage == "" {
			fault.Since, fault.Warning = c.Expires, false
			fault.Meanwhile = "mail flows until the current token expires; identity " + c.Identity
		}
		f["credential:"+c.Identity] = fault
	}
	left := s.Certificate.Sub(now)
	if s.Certificate.IsZero() || left >= certNotice {
		return
	}
	day := s.Certificate.UTC().Format(time.DateOnly)
	fault := Fault{
		Headline:  "TLS certificate of the listeners expires on " + day,
		Remedy:    "get the next one from its issuer and replace smtp.tls.certificate_file: it is loaded automatically",
		Meanwhile: "mail flows", Warning: true,
	}
	if left <= 0 {
		fault.Headline = "TLS certificate of the listeners expired on " + day
		fault.Since, fault.Warning = s.Certificate, false
		fault.Meanwhile = "clients that check certificates cannot send; others can, and accepted mail is sent"
	}
	f["certificate"] = fault
}

// refused is the fault of a configuration that cannot be put in force. Its detail is
// the first mistake.
func refused(r Reload) Fault {
	first, others, _ := strings.Cut(r.Error, "\n")
	if others != "" {
		first += fmt.Sprintf(" (and %d more)", strings.Count(others, "\n")+1)
	}
	return Fault{
		Headline:  "The new configuration is refused, and the old one is in use",
		Remedy:    "correct it (graphrelay check lists its mistakes), then run: graphrelay reload",
		Meanwhile: "mail flows as the old one says; a restart reads the new one",
		Detail:    text.Line(first), Warning: true,
	}
}

// unread is the fault of a changed file that cannot be used, while what it held
// before is.
func unread(what, whose, why string) Fault {
	return Fault{
		Headline:  "The new " + what + " cannot be read, and the old one is in use",
		Remedy:    "correct the file of " + whose + "; if it is its mode: chgrp graphrelay FILE && chmod 640 FILE",
		Meanwhile: "mail flows until the old one expires or the service restarts",
		Detail:    text.Line(why), Warning: true,
	}
}

func (f faults) audits(s Snapshot) {
	for _, a := range s.Audits {
		if _, named := f[AuditKey(a.Identity)]; a.Passed || named {
			continue
		}
		fault := FaultOf(a.Text)
		fault.Meanwhile = "mail flows; identity " + a.Identity
		f[AuditKey(a.Identity)] = fault
	}
}

func (f faults) canary(c *Canary) {
	if c == nil {
		return
	}
	if c.Problem != "" {
		fault := FaultOf(c.Problem)
		fault.Since = c.Since
		fault.Meanwhile = "mail is sent, and it is not known whether it arrives; it ends when a canary arrives"
		f["canary"] = fault
	}
	if c.Unread != "" {
		fault := FaultOf(c.Unread)
		fault.Since, fault.Warning, fault.Meanwhile = c.UnreadSince, true, "mail is sent; nothing shows that it arrives"
		f["canary-mailbox"] = fault
	}
}

func times(n int) string { return plural(n, "time", "times") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
