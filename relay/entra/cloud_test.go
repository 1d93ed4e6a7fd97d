package entra

import (
	"net/url"
	"testing"
)

func TestMicrosoft(t *testing.T) {
	for _, x := range []struct {
		login, graph string
		microsoft    bool
		scope        string
	}{
		{"", "", true, "https://graph.microsoft.com/.default"},
		{"https://login.microsoftonline.us", "https://graph.microsoft.us", true, "https://graph.microsoft.us/.default"},
		{"https://127.0.0.1:8443", "https://127.0.0.1:8443", false, "https://graph.microsoft.com/.default"},
		{"https://login.microsoftonline.com", "https://graph.example.org", false,
			"https://graph.microsoft.com/.default"},
	} {
		var e Endpoints
		if x.login != "" {
			e.Login, _ = url.Parse(x.login)
			e.Graph, _ = url.Parse(x.graph)
		}
		e, err := e.Resolve("")
		if err != nil || e.Microsoft() != x.microsoft || e.Scope() != x.scope {
			t.Errorf("%s %s: %v %s %v", x.login, x.graph, e.Microsoft(), e.Scope(), err)
		}
	}
}
