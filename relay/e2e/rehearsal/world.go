package rehearsal

import (
	"crypto/sha1" // the thumbprint is SHA-1 by definition
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/powershell"
)

// World is a tenant, the machine of its administrator, and what must never happen.
type World struct {
	t      testing.TB
	Tenant *Tenant
	Other  *Tenant // whose administrator signs in by mistake; nil for the right one
	// CutAfter is the number of changes after which the power goes; 0 is never.
	CutAfter   int
	SkipWait   bool   // the scripts for a shell are told to skip their waits
	OutOfScope string // a mailbox that the test cmdlet does not find in scope
	Now        time.Time
	Admin      string
	Files      map[string]string
	// Allowed are the mailboxes that the app may reach at any time, whatever the script does.
	Allowed []string

	NothingIsAll bool          // a cmdlet that finds nothing returns everything
	RawKeyIDs    bool          // the module shows thumbprints as raw bytes
	BrokenBroker bool          // the sign-in of Windows fails
	Slow         int           // how often a service does not yet know what another made
	MaxKeyLife   time.Duration // a tenant's limit; 0 is none

	Uploads int
	Changes []string // cmdlets that changed something
	Printed []string
}

// process is one PowerShell process: it has the module of Graph or that of Exchange.
type process struct {
	w      *World
	script *powershell.Script
	module string
	scopes []string
}

// certificateFile stands for the X509Certificate2 of a .cer file.
type certificateFile struct {
	thumbprint string
	hash       []byte
}

// NewWorld is a tenant with an administrator who has no mailbox.
func NewWorld(t testing.TB, tenant *Tenant, allowed ...string) *World {
	return &World{t: t, Tenant: tenant, Now: time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC), Allowed: allowed,
		Admin: "o'admin@contoso.com", Files: map[string]string{}}
}

// Run runs a script as a person does, with its parameters, and returns the error
// with which it stopped; nil if it came to its end.
func (w *World) Run(text string, params map[string]any) error {
	w.t.Helper()
	script, err := powershell.Parse(text)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{w: w, script: script}
	code, err := powershell.Run(script, p, params, automatic())
	w.halt(err)
	if err == nil && code != 0 {
		err = fmt.Errorf("it stopped: %s", w.Printed[max(0, len(w.Printed)-3):])
	}
	return err
}

func automatic() map[string]any {
	return map[string]any{"PSCommandPath": "/home/a/setup.ps1", "PSScriptRoot": "/home/a", "PSHOME": "/opt/pwsh",
		"PSVersionTable": object{"psedition": "Core", "psversion": object{"major": int64(7), "minor": int64(6)}}}
}

func (w *World) halt(err error) {
	if stop, ok := err.(powershell.Stop); ok && stop.Error() != powerGone {
		w.t.Fatal(stop)
	}
}

// powerGone is how a process ends that is cut off.
const powerGone = "the power is gone"

// Cut reports whether the power has gone.
func (w *World) Cut() bool { return w.CutAfter > 0 && len(w.Changes) >= w.CutAfter }

func (w *World) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf(format, args...)
}

func (w *World) signedIn() *Tenant {
	if w.Other != nil {
		return w.Other
	}
	return w.Tenant
}

// flaky reports whether a service does not know yet what another made.
func (w *World) flaky() bool {
	if w.Slow > 0 {
		w.Slow--
		return true
	}
	return false
}

// changed notes a change, after which the app must reach no more than it may.
func (w *World) changed(name string) {
	w.Changes = append(w.Changes, name)
	w.check(name)
}

func (w *World) check(after string) {
	for _, address := range w.Tenant.Reach(w.Now) {
		if !holds(w.Allowed, address) {
			w.fail("after %s the app can use %s", after, address)
		}
	}
}

// Program is how the script starts itself for a part.
func (p *process) Program(_ string, args []any) int {
	params := map[string]any{}
	for i, a := range powershell.Words(args) {
		switch a {
		case "-Part":
			params["Part"] = powershell.Show(args[i+1])
		case "-SkipWait":
			params["SkipWait"] = true
		}
	}
	child := &process{w: p.w, script: p.script}
	code, err := powershell.Run(p.script, child, params, automatic())
	p.w.halt(err)
	if err != nil {
		p.w.Printed = append(p.w.Printed, err.Error())
		return 1
	}
	return code
}

// Cmdlet implements powershell.Host.
func (p *process) Cmdlet(name string, args powershell.Args) ([]any, error) {
	if _, confirm := args["confirm"]; confirm != strings.HasPrefix(name, "Remove-") && !strings.Contains(name, "-Mg") {
		return nil, powershell.Halt(name + " asks for a confirmation, or is told not to although it does not")
	}
	delete(args, "confirm")
	if p.w.Cut() {
		return nil, powershell.Halt(powerGone)
	}
	switch {
	case isGraph(name):
		if err := p.owns("Graph", name); err != nil {
			return nil, err
		}
		return p.graph(name, args)
	case isExchange(name):
		if err := p.owns("Exchange", name); err != nil {
			return nil, err
		}
		return p.exchange(name, args)
	}
	return p.local(name, args)
}

// owns refuses the modules of Graph and of Exchange in one process.
func (p *process) owns(module, name string) error {
	if p.module == "" {
		if !strings.HasPrefix(name, "Connect-") {
			return powershell.Halt(name + " without a login")
		}
		p.module = module
	}
	if p.module != module {
		return powershell.Halt(name + " in a process that has the module of " + p.module)
	}
	return nil
}

func isGraph(name string) bool { return strings.Contains(name, "-Mg") }

func isExchange(name string) bool {
	return !isGraph(name) && !slices.Contains(local, name)
}

// local are the cmdlets of PowerShell itself that reach a Host.
var local = []string{"Write-Host", "Write-Warning", "Start-Sleep", "Join-Path", "Test-Path", "Get-Content",
	"Set-Content", "Resolve-Path", "Get-Module", "Get-InstalledModule", "Install-Module", "Update-Module"}

func (p *process) local(name string, args powershell.Args) ([]any, error) {
	path := p.str(args, "literalpath")
	switch name {
	case "Write-Host", "Write-Warning":
		p.w.Printed = append(p.w.Printed, strings.TrimPrefix(name, "Write-")+" "+p.str(args, ""))
	case "Start-Sleep":
		p.w.Now = p.w.Now.Add(time.Duration(args["seconds"].(int64)) * time.Second)
		p.w.check("a wait")
	case "Join-Path":
		return []any{p.str(args, "path") + "/" + p.str(args, "childpath")}, nil
	case "Test-Path":
		_, found := p.w.Files[path]
		return []any{found}, nil
	case "Get-Content":
		var out []any
		for line := range strings.Lines(p.w.Files[path]) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
		return out, nil
	case "Set-Content":
		p.w.Files[path] = strings.Join(powershell.Words(args["value"]), "\n") + "\n"
	case "Resolve-Path":
		return []any{object{"path": path}}, nil
	case "Update-Module":
		return nil, refuse("Administrator rights are required.")
	case "Get-Module", "Get-InstalledModule":
		return []any{object{"name": p.str(args, "name")}}, nil
	}
	return nil, nil
}

// Static implements powershell.Host.
func (p *process) Static(of, name string, args []any) (any, error) {
	switch strings.ToLower(of + "::" + name) {
	case "net.servicepointmanager::securityprotocol", "net.securityprotocoltype::tls12":
		return int64(0), nil
	case "datetimeoffset::utcnow":
		return p.w.Now, nil
	case "math::ceiling":
		return args[0], nil
	case "convert::tobase64string":
		return powershell.Base64(args[0]), nil
	case "system.security.cryptography.x509certificates.x509certificate2::new":
		sum := sha1.Sum([]byte(powershell.Show(args[0])))
		return object{"thumbprint": fmt.Sprintf("%X", sum), "notbefore": p.w.Now, "notafter": p.w.Now.AddDate(2, 0, 0),
			"rawdata": &certificateFile{fmt.Sprintf("%X", sum), sum[:]}, "hash": sum[:]}, nil
	}
	return nil, powershell.Halt("[" + of + "]::" + name + " is not imitated")
}

// Method implements powershell.Host.
func (p *process) Method(of any, name string, _ []any) (any, error) {
	if o, ok := of.(object); ok && strings.EqualFold(name, "GetCertHash") {
		return o["hash"], nil
	}
	return nil, powershell.Halt("the method " + name + " is not imitated")
}
