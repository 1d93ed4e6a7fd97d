package config

import (
	"net/url"
	"strings"
	"time"

	"graphrelay/relay/envelope"
)

// Identity is one application in Entra. Exactly one of CertificateFile,
// ClientSecretFile, ManagedIdentity and WorkloadIdentity is set.
type Identity struct {
	Name                    Name             `yaml:"name" unset:"default, where there is one identity" doc:"Name for mailboxes, logs and commands; needed where there are several identities."`
	TenantID                Tenant           `yaml:"tenant_id" required:"true" doc:"Directory (tenant) ID, or a domain of the tenant."`
	ClientID                GUID             `yaml:"client_id" required:"true" doc:"Application (client) ID; of a managed identity too."`
	CertificateFile         Path             `yaml:"certificate_file" unset:"none" doc:"File with the certificate and its RSA private key: PEM, in any order and with the chain if Entra wants it, or PFX. Exactly one credential is needed; its file is read again when it changes."`
	CertificatePasswordFile Path             `yaml:"certificate_password_file" unset:"none" doc:"File that holds the password of the encrypted key or PFX and nothing else."`
	ClientSecretFile        Path             `yaml:"client_secret_file" unset:"none" doc:"File that holds the client secret and nothing else."`
	ClientSecretExpires     Date             `yaml:"client_secret_expires" unset:"unknown, for Entra does not tell" doc:"Day on which the client secret expires; warnings come 30, 14, 7, 3 and 1 days before it, as they do for a certificate."`
	ManagedIdentity         *ManagedIdentity `yaml:"managed_identity" unset:"none" range:"true | section" doc:"Log in as the Azure machine that this runs on, without a file: true for its system-assigned identity."`
	WorkloadIdentity        bool             `yaml:"workload_identity" default:"false" doc:"Log in by the federated token in the file that AZURE_FEDERATED_TOKEN_FILE names, as under Kubernetes."`
	Cloud                   string           `yaml:"cloud" default:"public" range:"public | usgov | usgov-dod | china" doc:"Microsoft's cloud that the tenant is in."`
	Endpoints               *Endpoints       `yaml:"endpoints" unset:"those of cloud" doc:"Servers to use instead of Microsoft's, for tests; both are needed."`
	CAFile                  Path             `yaml:"ca_file" unset:"none" doc:"PEM file of further root certificates to trust for login and Graph, as where a proxy looks into TLS."`
	Proxy                   ProxyURL         `yaml:"proxy" unset:"HTTPS_PROXY and NO_PROXY of the environment" doc:"HTTP proxy for login and Graph, used by CONNECT alone."`
	ProxyFile               Path             `yaml:"proxy_file" unset:"none" doc:"File that holds the URL of a proxy with user and password, in place of proxy; read again when it changes."`
	MaxConcurrent           int              `yaml:"max_concurrent" default:"64" range:"1..1000" doc:"Most requests at one time under this identity."`
	DeniedMailbox           envelope.Address `yaml:"denied_mailbox" unset:"none" doc:"A mailbox that Graph must refuse to this identity: existing, licensed, of nobody with an administrator's role. verify and the audit try it."`
}

// ManagedIdentity is an identity of the Azure machine.
type ManagedIdentity struct {
	ClientID GUID `yaml:"client_id" unset:"the system-assigned identity" doc:"Client ID of a user-assigned identity; the same as that of the identity."`
}

// short reads managed_identity: true.
func (m *ManagedIdentity) short(word string) *fault {
	if word != "true" {
		return bad("is neither true nor a section", "write true, or client_id: GUID under it, or take the key out")
	}
	return nil
}

// Endpoints replace Microsoft's servers.
type Endpoints struct {
	Login BaseURL `yaml:"login" required:"true" doc:"Where tokens come from, in place of login.microsoftonline.com."`
	Graph BaseURL `yaml:"graph" required:"true" doc:"Where mail goes, in place of graph.microsoft.com."`
}

// credentialKeys are the keys of which an identity has exactly one.
func credentialKeys() []string {
	return []string{"certificate_file", "client_secret_file", "managed_identity", "workload_identity"}
}

func (id *Identity) check(s scope) {
	id.checkCredential(s)
	id.checkEndpoints(s)
}

func (id *Identity) checkCredential(s scope) {
	const one = "write exactly one of certificate_file, client_secret_file, managed_identity and workload_identity"
	count := 0
	for _, key := range credentialKeys() {
		if !s.given(key) || key == "workload_identity" && !id.WorkloadIdentity && s.sound(key) {
			continue
		}
		if count++; count > 1 {
			s.fail(key, bad("is a second credential", one))
		}
	}
	if count == 0 {
		s.fail("certificate_file", bad("is missing, and so is every other credential", one))
	}
	if s.given("certificate_password_file") && !s.given("certificate_file") {
		s.fail("certificate_password_file", bad("is a password without certificate_file", "write certificate_file too, or take it out"))
	}
	if s.given("client_secret_expires") && !s.given("client_secret_file") {
		s.fail("client_secret_expires", bad("is a date without client_secret_file", "take it out; a certificate says itself when it expires"))
	}
	if m := id.ManagedIdentity; m != nil && m.ClientID != "" && id.ClientID != "" && m.ClientID != id.ClientID {
		s.fail("managed_identity.client_id", bad("is another client ID than that of the identity", "write the same in both places, for the managed identity is the application"))
	}
}

func (id *Identity) checkEndpoints(s scope) {
	if s.given("cloud") && s.given("endpoints") {
		s.fail("endpoints", bad("stands beside cloud", "write cloud for Microsoft, or endpoints for other servers"))
	}
	if s.given("proxy") && s.given("proxy_file") {
		s.fail("proxy_file", bad("stands beside proxy", "write one of them"))
	}
}

// ProxyURL is http://HOST:PORT or https://HOST:PORT, nothing behind it and no
// password in it.
type ProxyURL string

func (p *ProxyURL) read(text string) *fault {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err == nil && u.User != nil || strings.Contains(text, "@"):
		return bad("holds a user name or a password", "write the whole URL into a file that only the service can read, and its path as proxy_file")
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return bad("is no URL of a proxy", "write http://HOST:PORT, as in http://proxy.contoso.local:3128")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#"):
		return bad("has something behind the port", "write http://HOST:PORT alone")
	}
	*p = ProxyURL(u.String())
	return nil
}

func (*ProxyURL) kind() string { return "URL" }
func (*ProxyURL) like() string { return "http://proxy.contoso.local:3128" }

// Date is a day, written as in 2027-05-01; in UTC. The zero Date is none.
type Date struct{ time.Time }

func (d *Date) read(text string) *fault {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return bad("is no date", "write YEAR-MONTH-DAY, as in 2027-05-01")
	}
	d.Time = t
	return nil
}

func (*Date) kind() string { return "date" }
func (*Date) like() string { return "2027-05-01" }

// String writes d as the file does.
func (d Date) String() string {
	if d.IsZero() {
		return "none"
	}
	return d.Format(time.DateOnly)
}
