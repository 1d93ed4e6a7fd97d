package graph

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// endpoints are the two hosts of one cloud.
type endpoints struct{ login, graph string }

// clouds are Microsoft's, by the names of the configuration, as its documents
// on national clouds list them.
func clouds() map[string]endpoints {
	return map[string]endpoints{
		"public":    {"login.microsoftonline.com", "graph.microsoft.com"},
		"usgov":     {"login.microsoftonline.us", "graph.microsoft.us"},
		"usgov-dod": {"login.microsoftonline.us", "dod-graph.microsoft.us"},
		"china":     {"login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"},
	}
}

// URLOf is the address of a cloud's Graph, for commands of other programs; empty
// where there is no such cloud.
func URLOf(cloud string) string {
	e, ok := clouds()[firstOf(cloud, "public")]
	if !ok {
		return ""
	}
	return "https://" + e.graph
}

// setEndpoints fills in Login and Graph from Cloud, or checks those given.
func (cfg *Config) setEndpoints() error {
	switch {
	case (cfg.Login == nil) != (cfg.Graph == nil):
		return fmt.Errorf("only one of the endpoints login and graph is set, and a token of one cloud must not reach the host of another: set both or neither")
	case cfg.Login != nil && cfg.Cloud != "":
		return fmt.Errorf("both a cloud and endpoints are set: set the cloud for Microsoft, or endpoints for a double")
	case cfg.Login == nil:
		e, ok := clouds()[firstOf(cfg.Cloud, "public")]
		if !ok {
			return fmt.Errorf("there is no cloud %q: set public, usgov, usgov-dod or china", cfg.Cloud)
		}
		cfg.Login, cfg.Graph = &url.URL{Scheme: "https", Host: e.login, Path: "/"}, &url.URL{Scheme: "https", Host: e.graph}
	}
	if err := checkEndpoint("login", cfg.Login); err != nil {
		return err
	}
	return checkEndpoint("graph", cfg.Graph)
}

func checkEndpoint(name string, u *url.URL) error {
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the %s endpoint %q must be of the form https://host or https://host:port: tokens and secrets go there", name, u.Redacted())
	}
	return nil
}

// isMicrosoft tells whether both hosts are Microsoft's.
func isMicrosoft(login, graph *url.URL) bool {
	logins := []string{"login.chinacloudapi.cn"} // the older name of China's
	for _, e := range clouds() {
		logins = append(logins, e.login)
	}
	return slices.Contains(logins, strings.ToLower(login.Host)) && isMicrosoftGraph(graph)
}

func isMicrosoftGraph(graph *url.URL) bool {
	for _, e := range clouds() {
		if strings.EqualFold(graph.Host, e.graph) {
			return true
		}
	}
	return false
}

// scopeFor names the resource to ask a token for. A double stands in for the
// public cloud, so its tokens are asked for under the public name.
func scopeFor(graph *url.URL) string {
	host := clouds()["public"].graph
	if isMicrosoftGraph(graph) {
		host = strings.ToLower(graph.Host)
	}
	return "https://" + host + "/.default"
}
