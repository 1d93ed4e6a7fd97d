package config

import (
	"net/url"
	"strings"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// Hostname is a domain name in lower case.
type Hostname string

func (h *Hostname) Read(text string) *strict.Fault {
	name, ok := domainName(text)
	if !ok {
		return strict.Bad("is not a host name",
			"write letters, digits and hyphens with dots between, as in relay.contoso.local")
	}
	*h = Hostname(name)
	return nil
}

func (*Hostname) About() (kind, example string) { return "host name", "relay.contoso.local" }

// domainName uses the one address parser, so that a host name is exactly
// what may follow an @.
func domainName(text string) (string, bool) {
	if strings.HasPrefix(text, "[") {
		return "", false
	}
	a, err := envelope.NewAddress("x", text)
	if err != nil {
		return "", false
	}
	return a.Domain(), true
}

// Name names an identity.
type Name string

const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_."

func (n *Name) Read(text string) *strict.Fault {
	if len(text) > 32 || strings.Trim(text, nameLetters) != "" {
		return strict.Bad("is not a valid name",
			"write up to 32 lower-case letters, digits, hyphens, dots or underscores")
	}
	*n = Name(text)
	return nil
}

func (*Name) About() (kind, example string) { return "name", "a name" }

// GUID is an identifier of Entra, in lower case with hyphens.
type GUID string

func (g *GUID) Read(text string) *strict.Fault {
	id, ok := guid(text)
	if !ok {
		return strict.Bad("is not a GUID",
			"write the Application (client) ID from the application's overview in Entra, as in "+
				"22222222-2222-2222-2222-222222222222")
	}
	*g = GUID(id)
	return nil
}

func (*GUID) About() (kind, example string) { return "GUID", "22222222-2222-2222-2222-222222222222" }

func guid(text string) (string, bool) {
	if len(text) != 36 {
		return "", false
	}
	text = strings.ToLower(text)
	for i, c := range []byte(text) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (c == '-') || !hyphen && !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return "", false
		}
	}
	return text, true
}

// Tenant is a GUID or a domain of a tenant, in lower case.
type Tenant string

func (t *Tenant) Read(text string) *strict.Fault {
	id, ok := guid(text)
	if !ok {
		id, ok = domainName(text)
		ok = ok && strings.Contains(id, ".")
	}
	if !ok {
		return strict.Bad("is neither a GUID nor a domain",
			"write the Directory (tenant) ID from the application's overview in Entra, as in "+
				"11111111-1111-1111-1111-111111111111, or a domain of the tenant")
	}
	*t = Tenant(id)
	return nil
}

func (*Tenant) About() (kind, example string) {
	return "GUID or domain", "11111111-1111-1111-1111-111111111111"
}

// BaseURL is https://HOST or https://HOST:PORT, with nothing after it.
type BaseURL string

func (b *BaseURL) Read(text string) *strict.Fault {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err != nil || u.Host == "" && u.Scheme == "https":
		return strict.Bad("is not a URL", "write https://HOST or https://HOST:PORT")
	case u.User != nil:
		return strict.Bad("contains a user name or a password", "remove it from the URL")
	case u.Scheme != "https":
		return strict.Bad("is not https", "write https://HOST or https://HOST:PORT")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#"):
		return strict.Bad("has something after the host", "write https://HOST or https://HOST:PORT alone")
	}
	*b = BaseURL(u.String())
	return nil
}

func (*BaseURL) About() (kind, example string) { return "URL", "https://127.0.0.1:8443" }
