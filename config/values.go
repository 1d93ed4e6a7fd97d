package config

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// addressValue reads an address that mail can go out from: Graph knows neither
// address literals nor domains without a dot. words, the range of its key, say
// what else it may be: a wildcard *@domain, or self, which is the zero Address.
type addressValue struct {
	*envelope.Address
	words string
}

func (a addressValue) Read(text string) *strict.Fault {
	if text == "self" && strings.Contains(a.words, "self") {
		return nil
	}
	if !strings.Contains(text, "@") {
		return strict.Bad("is not an address", "write name@domain, as in notifications@contoso.com")
	}
	p, err := envelope.ParseAddress(text)
	if err != nil {
		return strict.Bad("is not a valid address", "write name@domain without brackets, spaces or a display name")
	}
	if p.Wildcard() && !strings.Contains(a.words, "*@domain") {
		return strict.Bad("is a wildcard", "write one address, as in notifications@contoso.com")
	}
	if strings.HasPrefix(p.Domain(), "[") || !strings.Contains(p.Domain(), ".") {
		return strict.Bad("has a domain that no Microsoft 365 mailbox can have",
			"write the address with its full domain, as in notifications@contoso.com")
	}
	*a.Address = p
	return nil
}

// Shown writes a as the file does.
func (a addressValue) Shown() string {
	if a.Wildcard() && strings.Contains(a.words, "self") {
		return "self"
	}
	return a.String()
}

func (addressValue) About() (kind, example string) { return "address", "notifications@contoso.com" }

// Path is an absolute path of a file. In the YAML it may be relative to the file that names it.
type Path string

func (p *Path) Read(text string) *strict.Fault {
	if strings.HasPrefix(text, "~") {
		return strict.Bad("begins with ~, which is not expanded", "write the full path")
	}
	if strings.HasSuffix(text, "/") {
		return strict.Bad("is a folder", "write the path of a file")
	}
	if strings.Contains(strings.TrimPrefix(text, credentialsVariable), "${") {
		return strict.Bad("contains a variable that is not expanded",
			"write the path itself, or one that begins with "+credentialsVariable)
	}
	*p = Path(text)
	return nil
}

func (*Path) Free() {}

func (*Path) About() (kind, example string) { return "path", "the path of a file" }

func (p *Path) Resolve(base string) {
	if name, ok := strings.CutPrefix(string(*p), credentialsVariable); ok {
		*p = Path(filepath.Join(credentialsFolder(), name))
		return
	}
	*p = Path(absolute(string(*p), base))
}

// credentialsVariable is the one variable that a path may begin with, and
// serviceCredentials what systemd sets it to in the service; a command in a
// shell has no such variable, and reads the same file.
const (
	credentialsVariable = "${CREDENTIALS_DIRECTORY}/"
	serviceCredentials  = "/run/credentials/graphrelay.service"
)

func credentialsFolder() string {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); filepath.IsAbs(dir) {
		return dir
	}
	return serviceCredentials
}

// AwaitsService reports whether p is a credential that systemd will hand over
// when the service starts, so that it cannot be looked at now.
func (p Path) AwaitsService() bool {
	if !strings.HasPrefix(string(p), serviceCredentials+"/") {
		return false
	}
	_, err := os.Lstat(string(p))
	return errors.Is(err, fs.ErrNotExist)
}

func absolute(path, base string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// Store says where the queue is. Engine is sqlite.
type Store struct {
	Engine string
	Path   string // absolute
}

func (s *Store) Read(text string) *strict.Fault {
	path, ok := strings.CutPrefix(text, "sqlite:")
	if !ok || path == "" || strings.HasPrefix(path, "//") || strings.HasSuffix(path, "/") ||
		strings.ContainsAny(path, "?#") {
		return strict.Bad("is not a store", "write sqlite:PATH, as in sqlite:/var/lib/graphrelay/queue.db")
	}
	*s = Store{"sqlite", path}
	return nil
}

func (*Store) Free() {}

func (*Store) About() (kind, example string) { return "store", "sqlite:/var/lib/graphrelay/queue.db" }

func (s *Store) Resolve(base string) { s.Path = absolute(s.Path, base) }

// String writes s as the file does.
func (s Store) String() string { return s.Engine + ":" + s.Path }

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

// domainName uses the one address parser, so that a host name is exactly what may follow an @.
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

func (*Name) About() (kind, example string) { return "name", "printers" }

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

// Host is the name or address of the host, without the port.
func (b BaseURL) Host() string {
	u, err := url.Parse(string(b))
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (*BaseURL) About() (kind, example string) { return "URL", "https://127.0.0.1:8443" }

// Server is HOST:PORT of a server that is connected to.
type Server string

func (v *Server) Read(text string) *strict.Fault {
	host, port, err := net.SplitHostPort(text)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || bad != nil || n == 0 || strings.ContainsAny(host, "/@ ") {
		return strict.Bad("is not HOST:PORT", "write HOST:PORT, as in 127.0.0.1:587")
	}
	*v = Server(text)
	return nil
}

func (*Server) About() (kind, example string) { return "HOST:PORT", "127.0.0.1:587" }
