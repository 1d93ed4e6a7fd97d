package setup

import (
	"cmp"
	"fmt"
)

// cloud has the names that the commands of a script use for one of Microsoft's
// clouds. The zero value is the public one, which needs none.
type cloud struct {
	graph    string // Connect-MgGraph -Environment
	exchange string // Connect-ExchangeOnline -ExchangeEnvironmentName
	az       string // az cloud set --name; empty if az has none that reaches this Graph
}

// clouds are the national ones, by the names of the configuration.
func clouds() map[string]cloud {
	return map[string]cloud{
		"usgov":     {"USGov", "O365USGovGCCHigh", "AzureUSGovernment"},
		"usgov-dod": {"USGovDoD", "O365USGovDoD", ""},
		"china":     {"China", "O365China", "AzureChinaCloud"},
	}
}

// national reports whether the plan is for another cloud than the public one.
func (p Plan) national() bool { return p.Cloud != "" && p.Cloud != "public" }

func (p Plan) checkCloud() error {
	if !p.national() {
		return nil
	}
	c, ok := clouds()[p.Cloud]
	switch {
	case !ok:
		return fmt.Errorf("there is no script for the cloud %q: set public, usgov, usgov-dod or china", p.Cloud)
	case p.Shell == Az && c.az == "":
		return fmt.Errorf("az does not support the cloud %s: use --shell powershell", p.Cloud)
	case p.Shell == Az && p.GraphURL == "":
		return fmt.Errorf("the script for %s needs the address of its Graph: name it in the plan", p.Cloud)
	}
	return nil
}

// cloudNote says how reliable the names of a national cloud are.
func (p Plan) cloudNote() []string {
	if !p.national() {
		return nil
	}
	return []string{"", "It is for the national cloud " + p.Cloud +
		". The names that Connect-MgGraph, Connect-ExchangeOnline and az use for it are widely known,",
		"but were not tested in this cloud: compare them with Microsoft's documents on national clouds before the " +
			"first run."}
}

// psConnectGraph and psConnectExchange log in to the plan's cloud.
func (p Plan) psConnectGraph() string {
	line := "Connect-MgGraph -TenantId $Tenant -Scopes 'Application.ReadWrite.All', " +
		"'AppRoleAssignment.ReadWrite.All' -NoWelcome"
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

// shCloud switches az to the plan's cloud, unless it is the public one.
func (p Plan) shCloud() []string {
	if !p.national() {
		return nil
	}
	return []string{"# az keeps this cloud afterwards; to switch back: az cloud set --name AzureCloud",
		"az cloud set --name " + clouds()[p.Cloud].az}
}

// graphURL is where az rest calls Microsoft Graph.
func (p Plan) graphURL() string { return cmp.Or(p.GraphURL, "https://graph.microsoft.com") }
