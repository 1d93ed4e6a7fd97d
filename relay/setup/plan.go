package setup

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

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

// Plan is one identity with what it needs. The zero values of ClientID and
// Denied mean that there is none yet.
type Plan struct {
	Method Method
	Shell  Shell
	Task   Task

	Identity    string // name in the configuration
	App         string // display name of the app registration
	TenantID    string
	ClientID    string // of an app registration that is there already
	Certificate string // path of the .cer file, on the administrator's machine
	PEM         string // path of the relay's own file, for the YAML
	Cloud       string // of the configuration; empty is public
	GraphURL    string // of that cloud, for az; empty is the public one's
	Mailboxes   []envelope.Address
	Denied      envelope.Address
	Sender      envelope.Address // default_sender, for the YAML; zero is the first mailbox
	Root        envelope.Address // who reads the mail for root, for the YAML; zero is the first mailbox
	ReadWrite   bool             // large mail or lookup is configured: Mail.ReadWrite, too
}

// Check returns what of the plan cannot become a script.
func (p Plan) Check() error {
	if len(p.Mailboxes) == 0 {
		return fmt.Errorf("identity %s has no mailbox with a single address, only wildcards: add a sender with one "+
			"address", p.Identity)
	}
	checks := []error{p.checkCloud(), writable("the name", p.App), writable("the tenant", p.TenantID),
		writable("the certificate's path", p.Certificate), writable("the identity", p.Identity),
		writable("the path of certificate_file", p.PEM)}
	if !p.Denied.IsZero() {
		checks = append(checks, writable("the denied mailbox", p.Denied.String()))
		if p.Denied.Wildcard() {
			checks = append(checks, fmt.Errorf("%s is a wildcard: name a single mailbox that must be refused",
				p.Denied))
		}
	}
	checks = append(checks, writable("default_sender", p.sender().String()),
		writable("the alias root", p.root().String()))
	for _, m := range p.Mailboxes {
		checks = append(checks, writable("the mailbox", m.String()))
		if m.Wildcard() {
			checks = append(checks, fmt.Errorf("%s is a wildcard: name single addresses", m))
		}
		if m.Equal(p.Denied) {
			checks = append(checks, fmt.Errorf("%s cannot be both allowed and denied: name another canary", m))
		}
	}
	if p.Task == Migrate && p.Method == Policy {
		checks = append(checks, errors.New("a migration goes from an access policy to RBAC: remove --method policy"))
	}
	return errors.Join(checks...)
}

// Names that the script gives, all derived from the app's.
func (p Plan) groupName() string           { return p.App + " senders" }
func (p Plan) scopeName() string           { return p.App + " senders" }
func (p Plan) roleName(role string) string { return p.App + " " + role }

// domain is that of the addresses of the group and the canary.
func (p Plan) domain() string { return p.Mailboxes[0].Domain() }

func (p Plan) groupAddress() string { return p.alias() + "-senders@" + p.domain() }

func (p Plan) denied() string {
	return cmp.Or(p.Denied.String(), p.alias()+"-canary@"+p.domain())
}

func (p Plan) sender() envelope.Address { return cmp.Or(p.Sender, p.Mailboxes[0]) }

func (p Plan) root() envelope.Address { return cmp.Or(p.Root, p.Mailboxes[0]) }

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

// roles are those of Exchange that the relay needs.
func (p Plan) roles() []string {
	if p.ReadWrite {
		return []string{"Application Mail.Send", "Application Mail.ReadWrite"}
	}
	return []string{"Application Mail.Send"}
}

// permission is an application permission of Microsoft Graph.
type permission struct{ name, id string }

// permissions are the consents that the policy route needs.
func (p Plan) permissions() []permission {
	list := []permission{{"Mail.Send", "b633e1c5-b582-4048-a93e-9f11b44c7e96"}}
	if p.ReadWrite {
		list = append(list, permission{"Mail.ReadWrite", "e2a3a72e-5f79-4c64-b1b1-878b674786c9"})
	}
	return list
}
