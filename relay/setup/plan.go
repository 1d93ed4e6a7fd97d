package setup

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"graphrelay/relay/envelope"
)

// Method is the way by which the application is restricted.
type Method string

// The methods.
const (
	RBAC   Method = "rbac"   // RBAC for Applications: a role with a scope, and no consent
	Policy Method = "policy" // an application access policy that narrows a consent
)

// Shell is what a script is written for.
type Shell string

// The shells.
const (
	PowerShell Shell = "powershell" // Microsoft Graph and Exchange modules
	Az         Shell = "az"         // a POSIX shell with az for Entra and pwsh for Exchange
)

// Task is what a script does.
type Task string

// The tasks.
const (
	Create  Task = "create"
	Undo    Task = "undo"
	Migrate Task = "migrate" // from a policy to RBAC, without interruption
)

// Plan is one identity with what it needs. A zero ClientID means that there is none yet.
type Plan struct {
	Method     Method
	Shell      Shell
	Task       Task
	Credential Credential // zero is Certificate

	Identity      string // name in the configuration
	App           string // display name of the app registration
	TenantID      string // a GUID, or a domain of the tenant
	ClientID      string // of an app registration that is there already
	ManagedClient string // managed_identity.client_id; empty is the system-assigned identity
	Certificate   string // path of the .cer file, on the administrator's machine
	File          string // path of the certificate or secret on the relay, for the YAML
	Renewal       bool   // certificate_renewal is auto, for the YAML
	Issuer        string // of the tokens of a workload identity; empty stops the script with what to write
	Subject       string // of these tokens
	Cloud         string // of the configuration; empty is public
	GraphURL      string // of that cloud, for az; empty is the public one's
	Admin         string // user principal name of the person who runs the script; empty is whoever signs in
	Mailboxes     []envelope.Address
	Wildcards     []envelope.Address // what the identity sends as beside: no group can hold it
	Denied        envelope.Address
	Group         envelope.Address   // of an existing group; zero makes one
	Owners        []envelope.Address // of the group that is made; none is the person who runs the script
	SentItemsDays int                // after which Exchange deletes from Sent Items; 0 is never
	Sender        envelope.Address   // default_sender, for the YAML; zero is the first mailbox
	Root          envelope.Address   // who reads the mail for root, for the YAML; zero is the first mailbox
	ReadWrite     bool               // large mail or lookup is configured: Mail.ReadWrite, too
	Bounces       string             // what delivery.track_bounces needs: "", Mail.ReadBasic or Mail.Read
	Canary        envelope.Address   // audit.canary, if this identity reads it; zero for none
	Submit        bool               // large mail goes by SMTP submission: SMTP.SendAsApp, too
}

// maxName is how long the name of an app may be: Exchange takes 64 letters in the
// names of groups, scopes and assignments, and the longest that is made of it ends
// in " Application Mail.ReadWrite".
const maxName = 64 - 27

// maxSentItemsDays is the largest age limit that Exchange takes.
const maxSentItemsDays = 24855

// Check returns what of the plan cannot become a script.
func (p Plan) Check() error {
	if len(p.Mailboxes) == 0 {
		return fmt.Errorf("identity %s has no mailbox with a single address, only wildcards: add a sender with one "+
			"address", p.Identity)
	}
	checks := []error{p.checkCloud(), writable("the name", p.App), writable("the tenant", p.TenantID),
		writable("the identity", p.Identity), p.checkOptions(), p.checkCredential()}
	checks = append(checks, writable("default_sender", p.sender()), writable("the alias root", p.root()))
	for _, w := range p.Wildcards {
		checks = append(checks, fmt.Errorf("identity %s sends as every mailbox of %s (mailbox: self), which no group "+
			"can hold: write each address as a sender of its own, or mailbox: ADDRESS for the wildcard", p.Identity, w))
	}
	for _, m := range p.Mailboxes {
		checks = append(checks, writable("the mailbox", m.String()))
		if m.Wildcard() {
			checks = append(checks, fmt.Errorf("%s is a wildcard: name single addresses", m))
		}
		if m.Equal(p.Denied) {
			checks = append(checks, fmt.Errorf("%s cannot be both allowed and denied: name another mailbox", m))
		}
	}
	return errors.Join(append(checks, p.checkDenied())...)
}

func (p Plan) checkOptions() error {
	var checks []error
	if n := len(utf16.Encode([]rune(p.App))); n > maxName {
		checks = append(checks, fmt.Errorf("the name %q has %d letters, too many for the names that Exchange makes "+
			"of it: write at most %d (--name)", p.App, n, maxName))
	}
	if p.Admin != "" {
		checks = append(checks, writable("the administrator", p.Admin))
		if !strings.Contains(p.Admin, "@") {
			checks = append(checks, fmt.Errorf("the administrator %q is not a user principal name: write NAME@DOMAIN",
				p.Admin))
		}
	}
	for what, a := range map[string]envelope.Address{"the group": p.Group, "the denied mailbox": p.Denied} {
		if !a.IsZero() {
			checks = append(checks, writable(what, a.String()), single(what, a))
		}
	}
	for _, o := range p.Owners {
		checks = append(checks, writable("the owner", o.String()), single("the owner", o))
	}
	if len(p.Owners) > 0 && !p.Group.IsZero() {
		checks = append(checks, errors.New("owners are given to a group that the script makes: leave out --owner or "+
			"--group"))
	}
	if p.SentItemsDays < 0 || p.SentItemsDays > maxSentItemsDays {
		checks = append(checks, fmt.Errorf("%d days of Sent Items are out of range: write 1 to %d", p.SentItemsDays,
			maxSentItemsDays))
	}
	if p.SentItemsDays > 0 && p.Task != Create {
		checks = append(checks, errors.New("the days of Sent Items belong to the setup: leave out --sent-items-days"))
	}
	if p.Submit && p.Method == Policy && p.Task == Create {
		checks = append(checks, errors.New("delivery.large_messages is smtp, and no access policy restricts "+
			"SMTP.SendAsApp: leave out --method policy, or write delivery.large_messages: upload"))
	}
	if !p.Canary.IsZero() {
		checks = append(checks, writable("audit.canary", p.Canary.String()))
		if p.Method == Policy && p.Task == Create && !p.sendsAs(p.Canary) {
			checks = append(checks, fmt.Errorf("audit.canary is %s, which no access policy opens for reading alone: "+
				"leave out --method policy, or write one of the sending mailboxes", p.Canary))
		}
	}
	if p.Task == Migrate && p.Method == Policy {
		checks = append(checks, errors.New("a migration goes from an access policy to RBAC: remove --method policy"))
	}
	return errors.Join(checks...)
}

func single(what string, a envelope.Address) error {
	if a.Wildcard() {
		return fmt.Errorf("%s %s is a wildcard: name a single address", what, a)
	}
	return nil
}

func (p Plan) checkDenied() error {
	if p.Denied.IsZero() && p.Task != Undo {
		return fmt.Errorf("identity %s names no mailbox that must be refused, so nothing could be proven: write "+
			"denied_mailbox: ADDRESS of an existing, ordinary mailbox, or add --denied ADDRESS", p.Identity)
	}
	return nil
}

func (p Plan) checkCredential() error {
	if p.ClientID == "" && (p.Task == Undo || p.Credential == Managed) {
		return errors.New("the client ID is not known: write client_id into the configuration")
	}
	switch p.Credential {
	case Secret:
		return writable("the path of client_secret_file", p.File)
	case Managed:
		return nil
	case Workload:
		var checks []error
		for what, s := range map[string]string{"the issuer": p.Issuer, "the subject": p.Subject} {
			if s != "" {
				checks = append(checks, writable(what, s))
			}
		}
		return errors.Join(checks...)
	}
	return errors.Join(writable("the certificate's path", p.Certificate),
		writable("the path of certificate_file", p.File))
}

// Names that the script gives, all derived from the app's.
func (p Plan) scopeName() string           { return p.App + " senders" }
func (p Plan) canaryScope() string         { return p.App + " canary" }
func (p Plan) roleName(role string) string { return p.App + " " + role }
func (p Plan) retentionName() string       { return p.App + " sent items" }

// notesName is the file by which parts know of each other, the same for each task.
func (p Plan) notesName() string { return p.alias() + "-setup.notes" }

// groupName and groupAddress are the same text for a group that is there already.
func (p Plan) groupName() string { return cmp.Or(p.Group.String(), p.App+" senders") }

func (p Plan) groupAddress() string {
	return cmp.Or(p.Group.String(), p.alias()+"-senders@"+p.Mailboxes[0].Domain())
}

// alias is the name in characters that an address may have.
func (p Plan) alias() string {
	var b []byte
	for i := range len(p.App) {
		switch c := p.App[i] | 0x20; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9' && p.App[i] == c:
			b = append(b, c)
		case len(b) > 0 && b[len(b)-1] != '-':
			b = append(b, '-')
		}
	}
	b = bytes.TrimRight(b, "-")
	return cmp.Or(string(b[:min(len(b), 40)]), "graphrelay")
}

// roles are those of Exchange that the relay needs by its configuration, or may have been given.
func (p Plan) roles() []string {
	list := []string{"Application Mail.Send"}
	if p.ReadWrite || p.Task == Undo {
		list = append(list, "Application Mail.ReadWrite")
	}
	if p.Submit || p.Task == Undo {
		list = append(list, "Application SMTP.SendAsApp")
	}
	if p.Task == Undo {
		return append(list, "Application Mail.ReadBasic", "Application Mail.Read", "canary Mail.ReadBasic")
	}
	if p.Bounces != "" && !p.ReadWrite { // which includes it
		list = append(list, "Application "+p.Bounces)
	}
	return list
}

func (p Plan) sendsAs(a envelope.Address) bool { return slices.ContainsFunc(p.Mailboxes, a.Equal) }

// canaryRole is that of the canary's mailbox, by which its scope is known.
const canaryRole = "Application Mail.ReadBasic"

// readsCanary reports whether the canary needs a right of its own: not where the app reads
// the mailboxes that it sends as, and this is one.
func (p Plan) readsCanary() bool {
	return !p.Canary.IsZero() && (!p.sendsAs(p.Canary) || p.Bounces == "" && !p.ReadWrite)
}

// permission is an application permission of Microsoft Graph.
type permission struct{ name, id string }

// permissions are the consents that the policy route needs.
func (p Plan) permissions() []permission {
	list := []permission{{"Mail.Send", "b633e1c5-b582-4048-a93e-9f11b44c7e96"}}
	if p.ReadWrite {
		list = append(list, permission{"Mail.ReadWrite", "e2a3a72e-5f79-4c64-b1b1-878b674786c9"})
	}
	reads := p.Bounces
	if p.readsCanary() {
		reads = "Mail.ReadBasic"
	}
	if reads != "" && !p.ReadWrite {
		ids := map[string]string{
			"Mail.ReadBasic": "6be147d2-ea4f-4b5a-a3fa-3eab6f3c140a",
			"Mail.Read":      "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
		}
		list = append(list, permission{reads, ids[reads]})
	}
	return list
}
