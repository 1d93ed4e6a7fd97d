package rehearsal

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/e2e/powershell"
)

// object shortens what cmdlets return.
type object = powershell.Object

func refuse(text string, args ...any) error {
	return powershell.Thrown{Message: fmt.Sprintf(text, args...)}
}

func (p *process) str(args powershell.Args, name string) string { return powershell.Show(args[name]) }

// graph runs a cmdlet of the Microsoft Graph modules.
func (p *process) graph(name string, args powershell.Args) ([]any, error) {
	t := p.w.signedIn()
	switch name {
	case "Connect-MgGraph":
		if p.w.Other != nil && strings.Contains(p.str(args, "tenantid"), ".") {
			return nil, refuse("AADSTS50020: the account does not exist in this tenant")
		}
		p.scopes = strings.Fields(strings.Join(powershell.Words(args["scopes"]), " "))
		return nil, nil
	case "Get-MgContext":
		return []any{object{"tenantid": t.ID, "account": p.w.Admin}}, nil
	case "Get-MgApplication":
		return p.applications(t, args), p.need("Application.Read.All", "Application.ReadWrite.All")
	case "Get-MgServicePrincipal":
		return p.principals(t, args), p.need("Application.Read.All", "Application.ReadWrite.All")
	case "Get-MgServicePrincipalAppRoleAssignment":
		var out []any
		for _, c := range t.consents {
			if c.sp == p.str(args, "serviceprincipalid") {
				out = append(out, object{"id": c.id, "approleid": c.role})
			}
		}
		return out, p.need("Application.Read.All", "Application.ReadWrite.All")
	case "New-MgServicePrincipalAppRoleAssignment", "Remove-MgServicePrincipalAppRoleAssignment":
		return nil, p.consent(t, name, args)
	case "Get-MgApplicationFederatedIdentityCredential":
		var out []any
		for _, f := range t.appByID(p.str(args, "applicationid")).federated {
			out = append(out, object{"name": f[0], "issuer": f[1], "subject": f[2]})
		}
		return out, nil
	}
	return p.register(t, name, args)
}

// need refuses what the person was not asked for at the login.
func (p *process) need(anyOf ...string) error {
	for _, s := range p.scopes {
		if slices.Contains(anyOf, s) {
			return nil
		}
	}
	return refuse("Insufficient privileges to complete the operation: %v", anyOf)
}

// register runs what changes applications.
func (p *process) register(t *Tenant, name string, args powershell.Args) ([]any, error) {
	if err := p.need("Application.ReadWrite.All"); err != nil {
		return nil, err
	}
	defer p.w.changed(name)
	switch name {
	case "New-MgApplication":
		a := &application{id: t.guid(), appID: t.guid(), name: p.str(args, "displayname")}
		t.apps = append(t.apps, a)
		return []any{a.object()}, nil
	case "New-MgServicePrincipal":
		if p.w.flaky() {
			return nil, refuse("The appId does not reference a valid application object.")
		}
		sp := &principal{id: t.guid(), appID: p.str(args, "appid"), kind: "Application", made: p.w.Now}
		t.sps = append(t.sps, sp)
		return []any{sp.object()}, nil
	case "Update-MgApplication":
		return nil, p.upload(t.appByID(p.str(args, "applicationid")), args)
	case "New-MgApplicationFederatedIdentityCredential":
		a := t.appByID(p.str(args, "applicationid"))
		a.federated = append(a.federated, [3]string{p.str(args, "name"), p.str(args, "issuer"), p.str(args, "subject")})
		return nil, nil
	case "Remove-MgApplication":
		a := t.appByID(p.str(args, "applicationid"))
		t.sps = slices.DeleteFunc(t.sps, func(sp *principal) bool {
			if sp.appID == a.appID && slices.ContainsFunc(t.consents, func(c consent) bool { return c.sp == sp.id }) {
				p.w.fail("the app goes while it has consents")
			}
			return sp.appID == a.appID
		})
		t.apps = slices.DeleteFunc(t.apps, func(one *application) bool { return one == a })
		return nil, nil
	}
	return nil, powershell.Halt(name + " is not imitated")
}

// upload replaces the keys of an app; one with a life that the tenant does not
// allow is refused.
func (p *process) upload(a *application, args powershell.Args) error {
	var keys []key
	for _, v := range args["keycredentials"].([]any) {
		o := v.(object)
		if old, ok := o["customkeyidentifier"].([]byte); ok {
			keys = append(keys, key{old, o["enddatetime"].(time.Time)})
			continue
		}
		cer := o["key"].(*certificateFile)
		end, given := o["enddatetime"].(time.Time)
		switch {
		case given && p.w.MaxKeyLife > 0 && end.Sub(p.w.Now) > p.w.MaxKeyLife:
			return refuse("Credential lifetime exceeds the max value allowed as per assigned policy.")
		case !given:
			end = p.w.Now.AddDate(1, 0, 0)
		}
		mark, _ := base64.StdEncoding.DecodeString(cer.thumbprint)
		if p.w.RawKeyIDs {
			mark = cer.hash
		}
		keys = append(keys, key{mark, end})
		p.w.Uploads++
	}
	a.keys = keys
	return nil
}

func (p *process) consent(t *Tenant, name string, args powershell.Args) error {
	if err := p.need("AppRoleAssignment.ReadWrite.All"); err != nil {
		return err
	}
	sp := p.str(args, "serviceprincipalid")
	if strings.HasPrefix(name, "New-") {
		if sp != p.str(args, "principalid") || p.str(args, "resourceid") != "graph" {
			return powershell.Halt("a consent of something else")
		}
		t.consents = append(t.consents, consent{t.guid(), sp, p.str(args, "approleid")})
	} else {
		t.consents = slices.DeleteFunc(t.consents, func(c consent) bool {
			return c.sp == sp && c.id == p.str(args, "approleassignmentid")
		})
		t.withdrawn[sp] = p.w.Now.Add(tokenLife)
		for _, a := range t.assignments {
			if a.sp == sp && p.w.Now.Sub(a.made) < roleDelay {
				p.w.fail("the consent goes before the role %s has reached Graph: mail stops", a.name)
			}
		}
	}
	p.w.changed(name)
	return nil
}

// applications are all, or those that a filter names.
func (p *process) applications(t *Tenant, args powershell.Args) (out []any) {
	for _, a := range t.apps {
		if args["applicationid"] == nil && args["filter"] == nil || p.str(args, "applicationid") == a.id ||
			p.str(args, "filter") == "appId eq '"+a.appID+"'" {
			out = append(out, a.object())
		}
	}
	return out
}

func (p *process) principals(t *Tenant, args powershell.Args) (out []any) {
	for _, sp := range t.sps {
		if p.str(args, "filter") == "appId eq '"+sp.appID+"'" {
			out = append(out, sp.object())
		}
	}
	return out
}

func (t *Tenant) appByID(id string) *application {
	for _, a := range t.apps {
		if a.id == id {
			return a
		}
	}
	return &application{}
}

func (a *application) object() object {
	keys := []any{}
	for _, k := range a.keys {
		keys = append(keys, object{"customkeyidentifier": k.mark, "enddatetime": k.end})
	}
	secrets := []any{}
	for range a.secrets {
		secrets = append(secrets, object{"enddatetime": "2027-05-01"})
	}
	return object{"id": a.id, "appid": a.appID, "displayname": a.name, "keycredentials": keys,
		"passwordcredentials": secrets}
}

func (sp *principal) object() object {
	o := object{"id": sp.id, "appid": sp.appID, "serviceprincipaltype": sp.kind,
		"alternativenames": []any{"isExplicit=False", "/subscriptions/s/resourcegroups/r/providers/vm"}}
	if sp.appID == graphAppID {
		roles := []any{object{"id": "dddd", "value": "Directory.Read.All"}}
		for id, name := range permissions {
			roles = append(roles, object{"id": id, "value": name})
		}
		o["approles"] = roles
	}
	return o
}
