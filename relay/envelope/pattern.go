package envelope

// anyone is the local part that stands for all of a domain.
const anyone = "*"

// Wildcard tells whether a is written *@domain. In a list of what is allowed
// that means every address of exactly this domain, none of its subdomains; in
// a transaction it is an address like any other.
func (a Address) Wildcard() bool { return a.local == anyone && a.domain != "" }

// Covers tells whether a, an entry of a list of what is allowed, allows b: they
// name the same mailbox, or a is the wildcard of b's domain.
func (a Address) Covers(b Address) bool {
	if a.Wildcard() {
		return a.domain == b.domain && b.local != ""
	}
	return !a.IsZero() && a.Equal(b)
}
