package entra

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Endpoints are the two servers of a cloud, or of a double of it.
type Endpoints struct{ Login, Graph *url.URL }

// cloud is one of Microsoft's. Where outlook and submission are empty, no document
// names the resource of Exchange Online and its submission server.
type cloud struct{ login, graph, outlook, submission string }

// clouds are Microsoft's, by the names of the configuration, as its documents
// on national clouds list them.
func clouds() map[string]cloud {
	return map[string]cloud{
		"public": {"login.microsoftonline.com", "graph.microsoft.com", "outlook.office365.com",
			"smtp.office365.com"},
		"usgov":     {"login.microsoftonline.us", "graph.microsoft.us", "outlook.office365.us", "smtp.office365.us"},
		"usgov-dod": {"login.microsoftonline.us", "dod-graph.microsoft.us", "", ""},
		"china": {"login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn", "partner.outlook.cn",
			"smtp.partner.outlook.cn"},
		"bleu":  {"login.sovcloud-identity.fr", "graph.svc.sovcloud.fr", "", ""},
		"delos": {"login.sovcloud-identity.de", "graph.svc.sovcloud.de", "", ""},
		"govsg": {"login.sovcloud-identity.sg", "graph.svc.sovcloud.sg", "", ""},
	}
}

// GraphURL is the address of a cloud's Graph, for commands of other programs;
// empty where there is no such cloud.
func GraphURL(name string) string {
	c, ok := clouds()[cmp.Or(name, "public")]
	if !ok {
		return ""
	}
	return "https://" + c.graph
}

// Resolve checks the endpoints that are set, or returns those of the cloud.
func (e Endpoints) Resolve(name string) (Endpoints, error) {
	switch {
	case (e.Login == nil) != (e.Graph == nil):
		return e, errors.New("only one of the endpoints login and graph is set, " +
			"and a token of one cloud must not reach the host of another: set both or neither")
	case e.Login != nil && name != "":
		return e, errors.New("both a cloud and endpoints are set: " +
			"set the cloud for Microsoft, or endpoints for a double")
	case e.Login == nil:
		c, ok := clouds()[cmp.Or(name, "public")]
		if !ok {
			return e, fmt.Errorf("there is no cloud %q: set public, usgov, usgov-dod, china, bleu, delos or govsg",
				name)
		}
		e.Login = &url.URL{Scheme: "https", Host: c.login, Path: "/"}
		e.Graph = &url.URL{Scheme: "https", Host: c.graph}
	}
	if err := checkEndpoint("login", e.Login); err != nil {
		return e, err
	}
	return e, checkEndpoint("graph", e.Graph)
}

func checkEndpoint(name string, u *url.URL) error {
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the %s endpoint %q must be of the form https://host or https://host:port: "+
			"tokens and secrets go there", name, u.Redacted())
	}
	return nil
}

// Microsoft reports whether both servers are those of Microsoft clouds.
func (e Endpoints) Microsoft() bool {
	login := strings.EqualFold(e.Login.Host, "login.chinacloudapi.cn") // the older name of China's
	for _, c := range clouds() {
		login = login || strings.EqualFold(e.Login.Host, c.login)
	}
	return login && e.microsoftGraph()
}

func (e Endpoints) microsoftGraph() bool {
	for _, c := range clouds() {
		if strings.EqualFold(e.Graph.Host, c.graph) {
			return true
		}
	}
	return false
}

// Submission is the submission server of a cloud, with its port; empty where no document
// names one.
func Submission(name string) string {
	if c := clouds()[cmp.Or(name, "public")]; c.submission != "" {
		return c.submission + ":587"
	}
	return ""
}

// OutlookScope names Exchange Online as the resource to request a token for, with the
// rule of Scope.
func (e Endpoints) OutlookScope() string {
	host := clouds()["public"].outlook
	for _, c := range clouds() {
		if strings.EqualFold(e.Graph.Host, c.graph) {
			host = cmp.Or(c.outlook, host)
		}
	}
	return "https://" + host + "/.default"
}

// Scope names the resource to request a token for. A double replaces the public
// cloud, so its tokens are requested under the public name.
func (e Endpoints) Scope() string {
	host := clouds()["public"].graph
	if e.microsoftGraph() {
		host = strings.ToLower(e.Graph.Host)
	}
	return "https://" + host + "/.default"
}
