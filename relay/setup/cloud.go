package setup

import (
	"cmp"
	"fmt"
	"strings"
)

// cloud has the names that the commands of a script use for one of Microsoft's
// clouds. The zero value is the public one, which needs none.
type cloud struct {
	graph    string // Connect-MgGraph -Environment
	exchange string // Connect-ExchangeOnline -ExchangeEnvironmentName; empty if none is documented
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
		return fmt.Errorf("there is no script for the cloud %q, because no name of its Exchange Online is "+
			"documented: follow the steps of tenant-setup.md by hand, or set cloud if the tenant is in public, usgov, "+
			"usgov-dod or china", p.Cloud)
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
	return []string{"", "It is for the national cloud " + p.Cloud + ". The names that Connect-MgGraph and " +
		"Connect-ExchangeOnline have for it are documented,", "but were not tried in this cloud."}
}

// byGUID reports whether the tenant is named by its ID, and not by a domain.
func (p Plan) byGUID() bool { return !strings.Contains(p.TenantID, ".") }

// psConnectGraph and psConnectExchange log in to the plan's cloud and tenant.
func (p Plan) psConnectGraph(scopes []string) []string {
	line := "Connect-MgGraph -TenantId $Tenant -Scopes '" + strings.Join(scopes, "', '") + "' -NoWelcome"
	if p.national() {
		line += " -Environment " + clouds()[p.Cloud].graph
	}
	list := fill("connect_graph.ps1", "@CONNECT@", line)
	if p.byGUID() {
		list = append(list, fragment("tenant.ps1")...)
	}
	if p.Admin != "" {
		list = append(list, fragment("person.ps1")...)
	}
	return list
}

func (p Plan) psConnectExchange() []string {
	line, right := "Connect-ExchangeOnline -ShowBanner:$false", "$_.TenantID -eq $Tenant"
	if p.Admin != "" {
		line += " -UserPrincipalName $Admin"
	}
	if p.national() {
		line += " -ExchangeEnvironmentName " + clouds()[p.Cloud].exchange
	}
	if !p.byGUID() {
		right = "(Get-AcceptedDomain).DomainName -contains $Tenant"
	}
	return fill("connect_exchange.ps1", "@CONNECT@", line, "@RIGHT@", right)
}

// shSignIn logs in with az to the plan's cloud and tenant.
func (p Plan) shSignIn() (list []string) {
	if p.national() {
		list = []string{"# az keeps this cloud afterwards; to switch back: az cloud set --name AzureCloud",
			"az cloud set --name " + clouds()[p.Cloud].az}
	}
	list = append(list, fragment("sign_in.sh")...)
	if p.byGUID() {
		list = append(list, fragment("tenant.sh")...)
	}
	if p.Admin != "" {
		list = append(list, fragment("person.sh")...)
	}
	return list
}

// graphURL is where az rest calls Microsoft Graph.
func (p Plan) graphURL() string { return cmp.Or(p.GraphURL, "https://graph.microsoft.com") }
