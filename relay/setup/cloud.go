package setup

import (
	"cmp"
	"fmt"
)

// cloud is what the commands of a script call one of Microsoft's clouds. The
// zero value is the public one, which no command needs to be told.
type cloud struct {
	graph    string // Connect-MgGraph -Environment
	exchange string // Connect-ExchangeOnline -ExchangeEnvironmentName
	az       string // az cloud set --name; empty where az has none that reaches this Graph
}

// clouds are the national ones, by the names of the configuration.
func clouds() map[string]cloud {
	return map[string]cloud{
		"usgov":     {"USGov", "O365USGovGCCHigh", "AzureUSGovernment"},
		"usgov-dod": {"USGovDoD", "O365USGovDoD", ""},
		"china":     {"China", "O365China", "AzureChinaCloud"},
	}
}

// national tells whether the plan is for another cloud than the public one.
func (p Plan) national() bool { return p.Cloud != "" && p.Cloud != "public" }

func (p Plan) checkCloud() error {
	if !p.national() {
		return nil
	}
	c, ok := clouds()[p.Cloud]
	switch {
	case !ok:
		return fmt.Errorf("there is no cloud %q to write a script for: set public, usgov, usgov-dod or china", p.Cloud)
	case p.Shell == Az && c.az == "":
		return fmt.Errorf("az knows no cloud with the Graph of %s: write the script with --shell powershell", p.Cloud)
	case p.Shell == Az && p.GraphURL == "":
		return fmt.Errorf("the script for %s needs the address of its Graph: name it in the plan", p.Cloud)
	}
	return nil
}

// cloudNote says how far the names of a national cloud can be relied on.
func (p Plan) cloudNote() []string {
	if !p.national() {
		return nil
	}
	return []string{"", "It is for the national cloud " + p.Cloud + ". The names that Connect-MgGraph, Connect-ExchangeOnline and az have for it are common knowledge,",
		"and were not tried in this cloud: compare them with Microsoft's documents on national clouds before the first run."}
}

// psConnectGraph and psConnectExchange log in to the plan's cloud.
func (p Plan) psConnectGraph() string {
	line := "Connect-MgGraph -TenantId $Tenant -Scopes 'Application.ReadWrite.All', 'AppRoleAssignment.ReadWrite.All' -NoWelcome"
	if p.national() {
		line += " -Environment " + clouds()[p.Cloud].graph
	}
	return line
}

func (p Plan) psConnectExchange() string {
	line := "Connect-ExchangeOnline -ShowBanner:$false"
	if p.national() {
		line += " -ExchangeEnvironmentName " + clouds()[p.Cloud].exchange
	}
	return line
}

// shCloud turns az to the plan's cloud, where it is not the one it starts with.
func (p Plan) shCloud() []string {
	if !p.national() {
		return nil
	}
	return []string{"# az stays with this cloud afterwards; the way back: az cloud set --name AzureCloud", "az cloud set --name " + clouds()[p.Cloud].az}
}

// graphURL is where az rest calls Microsoft Graph.
func (p Plan) graphURL() string { return cmp.Or(p.GraphURL, "https://graph.microsoft.com") }
