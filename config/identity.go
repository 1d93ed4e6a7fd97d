package config

import (
	"net/url"
	"strings"
	"time"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// Identity is one application in Entra. Exactly one of CertificateFile,
// ClientSecretFile, ManagedIdentity and WorkloadIdentity is set.
type Identity struct {
	Name                    Name             `yaml:"name" unset:"default, with a single identity"`
	TenantID                Tenant           `yaml:"tenant_id" required:"true"`
	ClientID                GUID             `yaml:"client_id" required:"true"`
	CertificateFile         Path             `yaml:"certificate_file" unset:"none"`
	CertificatePasswordFile Path             `yaml:"certificate_password_file" unset:"none"`
	CertificateRenewal      string           `yaml:"certificate_renewal" default:"off" range:"off | auto"`
	AppObjectID             GUID             `yaml:"app_object_id" unset:"none"`
	ClientSecretFile        Path             `yaml:"client_secret_file" unset:"none"`
	ClientSecretExpires     Date             `yaml:"client_secret_expires" unset:"unknown; Entra does not report it"`
	ManagedIdentity         *ManagedIdentity `yaml:"managed_identity" unset:"none" range:"true | section"`
	WorkloadIdentity        bool             `yaml:"workload_identity" default:"false"`

	Cloud string `yaml:"cloud" default:"public" range:"public | usgov | usgov-dod | china | bleu | delos | govsg"`

	Endpoints     *Endpoints       `yaml:"endpoints" unset:"those of cloud"`
	CAFile        Path             `yaml:"ca_file" unset:"none"`
	Proxy         ProxyURL         `yaml:"proxy" unset:"HTTPS_PROXY and NO_PROXY from the environment"`
	ProxyFile     Path             `yaml:"proxy_file" unset:"none"`
	MaxConcurrent int              `yaml:"max_concurrent" default:"64" range:"1..1000"`
	DeniedMailbox envelope.Address `yaml:"denied_mailbox" unset:"none"`
}

// ManagedIdentity is an identity of the Azure machine.
type ManagedIdentity struct {
	ClientID GUID `yaml:"client_id" unset:"the system-assigned identity"`
}

// Short reads managed_identity: true.
func (m *ManagedIdentity) Short(word string) *strict.Fault {
	if word != "true" {
		return strict.Bad("is neither true nor a section", "write true, or client_id: GUID under it, or remove the key")
	}
	return nil
}

// Endpoints replace Microsoft's servers.
type Endpoints struct {
	Login      BaseURL `yaml:"login" required:"true"`
	Graph      BaseURL `yaml:"graph" required:"true"`
	Submission Server  `yaml:"submission" unset:"none"`
}

func (id *Identity) Check(s strict.Scope) {
	id.checkCredential(s)
	id.checkEndpoints(s)
}

func (id *Identity) checkCredential(s strict.Scope) {
	const one = "write exactly one of certificate_file, client_secret_file, managed_identity and workload_identity"
	count := 0
	for _, key := range []string{"certificate_file", "client_secret_file", "managed_identity", "workload_identity"} {
		if !s.Given(key) || key == "workload_identity" && !id.WorkloadIdentity && s.Sound(key) {
			continue
		}
		count++
		s.FailIf(count > 1, key, "is a second credential", one)
	}
	s.FailIf(count == 0, "certificate_file", "is missing, and so is every other credential", one)
	s.FailIf(s.Given("certificate_password_file") && !s.Given("certificate_file"), "certificate_password_file",
		"is a password without certificate_file", "write certificate_file too, or remove it")
	id.checkRenewal(s)
	s.FailIf(s.Given("client_secret_expires") && !s.Given("client_secret_file"), "client_secret_expires",
		"is a date without client_secret_file", "remove it; a certificate carries its own expiry date")
	if m := id.ManagedIdentity; m != nil && m.ClientID != "" && id.ClientID != "" && m.ClientID != id.ClientID {
		s.Fail("managed_identity.client_id", "differs from the client ID of the identity",
			"write the same in both places: the managed identity is the application")
	}
}

// checkRenewal is about a certificate that renews itself.
func (id *Identity) checkRenewal(s strict.Scope) {
	if !id.RenewsItself() {
		return
	}
	const key = "certificate_renewal"
	s.FailIf(!s.Given("certificate_file"), key, "is auto without certificate_file",
		"write off: only a certificate renews itself")
	s.FailIf(s.Given("certificate_password_file"), key, "is auto with certificate_password_file",
		"decrypt the key (openssl pkey -in old.pem -out entra.pem) and remove the password: the next key has none")
	s.FailIf(!s.Given("app_object_id"), key, "is auto without app_object_id",
		"write app_object_id: Object ID on the overview page of the app registration, not that of the enterprise app")
	s.FailIf(id.AppObjectID != "" && id.AppObjectID == id.ClientID, "app_object_id", "is the client ID",
		"write Object ID of the overview page of the app registration")
}

// RenewsItself reports whether the certificate is renewed without an administrator.
func (id *Identity) RenewsItself() bool { return id.CertificateRenewal == "auto" }

func (id *Identity) checkEndpoints(s strict.Scope) {
	s.FailIf(s.Given("cloud") && s.Given("endpoints"), "endpoints", "cannot be combined with cloud",
		"write cloud for Microsoft, or endpoints for other servers")
	s.FailIf(s.Given("proxy") && s.Given("proxy_file"), "proxy_file", "cannot be combined with proxy",
		"write one of them")
}

// ProxyURL is http://HOST:PORT or https://HOST:PORT, with nothing after it and no
// password in it.
type ProxyURL string

func (p *ProxyURL) Read(text string) *strict.Fault {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err == nil && u.User != nil || strings.Contains(text, "@"):
		return strict.Bad("contains a user name or a password",
			"write the whole URL into a file that only the service can read, and its path as proxy_file")
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return strict.Bad("is not the URL of a proxy", "write http://HOST:PORT, as in http://proxy.contoso.local:3128")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#"):
		return strict.Bad("has something after the port", "write http://HOST:PORT alone")
	}
	*p = ProxyURL(u.String())
	return nil
}

func (*ProxyURL) About() (kind, example string) { return "URL", "http://proxy.contoso.local:3128" }

// Date is a day, written as in 2027-05-01; in UTC. The zero Date is none.
type Date struct{ time.Time }

func (d *Date) Read(text string) *strict.Fault {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return strict.Bad("is not a date", "write YEAR-MONTH-DAY, as in 2027-05-01")
	}
	d.Time = t
	return nil
}

func (*Date) About() (kind, example string) { return "date", "2027-05-01" }

// String writes d as the file does.
func (d Date) String() string {
	if d.IsZero() {
		return "none"
	}
	return d.Format(time.DateOnly)
}
