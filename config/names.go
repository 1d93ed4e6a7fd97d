package config

import (
	"net/url"
	"strings"

	"graphrelay/relay/envelope"
)

// Hostname is a domain name in lower case.
type Hostname string

func (h *Hostname) read(text string) *fault {
	name, ok := domainName(text)
	if !ok {
		return bad("is no host name", "write letters, digits and hyphens with dots between, as in relay.contoso.local")
	}
	*h = Hostname(name)
	return nil
}

func (*Hostname) kind() string { return "host name" }
func (*Hostname) like() string { return "relay.contoso.local" }

// domainName is held against the one address parser, so that a host name is
// what may stand behind an @.
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

func (n *Name) read(text string) *fault {
	if len(text) > 32 || strings.Trim(text, nameLetters) != "" {
		return bad("is no name", "write up to 32 small letters, digits, hyphens, dots or underscores")
	}
	*n = Name(text)
	return nil
}

func (*Name) kind() string { return "name" }
func (*Name) like() string { return "a name" }

// GUID is an identifier of Entra, in lower case with hyphens.
type GUID string

func (g *GUID) read(text string) *fault {
	id, ok := guid(text)
	if !ok {
		return bad("is no GUID", "write the Application (client) ID from the application's overview in Entra, as in 22222222-2222-2222-2222-222222222222")
	}
	*g = GUID(id)
	return nil
}

func (*GUID) kind() string { return "GUID" }
func (*GUID) like() string { return "22222222-2222-2222-2222-222222222222" }

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

func (t *Tenant) read(text string) *fault {
	id, ok := guid(text)
	if !ok {
		id, ok = domainName(text)
		ok = ok && strings.Contains(id, ".")
	}
	if !ok {
		return bad("is neither a GUID nor a domain", "write the Directory (tenant) ID from the application's overview in Entra, as in 11111111-1111-1111-1111-111111111111, or a domain of the tenant")
	}
	*t = Tenant(id)
	return nil
}

func (*Tenant) kind() string { return "GUID or domain" }
func (*Tenant) like() string { return "11111111-1111-1111-1111-111111111111" }

// BaseURL is https://HOST or https://HOST:PORT, nothing behind it.
type BaseURL string

func (b *BaseURL) read(text string) *fault {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err != nil || u.Host == "" && u.Scheme == "https":
		return bad("is no URL", "write https://HOST or https://HOST:PORT")
	case u.User != nil:
		return bad("holds a user name or a password", "take it out of the URL")
	case u.Scheme != "https":
		return bad("is not https", "write https://HOST or https://HOST:PORT")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#"):
		return bad("has something behind the host", "write https://HOST or https://HOST:PORT alone")
	}
	*b = BaseURL(u.String())
	return nil
}

func (*BaseURL) kind() string { return "URL" }
func (*BaseURL) like() string { return "https://127.0.0.1:8443" }

// hidePassword takes the user information out of a text that may be a URL,
// with a scheme or without, before it gets into a message.
func hidePassword(text string) string {
	at := strings.LastIndex(text, "@")
	if at < 0 {
		return text
	}
	if begin := strings.Index(text, "//"); begin >= 0 && begin < at {
		return text[:begin] + "//***" + text[at:]
	}
	if user, password, ok := strings.Cut(text[:at], ":"); ok && user != "" && password != "" && !strings.ContainsAny(text, " \t") {
		return "***" + text[at:]
	}
	return text
}
