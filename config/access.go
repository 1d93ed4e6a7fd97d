package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// Network is an IP network, or one host if it is a whole address long. An
// IPv4 network is never mapped into IPv6, and host bits are zero.
type Network struct{ netip.Prefix }

func (n *Network) Read(text string) *strict.Fault {
	p, err := netip.ParsePrefix(text)
	if a, errHost := netip.ParseAddr(text); errHost == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		return strict.Bad("is not a network",
			"write ADDRESS/BITS, as in 10.1.2.0/24 or 2001:db8::/32, or the IP address of one host")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return strict.Bad("mixes IPv4 and IPv6", "write two entries, as in 10.0.0.0/8 and fd00::/8")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return strict.Bad("has host bits set",
			fmt.Sprintf("write %s for the network, or %s for the one host", p.Masked(), p.Addr()))
	}
	n.Prefix = p
	return nil
}

func (*Network) About() (kind, example string) { return "network", "10.1.2.0/24" }

// String writes n as the file does.
func (n Network) String() string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.Prefix.String()
}

// Private reports whether no address of n is used on the Internet.
func (n Network) Private() bool { return n.within(privateNetworks()) }

// Loopback reports whether all of n is this host.
func (n Network) Loopback() bool {
	return n.within([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
}

func (n Network) within(outer []netip.Prefix) bool {
	return slices.ContainsFunc(outer, func(o netip.Prefix) bool { return o.Bits() <= n.Bits() && o.Contains(n.Addr()) })
}

// privateNetworks are those of RFC 1918, 1122, 3927, 6598, 4193 and 4291.
func privateNetworks() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
		"100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Username is what a client logs in with; capitals make a difference.
type Username string

func (u *Username) Read(text string) *strict.Fault {
	if len(text) > 128 || !isPlainText(text) || strings.TrimSpace(text) != text {
		return strict.Bad("is not a valid user name",
			"write up to 128 printable characters, without spaces at either end, as in scanner")
	}
	*u = Username(text)
	return nil
}

func (*Username) Free() {}

func (*Username) About() (kind, example string) { return "user name", "scanner" }

// isPlainText refuses what is invisible, or looks like something else.
func isPlainText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// PasswordHash is a bcrypt hash: $2a$, $2b$ or $2y$, a cost from 10 to 14, and 53 characters.
type PasswordHash string

const bcryptLetters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (h *PasswordHash) Read(text string) *strict.Fault {
	form := len(text) == 60 && (strings.HasPrefix(text, "$2a$") || strings.HasPrefix(text, "$2b$") ||
		strings.HasPrefix(text, "$2y$")) &&
		text[6] == '$' && strings.Trim(text[7:], bcryptLetters) == ""
	if !form {
		return strict.Bad("is not a bcrypt hash", `run: graphrelay passwd, and write the line it prints, in quotes`)
	}
	if cost, f := strict.Digits(text[4:6]); f != nil || cost < 10 || cost > 14 {
		return strict.Bad("is a bcrypt hash with a cost outside 10 to 14",
			"run: graphrelay passwd, and write the line it prints, in quotes")
	}
	*h = PasswordHash(text)
	return nil
}

func (*PasswordHash) About() (kind, example string) {
	return "bcrypt hash", "the line that graphrelay passwd prints"
}
func (*PasswordHash) Hidden() {}

// Rate is a number of messages in a time, written as in 30/min, 300/h or 5/s.
// The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration // a second, a minute or an hour
}

const maxRate = 1_000_000

func (r *Rate) Read(text string) *strict.Fault {
	digits, unit, _ := strings.Cut(text, "/")
	per := map[string]time.Duration{"s": time.Second, "min": time.Minute, "h": time.Hour}[unit]
	n, f := strict.Digits(digits)
	if f != nil || per == 0 {
		return strict.Bad("is not a rate", "write a number with /s, /min or /h, as in 30/min")
	}
	if n < 1 || n > maxRate {
		return strict.Bad("is a rate out of range", "write a number from 1 to 1000000, or remove the key for no limit")
	}
	*r = Rate{int(n), per}
	return nil
}

func (*Rate) About() (kind, example string) { return "rate", "a rate such as 30/min" }

// String writes r as the file does.
func (r Rate) String() string {
	if r.Per == 0 {
		return "none"
	}
	units := map[time.Duration]string{time.Second: "/s", time.Minute: "/min", time.Hour: "/h"}
	return strconv.Itoa(r.Count) + units[r.Per]
}

// LocalPart is a recipient without a domain, as envelope.Address.Key has it.
type LocalPart string

func (l *LocalPart) Read(text string) *strict.Fault {
	a, err := envelope.ParseRecipient(text)
	if err != nil || a.Domain() != "" {
		return strict.Bad("is not the name of a local recipient",
			"write the part before the @, as in root: admin@contoso.com")
	}
	*l = LocalPart(a.Key())
	return nil
}

func (*LocalPart) About() (kind, example string) { return "local recipient", "root: admin@contoso.com" }
