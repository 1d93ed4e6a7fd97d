package setup

import (
	"encoding/json"
	"strings"
)

// Credential is what the application logs in with.
type Credential string

// The credentials of the configuration.
const (
	Certificate Credential = "certificate"
	Secret      Credential = "client secret"
	Managed     Credential = "managed identity"
	Workload    Credential = "workload identity"
)

// both are the lines of something for each of the shells.
type both struct{ ps, sh []string }

// credentialValues are the variables that the steps of the credential use.
func (p Plan) credentialValues() both {
	switch {
	case p.Task != Create:
	case p.Credential == Certificate || p.Credential == "":
		return both{[]string{"$Certificate = " + psQuote(p.Certificate)},
			[]string{"CERTIFICATE=" + shQuote(p.Certificate)}}
	case p.Credential == Workload:
		name := p.alias() + "-relay"
		parameters, _ := json.Marshal(map[string]any{"name": name, "issuer": p.Issuer, "subject": p.Subject,
			"audiences": []string{"api://AzureADTokenExchange"}}) // strings only: nothing can fail
		return both{[]string{"$Issuer = " + psQuote(p.Issuer), "$Subject = " + psQuote(p.Subject),
			"$FederatedName = " + psQuote(name)}, []string{"ISSUER=" + shQuote(p.Issuer),
			"SUBJECT=" + shQuote(p.Subject), "FEDERATED_NAME=" + shQuote(name),
			"FEDERATED_JSON=" + shQuote(string(parameters))}}
	}
	return both{}
}

// identify makes the app known to the parts that follow: registered, with its credential.
func (p Plan) identify() []step {
	const nothing = "Nothing is consented here: the app can log in, but do nothing."
	if p.Credential == Managed {
		return []step{p.find()}
	}
	list := []step{entra("register save_app save_object", "App registration (single tenant) and service principal",
		nothing).with(writeApps)}
	switch p.Credential {
	case Secret:
		list = append(list, entra("secret", "Client secret: made by hand, because it is shown once",
			"Entra ID > App registrations > the app > Certificates & secrets > New client secret. Copy its Value, not",
			"its Secret ID, into the file on the relay that the last lines of this script name."))
	case Workload:
		one := entra("federated", "Federated credential: the tokens of this issuer for this subject log in as the app")
		one.first = both{fragment("federated_values.ps1"), fragment("federated_values.sh")}
		list = append(list, one)
	default:
		one := entra("certificate", "Certificate",
			"A certificate that is already there is not uploaded again; others stay.")
		one.first.ps = fragment("certificate_file.ps1")
		list = append(list, one)
	}
	return list
}

// find finds an existing app.
func (p Plan) find() step {
	if p.Credential == Managed {
		return entra("managed save_app", "Find the managed identity: it is the app, and needs no registration")
	}
	return entra("find save_app save_object", "Find the app and its service principal")
}

// credentialYAML is how the configuration names the credential; comments say what remains to be done.
func (p Plan) credentialYAML() []string {
	switch p.Credential {
	case Secret:
		return []string{
			"    client_secret_file: " + yamlQuote(p.File) + "   # the secret's Value; readable for the relay only",
			"    client_secret_expires: YYYY-MM-DD   # as the portal shows it"}
	case Managed:
		if p.ManagedClient == "" {
			return []string{"    managed_identity: true"}
		}
		return []string{"    managed_identity:", "      client_id: @APP@"}
	case Workload:
		return []string{"    workload_identity: true"}
	}
	file := "    certificate_file: " + yamlQuote(p.File)
	if p.Renewal {
		return []string{file, "    certificate_renewal: auto", "    app_object_id: @OBJECT@"}
	}
	return []string{file, "    # certificate_renewal: auto would need the next line:", "    # app_object_id: @OBJECT@"}
}

// copyBack prints what the person who runs the relay needs.
func (p Plan) copyBack() step {
	lines := []string{"", "Copy this into the configuration of the relay:", "", "identities:",
		"  - name: " + yamlQuote(p.Identity), "    tenant_id: " + yamlQuote(p.TenantID), "    client_id: @APP@"}
	lines = append(lines, p.credentialYAML()...)
	if p.national() {
		lines = append(lines, "    cloud: "+p.Cloud)
	}
	lines = append(lines, "    denied_mailbox: "+yamlQuote(p.Denied.String()), "senders:")
	for _, m := range p.Mailboxes {
		lines = append(lines, "  - address: "+yamlQuote(m.String()))
	}
	lines = append(lines, "default_sender: "+yamlQuote(p.sender()), "aliases:",
		"  root: "+yamlQuote(p.root())+"   # who reads the mail for root",
		"", "Then, on the relay:  graphrelay verify --to ADMIN --wait 2h")
	s := step{title: "What to give to the person who runs the relay", side: anywhere}
	for _, l := range lines {
		ps, sh := "Write-Host "+psQuote(l), `printf '%s\n' `+shQuote(l)
		for mark, id := range map[string][2]string{"@APP@": {"$AppId", "$APP_ID"},
			"@OBJECT@": {"(Get-Note 'ObjectId')", "$(note ObjectId)"}} {
			if before, found := strings.CutSuffix(l, mark); found {
				ps = "Write-Host (" + psQuote(before) + " + " + id[0] + ")"
				sh = `printf '%s%s\n' ` + shQuote(before) + ` "` + id[1] + `"`
			}
		}
		s.ps, s.sh = append(s.ps, ps), append(s.sh, sh)
	}
	return s
}
