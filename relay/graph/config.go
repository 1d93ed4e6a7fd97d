package graph

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Config describes one identity. The zero value of an optional field stands
// for its default.
type Config struct {
	Name     string // for logs
	TenantID string // GUID or a verified domain of the tenant
	ClientID string // GUID of the app registration

	// Exactly one of these two.
	SecretFile      string // the secret's value, alone in the file
	CertificateFile string // PEM: certificate (and chain) and RSA key, in any order

	// Both or neither; nil is the public cloud. Both must be https.
	Login, Graph *url.URL

	CAFile        string           // PEM roots, added to those of the system
	MaxConcurrent int              // expected concurrent sends, sizes the pool of connections; 0 is 64
	Now           func() time.Time // nil is time.Now
	Log           *slog.Logger     // nil is silence
	UserAgent     string           // product and version; empty is "graphrelay"
}

const (
	publicLogin = "https://login.microsoftonline.com/"
	publicGraph = "https://graph.microsoft.com"
)

// withDefaults fills in the optional fields and checks the rest. It reads no file.
func (cfg Config) withDefaults() (Config, error) {
	if err := cfg.checkIdentity(); err != nil {
		return cfg, err
	}
	if (cfg.Login == nil) != (cfg.Graph == nil) {
		return cfg, errors.New("only one of the endpoints login and graph is set, and a token of one cloud must not reach the host of another: set both or neither")
	}
	if cfg.Login == nil {
		cfg.Login, cfg.Graph = mustURL(publicLogin), mustURL(publicGraph)
	}
	for _, e := range []struct {
		name string
		url  *url.URL
	}{{"login", cfg.Login}, {"graph", cfg.Graph}} {
		if err := checkEndpoint(e.name, e.url); err != nil {
			return cfg, err
		}
	}
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = 64
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "graphrelay"
	}
	return cfg, nil
}

func (cfg Config) checkIdentity() error {
	if cfg.TenantID == "" || strings.Trim(cfg.TenantID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" {
		return fmt.Errorf("tenant ID %q is not one: copy \"Directory (tenant) ID\" from the overview page of the app registration", cfg.TenantID)
	}
	if slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(cfg.TenantID)) {
		return fmt.Errorf("tenant ID %q names no single tenant, which an app logging in by itself needs: copy \"Directory (tenant) ID\" from the overview page of the app registration", cfg.TenantID)
	}
	if cfg.ClientID == "" || strings.ContainsAny(cfg.ClientID, " \t\r\n") {
		return fmt.Errorf("client ID %q is not one: copy \"Application (client) ID\" from the overview page of the app registration", cfg.ClientID)
	}
	if (cfg.SecretFile == "") == (cfg.CertificateFile == "") {
		return errors.New("an identity needs exactly one credential: set either a certificate file or a client secret file")
	}
	return nil
}

func checkEndpoint(name string, u *url.URL) error {
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the %s endpoint %q must be of the form https://host or https://host:port: tokens and secrets go there", name, u.Redacted())
	}
	return nil
}

// mustURL is for the constants above.
func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// microsoftHosts are the login and Graph hosts of Microsoft's clouds.
func isMicrosoft(login, graph *url.URL) bool {
	logins := []string{"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "login.chinacloudapi.cn"}
	return slices.Contains(logins, strings.ToLower(login.Host)) && isMicrosoftGraph(graph)
}

func isMicrosoftGraph(graph *url.URL) bool {
	graphs := []string{"graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"}
	return slices.Contains(graphs, strings.ToLower(graph.Host))
}

// scopeFor names the resource to ask a token for. A double stands in for the
// public cloud, so its tokens are asked for under the public name.
func scopeFor(graph *url.URL) string {
	if isMicrosoftGraph(graph) {
		return "https://" + strings.ToLower(graph.Host) + "/.default"
	}
	return publicGraph + "/.default"
}

// roots returns the system's roots with those of file added; nil for no file
// leaves the choice to crypto/tls.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the CA file: %w; correct the path or its permissions", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate that can be read: it must be PEM (-----BEGIN CERTIFICATE-----)", file)
	}
	return pool, nil
}
