package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/envelope"
)

// count is a whole number, written in digits only: 0x10 and 1_000 are more
// often mistakes than wishes.
type count int

func (c *count) read(text string) *fault {
	n, f := readDigits(text)
	if f != nil {
		return f
	}
	*c = count(n)
	return nil
}

func (*count) kind() string { return "number" }
func (*count) like() string { return "a number" }

func readDigits(text string) (int64, *fault) {
	if strings.Trim(text, "0123456789") != "" || text == "" {
		return 0, bad("is not a whole number", "write digits only, without a sign, a point or a unit")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, bad("is too large a number", "write a smaller one")
	}
	return n, nil
}

// word is one of the words in the key's range.
type word string

func (w *word) read(text string) *fault { *w = word(text); return nil }
func (*word) kind() string              { return "word" }
func (*word) like() string              { return "a word" }

// Duration is a length of time, written as in 30s, 5m, 4h, 5d or 1h30m.
type Duration time.Duration

const day = 24 * time.Hour

func unitOf(name string) time.Duration {
	switch name {
	case "s":
		return time.Second
	case "m":
		return time.Minute
	case "h":
		return time.Hour
	case "d":
		return day
	}
	return 0
}

func (d *Duration) read(text string) *fault {
	wrong := bad("is no duration", "write a number with s, m, h or d, as in 30s, 5m, 4h or 5d")
	var sum time.Duration
	last := time.Duration(math.MaxInt64)
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, f := readDigits(rest[:digits])
		if f != nil || digits == len(rest) {
			return wrong
		}
		unit := unitOf(rest[digits : digits+1])
		if unit == 0 || unit >= last {
			return wrong
		}
		if n > int64((math.MaxInt64-sum)/unit) {
			return bad("is too long a duration", "write a shorter one")
		}
		sum += time.Duration(n) * unit
		last, rest = unit, rest[digits+1:]
	}
	*d = Duration(sum)
	return nil
}

func (*Duration) kind() string { return "duration" }
func (*Duration) like() string { return "a duration such as 5m" }

// String writes d as the file does, in seconds at the least.
func (d Duration) String() string {
	var b strings.Builder
	rest := time.Duration(d)
	for _, name := range []string{"d", "h", "m", "s"} {
		if n := rest / unitOf(name); n > 0 {
			fmt.Fprintf(&b, "%d%s", n, name)
			rest -= n * unitOf(name)
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// Size is a number of octets, written as in 2100KiB, 256MiB, 1GiB or 4096.
type Size int64

func (s *Size) read(text string) *fault {
	number, unit := text, int64(1)
	for _, u := range []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if n, ok := strings.CutSuffix(text, u.suffix); ok {
			number, unit = n, u.factor
		}
	}
	n, f := readDigits(number)
	if f != nil || n > math.MaxInt64/unit {
		return bad("is no size", "write a number of octets, or one with KiB, MiB or GiB, as in 2100KiB")
	}
	*s = Size(n * unit)
	return nil
}

func (*Size) kind() string { return "size" }
func (*Size) like() string { return "a size such as 256MiB" }

// String writes s in the largest unit that leaves no rest.
func (s Size) String() string {
	switch {
	case s == 0 || s%(1<<10) != 0:
		return strconv.FormatInt(int64(s), 10)
	case s%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", s>>30)
	case s%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", s>>20)
	}
	return fmt.Sprintf("%dKiB", s>>10)
}

// addressValue reads an address that mail can go out from: Graph knows neither
// address literals nor domains without a dot. words, the range of its key, tell
// what else it may be: a wildcard *@domain, or self, which is the zero Address.
type addressValue struct {
	*envelope.Address
	words string
}

func (a addressValue) read(text string) *fault {
	if text == "self" && strings.Contains(a.words, "self") {
		return nil
	}
	if !strings.Contains(text, "@") {
		return bad("is no address", "write name@domain, as in notifications@contoso.com")
	}
	p, err := envelope.ParseAddress(text)
	if err != nil {
		return bad("is no valid address", "write name@domain without brackets, blanks or a display name")
	}
	if p.Wildcard() && !strings.Contains(a.words, "*@domain") {
		return bad("is a wildcard", "write one address, as in notifications@contoso.com")
	}
	if strings.HasPrefix(p.Domain(), "[") || !strings.Contains(p.Domain(), ".") {
		return bad("has a domain that no mailbox of Microsoft 365 can have", "write the address with its full domain, as in notifications@contoso.com")
	}
	*a.Address = p
	return nil
}

func (addressValue) kind() string { return "address" }
func (addressValue) like() string { return "notifications@contoso.com" }

// Path is an absolute path of a file. In the YAML it may be relative to the
// file that names it.
type Path string

func (p *Path) read(text string) *fault {
	if strings.HasPrefix(text, "~") {
		return bad("begins with ~, which is not expanded", "write the whole path")
	}
	if strings.HasSuffix(text, "/") {
		return bad("is a folder", "write the path of a file")
	}
	if strings.Contains(strings.TrimPrefix(text, credentialsVariable), "${") {
		return bad("holds a variable that is not expanded", "write the path itself, or one that begins with "+credentialsVariable)
	}
	*p = Path(text)
	return nil
}

func (*Path) kind() string { return "path" }
func (*Path) like() string { return "the path of a file" }

func (p *Path) resolve(base string) {
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

// AwaitsService tells whether p is a credential that systemd will hand over
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

func (s *Store) read(text string) *fault {
	path, ok := strings.CutPrefix(text, "sqlite:")
	if !ok || path == "" || strings.HasPrefix(path, "//") || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "?#") {
		return bad("is no store", "write sqlite:PATH, as in sqlite:/var/lib/graphrelay/queue.db")
	}
	*s = Store{"sqlite", path}
	return nil
}

func (*Store) kind() string { return "store" }
func (*Store) like() string { return "sqlite:/var/lib/graphrelay/queue.db" }

func (s *Store) resolve(base string) { s.Path = absolute(s.Path, base) }

// String writes s as the file does.
func (s Store) String() string { return s.Engine + ":" + s.Path }
