package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"graphrelay/config"
	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/setup"
	"graphrelay/relay/wiring"
)

// scripting is one call of `graphrelay setup`.
type scripting struct {
	file, method, shell, denied, identity, name, certificate string
	admin, group, issuer, subject                            string
	owners                                                   []string
	sentItemsDays                                            int
	undo, migrate                                            bool
}

func newSetup() *cobra.Command {
	var s scripting
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Print the script that registers the app and restricts it to its mailboxes",
		Long: `Print the complete, commented script for the identity, its credential and the
mailboxes of the configuration: app registration, credential, group, restriction,
tests, and the lines to copy into the configuration. The command itself changes
nothing: an administrator of the tenant reads the script and runs it, in Windows
PowerShell 5.1, in PowerShell 7.6 or later, or in a POSIX shell with az and pwsh.
The script can be run again. Its parts for Entra and for Exchange are processes of
their own, and each can be run again alone.

The app is never unrestricted: the restriction comes first, then the tests, then
the wait until Graph applies it, and a consent, if any, last. No mail is deleted,
unless you ask for it with --sent-items-days.

--method rbac gives the app a role in Exchange for these mailboxes, and no
consent. --method policy is the older way, a consent narrowed by an access
policy. --migrate moves from a policy to RBAC without interruption, and --undo
removes what either of them made.`,
		Example: `  graphrelay setup > setup.ps1
  graphrelay setup --shell az --denied denied@contoso.com > setup.sh
  graphrelay setup --admin admin@contoso.com --owner owner@contoso.com > setup.ps1
  graphrelay setup --method policy > setup.ps1
  graphrelay setup --migrate > migrate.ps1
  graphrelay setup --undo > undo.ps1`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			script, err := s.script()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), script)
			return err
		},
	}
	configFlag(cmd, &s.file)
	s.flags(cmd.Flags())
	return cmd
}

func (s *scripting) flags(f *pflag.FlagSet) {
	f.StringVar(&s.method, "method", "rbac", "how to restrict: `rbac|policy`")
	f.StringVar(&s.shell, "shell", "powershell", "language of the script: `powershell|az`")
	f.BoolVar(&s.undo, "undo", false, "print the script that undoes the setup")
	f.BoolVar(&s.migrate, "migrate", false, "print the script that moves from an access policy to RBAC")
	f.StringVar(&s.denied, "denied", "",
		"`MAILBOX` that must be refused (default: denied_mailbox)")
	f.StringVar(&s.admin, "admin", "", "`UPN` of the person who runs the script; it stops if somebody else signs in")
	f.StringVar(&s.group, "group", "",
		"`ADDRESS` of an existing mail-enabled security group (default: the script makes one)")
	f.StringSliceVar(&s.owners, "owner", nil,
		"`MAILBOX` that owns the group; may be repeated (default: who runs the script)")
	f.IntVar(&s.sentItemsDays, "sent-items-days", 0,
		"let Exchange delete mail older than `DAYS` from Sent Items of the mailboxes (default: never)")
	f.StringVar(&s.issuer, "issuer", "", "`URL` of the issuer of a workload identity's tokens")
	f.StringVar(&s.subject, "subject", "", "`SUBJECT` of a workload identity's tokens")
	f.StringVar(&s.identity, "identity", "", "`NAME` of the identity; needed if there are several")
	f.StringVar(&s.name, "name", "",
		"display `NAME` of the app registration (default: graphrelay, with the identity's name if there are several)")
	f.StringVar(&s.certificate, "certificate", "",
		"`FILE` to upload, on the machine that runs the script (default: the name of certificate_file with .cer)")
}

func (s scripting) script() (string, error) {
	c, err := config.Load(s.file)
	if err != nil {
		return "", err
	}
	script := ""
	p, err := s.plan(c)
	if err == nil {
		script, err = setup.Script(p)
	}
	if err != nil {
		return "", usageError{err}
	}
	return script, nil
}

func (s scripting) plan(c *config.Config) (setup.Plan, error) {
	id, err := s.pick(c)
	if err != nil {
		return setup.Plan{}, err
	}
	p := setup.Plan{
		Method: setup.Method(s.method), Shell: setup.Shell(s.shell), Task: setup.Create, Identity: string(id.Name),
		App: s.name, TenantID: string(id.TenantID), ClientID: string(id.ClientID), Certificate: s.certificate,
		Denied: id.DeniedMailbox, ReadWrite: wiring.NeedsReadWrite(c), Admin: s.admin, Issuer: s.issuer,
		Submit: c.Delivery.Submit(), Bounces: wiring.ReadsBounces(c),
		Subject: s.subject, SentItemsDays: s.sentItemsDays, Root: cmp.Or(c.Aliases["root"], c.Reports.Postmaster),
	}
	switch {
	case id.ClientSecretFile != "":
		p.Credential, p.File = setup.Secret, string(id.ClientSecretFile)
	case id.ManagedIdentity != nil:
		p.Credential, p.ManagedClient = setup.Managed, string(id.ManagedIdentity.ClientID)
	case id.WorkloadIdentity:
		p.Credential = setup.Workload
	default:
		p.Credential, p.File, p.Renewal = setup.Certificate, string(id.CertificateFile), id.RenewsItself()
	}
	if id.Endpoints == nil {
		p.Cloud, p.GraphURL = id.Cloud, entra.GraphURL(id.Cloud)
	} else if host := id.Endpoints.Login.Host(); !loopback(host) { // a double gets the script for the public cloud
		p.Cloud = host
	}
	if wiring.CanaryIdentity(c) == id.Name {
		p.Canary = c.Audit.Canary
	}
	for _, m := range c.Mailboxes {
		switch {
		case m.Identity != id.Name:
		case m.Address.Wildcard():
			p.Wildcards = append(p.Wildcards, m.Address)
		default:
			p.Mailboxes = append(p.Mailboxes, m.Address)
		}
	}
	if slices.ContainsFunc(p.Mailboxes, c.DefaultSender.Equal) {
		p.Sender = c.DefaultSender
	}
	return s.complete(p, len(c.Identities))
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (s scripting) pick(c *config.Config) (config.Identity, error) {
	if s.identity == "" && len(c.Identities) == 1 {
		return c.Identities[0], nil
	}
	id, ok := c.Identity(config.Name(s.identity))
	switch {
	case s.identity == "":
		return id, errors.New("there are several identities: name one with --identity NAME")
	case !ok:
		return id, fmt.Errorf("--identity %q is not the name of an identity of the configuration", s.identity)
	}
	return id, nil
}

// complete applies the flags and the defaults that follow from the file.
func (s scripting) complete(p setup.Plan, identities int) (setup.Plan, error) {
	switch {
	case p.Method != setup.RBAC && p.Method != setup.Policy:
		return p, fmt.Errorf("--method %q is neither rbac nor policy", s.method)
	case p.Shell != setup.PowerShell && p.Shell != setup.Az:
		return p, fmt.Errorf("--shell %q is neither powershell nor az", s.shell)
	case s.undo && s.migrate:
		return p, errors.New("--undo and --migrate cannot be combined: choose one")
	case s.undo:
		p.Task = setup.Undo
	case s.migrate:
		p.Task = setup.Migrate
	}
	if err := s.addresses(&p); err != nil {
		return p, err
	}
	if p.App == "" {
		p.App = "graphrelay"
		if identities > 1 {
			p.App += " " + p.Identity
		}
	}
	if p.Certificate == "" && p.Credential == setup.Certificate {
		base := filepath.Base(p.File)
		p.Certificate = strings.TrimSuffix(base, filepath.Ext(base)) + ".cer"
	}
	return p, nil
}

// addresses reads the flags that are addresses.
func (s scripting) addresses(p *setup.Plan) error {
	for _, one := range []struct {
		flag, text string
		set        *envelope.Address
	}{{"--denied", s.denied, &p.Denied}, {"--group", s.group, &p.Group}} {
		if one.text == "" {
			continue
		}
		list, err := addressFlags(one.flag, []string{one.text})
		if err != nil {
			return err
		}
		*one.set = list[0]
	}
	var err error
	p.Owners, err = addressFlags("--owner", s.owners)
	return err
}
