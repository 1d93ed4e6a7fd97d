package envelope

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321 section 4.5.3.1, in bytes.
const (
	maxLocal  = 64
	maxLabel  = 63
	maxDomain = 255
	maxPath   = 254

	// maxInput bounds the input before anything is parsed: a U-label takes up to
	// four bytes for each character of its A-label.
	maxInput = 4 * maxPath
)

var errTooLong = fmt.Errorf("address is longer than %d bytes", maxPath)

// Address is a mailbox of RFC 5321, local-part@domain. The zero Address stands
// for none. A recipient such as "root" has no domain; only ParseRecipient and
// Bare make such an Address.
//
// Addresses compare with Key or Equal, not with ==, because the local part keeps
// the case in which it was written.
type Address struct {
	local  string // without quotes and escapes
	domain string // lower-case A-labels, or an address literal in brackets
}

// ParseAddress reads a mailbox, "user@example.org" or `"odd user"@example.org`,
// without angle brackets. The local part may be non-ASCII (RFC 6531); the caller
// decides whether the transaction allows that (see ASCII).
func ParseAddress(s string) (Address, error) {
	if len(s) > maxInput {
		return Address{}, errTooLong
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{}, fmt.Errorf("address %q has no @domain", s)
	}
	local, err := parseLocal(s[:at])
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	return NewAddress(local, s[at+1:])
}

// ParseRecipient is ParseAddress that also takes a bare local part, "root" or
// "postmaster", as RFC 5321 section 4.5.1 and local programs do.
func ParseRecipient(s string) (Address, error) {
	if strings.ContainsRune(s, '@') {
		return ParseAddress(s)
	}
	if len(s) > maxInput {
		return Address{}, errTooLong
	}
	local, err := parseLocal(s)
	if err != nil {
		return Address{}, fmt.Errorf("recipient %q: %w", s, err)
	}
	if err := checkLocal(local); err != nil {
		return Address{}, fmt.Errorf("recipient %q: %w", s, err)
	}
	return Address{local: local}, nil
}

// NewAddress makes an Address of a local part without quoting and a domain.
func NewAddress(local, domain string) (Address, error) {
	if err := checkLocal(local); err != nil {
		return Address{}, fmt.Errorf("local part %q: %w", local, err)
	}
	d, err := canonicalDomain(domain)
	if err != nil {
		return Address{}, fmt.Errorf("domain %q: %w", domain, err)
	}
	a := Address{local: local, domain: d}
	if len(a.String()) > maxPath {
		return Address{}, errTooLong
	}
	return a, nil
}

// Local returns the local part without quotes.
func (a Address) Local() string { return a.local }

// Domain returns the domain in lower-case A-labels; empty for a bare local part.
func (a Address) Domain() string { return a.domain }

// Bare returns the local part of a as an Address without a domain.
func (a Address) Bare() Address { return Address{local: a.local} }

// IsZero reports whether a is the zero Address.
func (a Address) IsZero() bool { return a.local == "" && a.domain == "" }

// ASCII reports whether a can be written without SMTPUTF8.
func (a Address) ASCII() bool { return IsASCII(a.local) }

// String writes a as RFC 5321 does, the local part quoted if it must be.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	local := a.local
	if !isDotString(local) {
		local = quote(local)
	}
	if a.domain == "" {
		return local
	}
	return local + "@" + a.domain
}

// Key is equal for two addresses that name the same mailbox. RFC 5321 leaves
// the case of the local part to its host, and Exchange, the only host whose
// senders matter here, ignores it for ASCII letters; so does Key. It compares
// non-ASCII letters as they are, since folding them would make look-alikes equal.
func (a Address) Key() string {
	return lowerASCII(a.String())
}

// Equal reports whether a and b name the same mailbox.
func (a Address) Equal(b Address) bool {
	// Key keeps lengths, so comparing them first tells most addresses apart.
	return len(a.local) == len(b.local) && len(a.domain) == len(b.domain) && a.Key() == b.Key()
}

// MarshalText writes String; it serves JSON and flags.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Address) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	p, err := ParseRecipient(string(b))
	if err == nil {
		*a = p
	}
	return err
}

// parseLocal takes quotes and escapes off a local part.
func parseLocal(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		if !isDotString(s) {
			return "", errors.New("local part is neither a dot-string nor a quoted string")
		}
		return s, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if i != len(s)-1 {
				return "", errors.New("text after the closing quote")
			}
			return b.String(), nil
		case c == '\\':
			if i++; i == len(s) {
				return "", errors.New("escape at the end of the local part")
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("quoted local part has no closing quote")
}

func checkLocal(local string) error {
	if local == "" {
		return errors.New("local part is empty")
	}
	if len(local) > maxLocal {
		return fmt.Errorf("local part is longer than %d bytes", maxLocal)
	}
	if !utf8.ValidString(local) {
		return errors.New("local part is not valid UTF-8")
	}
	for _, r := range local {
		if isHostile(r) {
			return fmt.Errorf("local part contains the control or invisible character %U", r)
		}
	}
	return nil
}

// isHostile names the characters that no address needs and that change what a
// reader or a log shows: controls, line separators, bidi and other format
// characters.
func isHostile(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// canonicalDomain checks a domain or an address literal. It allows underscores:
// host names from NetBIOS have them, and refusing such a device protects nobody.
func canonicalDomain(d string) (string, error) {
	if strings.HasPrefix(d, "[") {
		return canonicalLiteral(d)
	}
	if d == "" {
		return "", errors.New("is empty")
	}
	if !utf8.ValidString(d) {
		return "", errors.New("is not valid UTF-8")
	}
	if err := checkLength(d); err != nil {
		return "", err
	}
	ascii := lowerASCII(d)
	if !IsASCII(d) || strings.Contains(ascii, "xn--") {
		p := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))
		var err error
		if ascii, err = p.ToASCII(d); err != nil {
			return "", err
		}
	}
	if len(ascii) > maxDomain {
		return "", fmt.Errorf("is longer than %d bytes", maxDomain)
	}
	for _, label := range strings.Split(ascii, ".") {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	return ascii, nil
}

// checkLength comes before any conversion, which for a long label takes time
// proportional to the square of its length. Each letter becomes at least one byte.
func checkLength(d string) error {
	all, label := 0, 0
	for _, r := range d {
		all, label = all+1, label+1
		switch {
		case strings.ContainsRune(".\u3002\uff0e\uff61", r): // the dots of RFC 3490 section 3.1
			label = 0
		case label > maxLabel:
			return errLabel
		case all > maxDomain:
			return fmt.Errorf("is longer than %d bytes", maxDomain)
		}
	}
	return nil
}

var errLabel = fmt.Errorf("has a label longer than %d bytes", maxLabel)

func checkLabel(label string) error {
	if label == "" {
		return errors.New("has an empty label")
	}
	if len(label) > maxLabel {
		return errLabel
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return errors.New("has a label that begins or ends with a hyphen")
	}
	for i := 0; i < len(label); i++ {
		c := label[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("contains %q", c)
		}
	}
	return nil
}

func canonicalLiteral(d string) (string, error) {
	if !strings.HasSuffix(d, "]") {
		return "", errors.New("address literal has no closing bracket")
	}
	inner := lowerASCII(d[1 : len(d)-1])
	v6, isV6 := strings.CutPrefix(inner, "ipv6:")
	ip, err := netip.ParseAddr(v6)
	if err != nil || ip.Zone() != "" || ip.Is4() == isV6 {
		return "", errors.New("address literal is neither [192.0.2.1] nor [IPv6:2001:db8::1]")
	}
	if isV6 {
		return "[IPv6:" + ip.String() + "]", nil
	}
	return "[" + ip.String() + "]", nil
}

// isDotString follows RFC 5321 Dot-string, with the non-ASCII of RFC 6531.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '.' && !isAtext(c) {
			return false
		}
	}
	return true
}

func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c >= utf8.RuneSelf || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// IsASCII reports whether all bytes of text are ASCII.
func IsASCII[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
