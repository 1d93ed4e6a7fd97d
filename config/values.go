package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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

// Path is an absolute path of a file. In the YAML it may be relative to the
// file that names it.
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
