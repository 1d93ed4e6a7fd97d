package sendmail

import (
	"mime"
	"strings"
	"unicode"

	"graphrelay/relay/envelope"
)

// maxName bounds a display name, in bytes, so that its field stays one line.
const maxName = 200

// author writes the value of a From field.
func author(name string, a envelope.Address) string {
	if name = cleanName(name); name == "" {
		return a.String()
	}
	return name + " <" + a.String() + ">"
}

// cleanName makes an RFC 5322 phrase of the name in a command line or
// /etc/passwd; nothing in it can end the field.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.Join(strings.Fields(name), " ")
	for len(name) > maxName {
		name = strings.TrimRight(strings.ToValidUTF8(name[:maxName], ""), " ")
	}
	switch {
	case !envelope.IsASCII(name):
		return mime.BEncoding.Encode("utf-8", name) // B: no character of it has a meaning in a phrase
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_") == "":
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// Account is the user who calls.
type Account struct {
	User     string // login name
	FullName string
	Host     string // host name
}

// Address is USER@HOST; the host is localhost, and the user is nobody, if the
// names of the system are not valid in an address.
func (a Account) Address() envelope.Address {
	for _, user := range []string{a.User, "nobody"} {
		if address, err := envelope.NewAddress(user, a.HostName()); err == nil {
			return address
		}
	}
	return envelope.Address{} // never: nobody@localhost is an address
}

// HostName is the host name if it is a domain name, else localhost.
func (a Account) HostName() string {
	address, err := envelope.NewAddress("x", strings.TrimSuffix(a.Host, "."))
	if err != nil {
		return "localhost"
	}
	return address.Domain()
}

// Sender reads the value of -f: an address, a bare user name, which gets the
// host name, or "<>" or nothing, the null reverse-path.
func (a Account) Sender(value string) (envelope.Address, error) {
	if v := strings.TrimSpace(value); v == "" || v == "<>" {
		return envelope.Address{}, nil
	}
	var l List
	l.AddHeader(value)
	if len(l.Good) != 1 || len(l.Bad) > 0 || strings.ContainsFunc(value, unicode.IsControl) {
		return envelope.Address{}, UsageError("the value of -f is not an address; write -f user@example.org")
	}
	if l.Good[0].Domain() != "" {
		return l.Good[0], nil
	}
	return envelope.NewAddress(l.Good[0].Local(), a.HostName())
}
