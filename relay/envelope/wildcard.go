package envelope

import "strings"

// anyone is the local part that stands for all of a domain.
const anyone = "*"

// Wildcard reports whether a is written *@domain. In a list of what is allowed
// that means every address of exactly this domain, none of its subdomains; in
// a transaction it is an address like any other.
func (a Address) Wildcard() bool { return a.local == anyone && a.domain != "" }

// Covers reports whether a, an entry of a list of what is allowed, allows b: they
// name the same mailbox, or a is the wildcard of b's domain and b is not another
// address in disguise.
func (a Address) Covers(b Address) bool {
	if a.Wildcard() {
		return a.domain == b.domain && b.local != "" && !b.Encapsulated()
	}
	return !a.IsZero() && a.Equal(b)
}

// Encapsulated reports whether a holds another address, which Exchange uses in
// its place if a's domain is one of its own (MS-OXCMAIL 2.2.3.1.2): it takes
// IMCEASMTP-user+40example+2Eorg@contoso.com for user@example.org.
func (a Address) Encapsulated() bool {
	const prefix = "imcea"
	return len(a.local) > len(prefix) && strings.EqualFold(a.local[:len(prefix)], prefix)
}
